"""Run files that are damaged, edited, locked, or on a disk that is full or read-only."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

import evalkit
from evalkit.runfile.seals import Seal, seal_writes, tables
from evalkit.runfile.store import FORMAT, Store
from tests.cli.conftest import Cli, Said, cli
from tests.damages import BY_CHANCE, KINDS, damage
from tests.edited import edited
from tests.made import sums

__all__ = ["cli"]
MODEL = "fake/gold?wrong=0.3"
TASKS = ("-t", "gsm8k:0-shot-chat,math:0-shot-boxed", "--data", "builtin", "--limit", "5")


class Runs(NamedTuple):
    """Two run files of the same samples, with different answers."""

    one: Path
    other: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("whole")
    paths = Runs(folder / "one.db", folder / "other.db")
    for model, path in zip((MODEL, "fake/gold?wrong=0.6"), paths, strict=True):
        evalkit.run(model, TASKS[1], data="builtin", limit=5, output=path)
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return paths


@pytest.fixture
def run(runs: Runs, tmp_path: Path) -> Path:
    return Path(shutil.copy(runs.one, tmp_path / "r.db"))


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of a file, as SQLite returns them."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return {
            name: db.execute(f"SELECT {one.names} FROM {name}").fetchall() for name, one in tables().items()
        }


def resume(path: Path) -> tuple[object, ...]:
    """The command that resumes the run."""
    return ("run", "-m", MODEL, *TASKS, "-o", path)


def clear(said: Said) -> bool:
    """Whether a refusal is one line."""
    return said.code != 2 or (said.err.startswith("evalkit: ") and len(said.err.splitlines()) == 1)


# -- checksums -----------------------------------------------------------------------------------------


def test_a_checksum_is_the_same_with_every_python() -> None:
    """Files are read with another Python than they were written with."""
    assert Seal(7)("draw", None, 1, -(2**40), 0.5, "é\U0001f600", b"\x00", "a") == 2445018145
    assert Seal(-1)("draw") == Seal(0xFFFFFFFF)("draw") != Seal(0)("draw")


@pytest.mark.parametrize("name", [name for name in tables() if name not in ("media", "generated", "error")])
def test_a_changed_value_of_any_table_is_found(cli: Cli, run: Path, name: str) -> None:
    table = tables()[name]
    column = table.columns[-1]
    value = 1 if column.kind == "INTEGER" else "1"
    with closing(sqlite3.connect(run)) as db, db:
        db.execute(f"UPDATE {name} SET {column.name} = ?", (b"x" * 16 if column.kind == "BLOB" else value,))
    said = cli("export", run, "--slim", "-o", run.with_name("slim.db"))
    assert (said.code, clear(said)) == (2, True), said
    assert f"{run} is damaged: table {name}, row " in said.err
    assert (
        "its checksum does not match its contents. To see what is whole and save it: evalkit verify"
        in said.err
    )
    said = cli("verify", run)
    assert (said.code, "rows, " in said.out, "damaged: row " in said.out) == (1, True, True)


def test_a_row_that_another_program_wrote_is_found(cli: Cli, run: Path) -> None:
    with closing(sqlite3.connect(run)) as db, db:
        db.execute("INSERT INTO figure SELECT 9, metric, grp, value, low, high, n, NULL FROM figure LIMIT 1")
    said = cli("report", run)
    assert (said.code, "it has no checksum" in said.err) == (2, True)


def test_every_writer_writes_checksums(cli: Cli, run: Path, tmp_path: Path) -> None:
    for arguments in (
        ("rescore", run, "-o", tmp_path / "rescored.db"),
        ("export", run, "--slim", "-o", tmp_path / "slim.db"),
        ("export", run, "--slim", "--texts", "-o", tmp_path / "texts.db"),
    ):
        assert cli(*arguments).code == 0
        said = cli("verify", arguments[-1], "--json")
        assert (said.code, json.loads(said.out)["whole"]) == (0, True), said
        there = contents(arguments[-1])
        assert len(there["cell"]) == len(TASKS[1].split(","))
        assert there["cell_copy"] == there["cell"]


def test_twenty_flipped_bits_are_found_or_in_bytes_that_no_one_reads(cli: Cli, tmp_path: Path) -> None:
    path, chance, found = tmp_path / "r.db", random.Random(20), 0
    evalkit.run("fake/gold", sums(tmp_path, 300), output=path)
    before, whole = contents(path), path.read_bytes()
    for _ in range(20):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        if cli("verify", path).code == 0:
            assert contents(path) == before
        else:
            found += 1
    assert found > 5, "the others are in space that is free"


# -- damages of every kind -----------------------------------------------------------------------------


def name_of(seed: int) -> str:
    return f"{KINDS[seed % len(KINDS)].__name__}-{seed}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2 * len(KINDS)), ids=name_of)
def test_a_damaged_file_ends_in_a_line_and_never_in_another_figure(
    cli: Cli, runs: Runs, run: Path, seed: int, tmp_path: Path
) -> None:
    damage(run, runs.other, seed)
    saved, page, new = (tmp_path / name for name in ("saved.db", "p.html", "new.db"))
    for arguments in (
        ("report", run, "--json"),
        ("report", run, "-o", page),
        ("compare", run, runs.other),
        ("export", run, "-o", tmp_path / "samples.jsonl"),
        ("export", run, "--slim", "-o", tmp_path / "slim.db"),
        ("verify", run, "-o", saved),
        ("rescore", run, "-o", new),
        resume(run),
    ):
        said = cli(*arguments)
        assert said.code in (0, 1, 2, 3), said
        assert clear(said), said
        if arguments[0] == "report" and said.code != 2 and KINDS[seed % len(KINDS)] in BY_CHANCE and said.out:
            assert json.loads(said.out) == json.loads(cli("report", runs.one, "--json").out)
    if saved.exists():
        assert cli("verify", saved).code == 0
        assert clear(cli("report", saved))


EDITS = {
    "the data set has no kind": "UPDATE cell SET spec = json_remove(spec, '$.data.kind')",
    "there is no data set": "UPDATE cell SET spec = json_set(spec, '$.data', json('{}'))",
    "a threshold alone": "UPDATE cell SET found = '{\"threshold\":0.5}'",
    "a curve of no points": """UPDATE cell SET found =
        '{"threshold":0.5,"validation_samples":1,"validation_curve":[{"threshold":[]}]}'""",
    "notes that are numbers": "UPDATE cell SET found = '{\"notes\":[1]}'",
    "an answer that is a number": "UPDATE sample SET answer = json_set(answer, '$.finals[0].value', 7)",
    "a verdict that is a list": """UPDATE sample
        SET answer = json_set(answer, '$.finals[0].correct', json('[]'))""",
    "an answer of nothing": "UPDATE sample SET answer = '{}'",
    "an outcome that is none": "UPDATE sample SET outcome = 'text'",
    "an infinite interval": "UPDATE figure SET low = 9e999",
    "tokens beyond all sums": "UPDATE draw SET prompt_tokens = 9223372036854775807",
    "tokens below zero": "UPDATE draw SET completion_tokens = -7",
    "no date": "UPDATE run SET value = '\"yesterday\"' WHERE key = 'started'",
}
"""What an author may write, with checksums that are right; each was once a traceback or another figure."""


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_file_with_right_checksums_is_read_or_refused_in_one_line(
    cli: Cli, run: Path, tmp_path: Path, edit: str
) -> None:
    with edited(run) as db:
        assert db.execute(EDITS[edit]).rowcount
    for arguments in (
        ("report", run, "--json"),
        ("report", run, "--disputes"),
        ("report", run, "-o", tmp_path / "page.html"),
        ("export", run, "--format", "inspect", "-o", tmp_path / "inspect"),
        ("export", run, "--format", "lm-eval", "-o", tmp_path / "lm-eval"),
        ("rescore", run, "-o", tmp_path / "new.db"),
    ):
        said = cli(*arguments)
        assert said.code in (0, 2), said
        assert clear(said), said


def test_a_truncated_file_and_a_file_of_another_kind(cli: Cli, run: Path, tmp_path: Path) -> None:
    whole = run.read_bytes()
    for content, words in (
        (b"", "is not a run file of evalkit ("),
        (b"Dear Sir,\n" * 900, "is not a run file of evalkit ("),
        (whole[: len(whole) // 2], "is damaged: "),
    ):
        run.write_bytes(content)
        for command in (
            ("report", run),
            ("compare", run, run),
            ("verify", run),
            resume(run),
        ):
            said = cli(*command)
            assert clear(said), said
            assert said.code == 2 or words == "is damaged: "
            assert words in said.err or said.code == 1
    for command in (("report", tmp_path), ("verify", tmp_path), ("verify", tmp_path / "none.db")):
        said = cli(*command)
        assert (said.code, clear(said), "no run file" in said.err) == (2, True, True)


def test_a_damaged_shard_is_not_merged(cli: Cli, tmp_path: Path) -> None:
    paths = [tmp_path / "1.db", tmp_path / "2.db"]
    for nth, path in enumerate(paths, 1):
        evalkit.run(MODEL, TASKS[1], data="builtin", limit=5, output=path, shard=f"{nth}/2")
    with closing(sqlite3.connect(paths[1])) as db, db:
        db.execute("UPDATE draw SET text = 'The answer is 7.'")
    said = cli("merge", *paths, "-o", tmp_path / "merged.db")
    assert (said.code, clear(said), f"{paths[1]} is damaged: table draw" in said.err) == (2, True, True), said
    assert {*tmp_path.iterdir()} == {*paths}


# -- saving what is whole --------------------------------------------------------------------------------


def asked_again(cli: Cli, run: Path) -> int:
    """Resumes the run, and returns how many responses are new in it."""
    before = len(contents(run)["draw"])
    said = cli(*resume(run))
    assert said.code == 0, said
    return len(contents(run)["draw"]) - before


@pytest.mark.parametrize(
    ("statement", "samples", "asked"),
    [
        ("UPDATE sample SET outcome = 'refused' WHERE position = 0 AND cell = 1", 9, 0),
        ("UPDATE draw SET text = 'The answer is 7.' WHERE request = 2", 9, 1),
        ("UPDATE request SET body = '{}' WHERE id < 3", 8, 2),
        ("UPDATE asked SET turn = 1 WHERE cell = 1 AND position = 0", 0, 0),
        ("UPDATE figure SET value = 100.0", 10, 0),
    ],
)
def test_what_is_whole_is_saved_and_the_rest_is_asked_again(
    cli: Cli, runs: Runs, run: Path, tmp_path: Path, statement: str, samples: int, asked: int
) -> None:
    with closing(sqlite3.connect(run)) as db, db:
        assert db.execute(statement).rowcount
    saved = tmp_path / "saved.db"
    said = cli("verify", run, "-o", saved)
    assert said.code == 1
    assert f"written: {saved}" in said.err
    assert len(contents(saved)["sample"]) == samples
    assert cli("report", saved).code in (0, 2)  # 2: no sample is left
    assert asked_again(cli, saved) == asked
    before, after = (json.loads(cli("report", path, "--json").out)["cells"] for path in (runs.one, saved))
    assert after == before
    assert "already exists" in cli("verify", run, "-o", saved).err


def zero_pages(path: Path, *names: str) -> None:
    """Overwrites the first page of tables."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = [
            db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]
            for name in names
        ]
    data = bytearray(path.read_bytes())
    for root in roots:
        data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    path.write_bytes(data)


