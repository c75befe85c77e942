"""Damages run files, each kind at random places. The same seed gives the same damage."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.edited import edited

PAGE = 4096
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 2**53, 2**70, 1e308, "", "x", "2/3", [], [1], ["a", None], {}, {"x": 1}, [[["a"]]],
    "\x1b[31m\x00", {"name": 1, "identity": []}, {"name": "x", "identity": None},
)  # fmt: skip
"""Values that take the place of others in JSON."""
OF_ANOTHER_TYPE = ("NULL", "17", "1.5", "'text'", "x'00ff'", "-9223372036854775808", "9e999", "''")


def damage(path: Path, other: Path, seed: int) -> str:
    """Damages the file and returns how. `other`: a run file of the same run, with other answers."""
    chance = random.Random(seed)
    kind = KINDS[seed % len(KINDS)]
    kind(path, other, chance)
    return kind.__name__


def a_bit(path: Path, other: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def a_bit_of_a_header(path: Path, other: Path, chance: random.Random) -> None:
    """Of the file's, or of a page's: what leads from one page to another."""
    data = bytearray(path.read_bytes())
    data[PAGE * chance.randrange(len(data) // PAGE) + chance.randrange(120)] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def bytes_at_twenty_places(path: Path, other: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(20):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)


def a_file_that_ends_early(path: Path, other: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: chance.choice([0, 1, 15, 16, 99, 100, 512, PAGE, chance.randrange(len(data))])])


def text_over_it(path: Path, other: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    start = chance.choice([0, chance.randrange(len(data))])
    data[start : start + chance.randrange(3 * PAGE)] = b"Dear Sir,\n" * chance.randrange(500)
    path.write_bytes(data)


def a_page_of_zeros(path: Path, other: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    start = PAGE * chance.randrange(len(data) // PAGE)
    data[start : start + PAGE] = bytes(PAGE)
    path.write_bytes(data)


def a_page_of_another_place(path: Path, other: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    to, start = (PAGE * chance.randrange(len(data) // PAGE) for _ in range(2))
    data[to : to + PAGE] = data[start : start + PAGE]
    path.write_bytes(data)


def a_page_of_another_file(path: Path, other: Path, chance: random.Random) -> None:
    data, theirs = bytearray(path.read_bytes()), other.read_bytes()
    start = PAGE * chance.randrange(1, min(len(data), len(theirs)) // PAGE)
    data[start : start + PAGE] = theirs[start : start + PAGE]
    path.write_bytes(data)


def the_log_of_another_file(path: Path, other: Path, chance: random.Random) -> None:
    """As if `other` had been killed, and its `-wal` renamed."""
    copy = path.with_name("their.db")
    shutil.copy(other, copy)
    with closing(sqlite3.connect(copy)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        table = chance.choice(["sample", "draw", "request", "asked", "figure"])
        db.execute(f"CREATE TABLE spare AS SELECT * FROM {table}")
        db.execute(f"UPDATE {table} SET crc = crc")
        db.commit()
        shutil.copy(copy.with_name("their.db-wal"), path.with_name(f"{path.name}-wal"))
    copy.unlink()


def a_log_of_noise(path: Path, other: Path, chance: random.Random) -> None:
    path.with_name(f"{path.name}-wal").write_bytes(chance.randbytes(chance.choice([1, 32, 5000, 90_000])))


def an_entry(path: Path, other: Path, chance: random.Random) -> None:
    """An entry of the manifest says something else, and its checksum is right: an edited file."""
    with edited(path) as db:
        keys = [key for (key,) in db.execute("SELECT key FROM run ORDER BY key")]
        key = chance.choice([*keys, "slim", "shard", "moves", "judge moves", "rescored", "samples of cell 1"])
        (found,) = db.execute("SELECT value FROM run WHERE key = ?", (key,)).fetchone() or ("null",)
        value = chance.choice([None, "no json", json.dumps(_changed(json.loads(found), chance))])
        if value is None:
            db.execute("DELETE FROM run WHERE key = ?", (key,))
        else:
            db.execute("INSERT OR REPLACE INTO run (key, value) VALUES (?, ?)", (key, value))


def a_spec(path: Path, other: Path, chance: random.Random) -> None:
    _in_json(path, "cell", chance.choice(["spec", "spec", "spec", "found"]), chance)


def json_of_a_sample(path: Path, other: Path, chance: random.Random) -> None:
    columns = ["target", "choices", "tags", "meta", "media", "answer", "answer"]
    _in_json(path, "sample", chance.choice(columns), chance)


def json_of_a_request(path: Path, other: Path, chance: random.Random) -> None:
    _in_json(path, "request", "body", chance)


def a_value(path: Path, other: Path, chance: random.Random) -> None:
    with edited(path) as db:
        table = chance.choice(["cell", "figure", "request", "draw", "asked", "sample", "run"])
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "crc"]
        some = "" if chance.random() < 0.3 else " WHERE rowid = 1" if table in ("cell", "request") else ""
        try:
            db.execute(f"UPDATE {table} SET {chance.choice(names)} = {chance.choice(OF_ANOTHER_TYPE)}{some}")
        except sqlite3.IntegrityError:
            db.execute(f"DELETE FROM {table}")


def rows_that_are_gone(path: Path, other: Path, chance: random.Random) -> None:
    with edited(path) as db:
        table = chance.choice(["cell", "figure", "request", "draw", "asked", "sample", "run"])
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
        keys = "task, protocol, role" if table == "cell" else _key(table)
        db.execute(
            f"DELETE FROM {table} WHERE ({keys}) IN (SELECT {keys} FROM {table} LIMIT ?)",
            (chance.choice([1, count]),),
        )


def another_schema(path: Path, other: Path, chance: random.Random) -> None:
    table = chance.choice(["cell", "figure", "request", "draw", "asked", "sample", "run", "media", "error"])
    statement = chance.choice(
        [
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} RENAME TO {table}s",
            f"ALTER TABLE {table} DROP COLUMN crc",
            f"ALTER TABLE {table} ADD COLUMN more",
            f"CREATE VIEW more AS SELECT * FROM {table}",
            f"CREATE TRIGGER more AFTER INSERT ON {table} BEGIN DELETE FROM sample; END",
            f"CREATE INDEX more ON {table} (crc)",
        ]
    )
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


def another_format(path: Path, other: Path, chance: random.Random) -> None:
    with edited(path) as db:
        value = json.dumps(chance.choice([0, 2, 3, 4, 5, 6, 8, 10**30, -1, "7", 7.0, None, [7], {}]))
        db.execute("UPDATE run SET value = ? WHERE key = 'format'", (value,))


KINDS: tuple[Callable[[Path, Path, random.Random], None], ...] = (
    a_bit,
    a_bit_of_a_header,
    bytes_at_twenty_places,
    a_file_that_ends_early,
    text_over_it,
    a_page_of_zeros,
    a_page_of_another_place,
    a_page_of_another_file,
    the_log_of_another_file,
    a_log_of_noise,
    an_entry,
    a_spec,
    json_of_a_sample,
    json_of_a_request,
    a_value,
    rows_that_are_gone,
    another_schema,
    another_format,
)
BY_CHANCE = KINDS[:10]
"""Those that no author of the file intended."""


def _key(table: str) -> str:
    return {
        "figure": "cell, metric, grp",
        "request": "id",
        "draw": "request, draw",
        "asked": "cell, position, turn, draw",
        "sample": "cell, position",
        "run": "key",
    }[table]


def _in_json(path: Path, table: str, column: str, chance: random.Random) -> None:
    with edited(path) as db:
        texts = [text for (text,) in db.execute(f"SELECT {column} FROM {table}")]
        text = chance.choice(texts)
        value = json.dumps(_changed(json.loads(text), chance)) if chance.random() < 0.9 else "{"
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (value, text))


def _changed(value: Any, chance: random.Random) -> Any:
    """`value` with a random part of it removed, or replaced."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice([*value])
        if chance.random() < 0.25:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], _changed(value[place], chance), *value[place + 1 :]]
    return chance.choice(ODD)