@pytest.mark.parametrize("spoiled", ["spec", "finished", "page"])
def test_a_damaged_row_of_a_cell_loses_nothing(
    cli: Cli, runs: Runs, run: Path, tmp_path: Path, spoiled: str
) -> None:
    if spoiled == "page":
        zero_pages(run, "cell")
    else:
        value = {"spec": "replace(spec, '\"temperature\":0', '\"temperature\":1')", "finished": "4"}[spoiled]
        with closing(sqlite3.connect(run)) as db, db:
            before = db.execute("SELECT * FROM cell WHERE id = 1").fetchone()
            db.execute(f"UPDATE cell SET {spoiled} = {value} WHERE id = 1")
            assert db.execute("SELECT * FROM cell WHERE id = 1").fetchone() != before
    assert "is damaged: table cell" in cli("report", run).err
    saved = tmp_path / "saved.db"
    said = cli("verify", run, "-o", saved)
    assert (said.code, "to be resumed" in said.err) == (1, False), said
    assert json.loads(cli("report", saved, "--json").out) == json.loads(cli("report", runs.one, "--json").out)
    assert contents(saved) == contents(runs.one)


def test_a_cell_whose_copy_is_damaged_too_is_lost_and_the_others_are_saved(
    cli: Cli, runs: Runs, run: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(run)) as db, db:
        for name in ("cell", "cell_copy"):
            db.execute(f"UPDATE {name} SET found = '{{\"threshold\":1}}' WHERE id = 1")
    assert cli("verify", run, "-o", tmp_path / "saved.db").code == 1
    before, after = (
        json.loads(cli("report", path, "--json").out)["cells"] for path in (runs.one, tmp_path / "saved.db")
    )
    assert 0 < len(after) < len(before)
    figures = [(cell["task"], cell["metric"], cell["value"], cell["signature"]) for cell in before]
    assert all((cell["task"], cell["metric"], cell["value"], cell["signature"]) in figures for cell in after)


def test_rows_beyond_a_page_that_cannot_be_read_are_saved(cli: Cli, tmp_path: Path) -> None:
    """SQLite stops at the first one."""
    run, saved = tmp_path / "r.db", tmp_path / "saved.db"
    evalkit.run("fake/gold", sums(tmp_path, 300), output=run)
    with closing(sqlite3.connect(run)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'draw'").fetchone()
    data = bytearray(run.read_bytes())
    children = int.from_bytes(data[(root - 1) * 4096 :][3:5])
    cell = int.from_bytes(data[(root - 1) * 4096 + 12 :][:2])
    child = int.from_bytes(data[(root - 1) * 4096 + cell :][:4])
    assert children > 1, "the table is a tree"
    data[(child - 1) * 4096 : child * 4096] = b"\xff" * 4096
    run.write_bytes(data)
    said = cli("report", run)
    assert (said.code, "is damaged: table draw, " in said.err) == (2, True)
    assert cli("verify", run, "-o", saved).code == 1
    kept = len(contents(saved)["sample"])
    assert 100 < kept < 300
    assert kept == len(contents(saved)["draw"])
    evalkit.run("fake/gold", sums(tmp_path, 300), output=saved)
    assert len(contents(saved)["draw"]) == 300


def test_a_format_that_has_no_checksums_does_not_switch_them_off(cli: Cli, run: Path) -> None:
    with edited(run) as db:
        db.execute("UPDATE run SET value = '6' WHERE key = 'format'")
    for command, code in (("report", 2), ("verify", 1)):
        said = cli(command, run)
        assert said.code == code
        assert "it has checksums, which format 6 does not have" in said.out + said.err
    with closing(sqlite3.connect(run)) as db, db:
        db.execute("UPDATE run SET crc = 1")
    assert "is damaged: table run" in cli("report", run).err
    assert FORMAT == 7


# -- disks and locks -------------------------------------------------------------------------------------


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system takes root: run it as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):  # no space left
                while file.write(bytes(size)):
                    pass


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_file_on_a_disk_that_takes_nothing_is_read(
    cli: Cli, runs: Runs, tmp_path: Path, state: str
) -> None:
    with tmpfs(tmp_path / "disk", "size=1m") as folder:
        run = Path(shutil.copy(runs.one, folder / "r.db"))
        if state == "full":
            fill(folder)
        else:
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        assert json.loads(cli("report", run, "--json").out) == json.loads(
            cli("report", runs.one, "--json").out
        )
        assert cli("compare", run, runs.one).code == 0
        assert cli("verify", run).code == 0
        assert cli("export", run).code == 0
        said = cli(*resume(run))
        assert clear(said), said
        assert said.code in (0, 2, 3)  # nothing is left to be written on a full disk


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_what_is_only_in_the_log_is_read_or_missed_with_a_word(
    cli: Cli, run: Path, tmp_path: Path, state: str
) -> None:
    """A `-wal` as a killed run leaves it, on a disk that takes nothing."""
    with closing(sqlite3.connect(run)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        seal_writes(db)
        db.execute("UPDATE cell SET finished = NULL")
        db.commit()
        files = {name: run.with_name(name).read_bytes() for name in ("r.db", "r.db-wal")}
    with tmpfs(tmp_path / "disk", "size=1m") as folder:
        for name, data in files.items():
            (folder / name).write_bytes(data)
        if state == "full":
            fill(folder)
        else:
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        said = cli("report", folder / "r.db", "--json")
    if said.code == 2:
        assert "r.db-wal beside it has responses that are not in it yet" in said.err
        assert clear(said)
    else:
        assert not any(cell["finished"] for cell in json.loads(said.out)["cells"])


def test_a_file_that_another_program_has_locked_is_named(
    cli: Cli, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.runfile.reader.PATIENCE", 0.05)
    monkeypatch.setattr("evalkit.runfile.writer.PATIENCE", 0.05)
    with closing(sqlite3.connect(run)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("UPDATE figure SET n = n")
        db.commit()
        for command in (("report", run), ("verify", run), ("run", "-m", MODEL, *TASKS, "-o", run)):
            said = cli(*command)
            assert (said.code, clear(said), "is locked by another program" in said.err) == (2, True, True), (
                said
            )
    assert cli("report", run).code == 0


def test_a_lock_file_that_is_there_or_removed_does_no_harm(cli: Cli, run: Path) -> None:
    lock = run.with_name("r.db.lock")
    lock.write_text("not JSON")
    assert cli(*resume(run)).code == 0
    lock.touch()
    held = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        lock.unlink()  # an administrator who tidies up
        assert cli(*resume(run)).code == 0
    finally:
        os.close(held)


def test_a_copy_that_was_taken_while_it_was_written(cli: Cli, runs: Runs, tmp_path: Path) -> None:
    """`cp RUN.db` alone, without the `-wal` beside it, has what was there earlier."""
    run, copy = tmp_path / "r.db", tmp_path / "copy.db"
    shutil.copy(runs.one, run)
    with Store.open(run, to_write=True) as store:
        (cell, *_) = store.cells()
        store.reopen(cell)
        store.commit()
        shutil.copy(run, copy)
        said = cli("report", copy, "--json")
    assert json.loads(said.out) == json.loads(cli("report", runs.one, "--json").out)
