"""Checksums of the rows of a run file. SQLite has none: it returns a changed number as if it had been stored.

A row's column `crc` has the CRC-32 of the table's name and the row's other values, in the columns' order, as
`marshal` writes a tuple of them in its format 2. That format tells types apart and is the fastest serialiser
of Python; it has been the same since Python 2.5, and nothing is ever read back from it. The CRC starts from
the file's own number (`PRAGMA user_version`), so that pages of another run file, such as those in a `-wal`
that belongs to it, are found too.
"""

from __future__ import annotations

import functools
import importlib.resources
import marshal
import re
import secrets
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Statement = tuple[str, str, str | None]
"""Kind, name and SQL (without comments) of a table or an index."""

CELL_COPY = "cell_copy"
"""The table with every row of `cell` a second time, for `evalkit.runfile.salvage`."""
_COMMENT = re.compile(r"--[^\n]*")
BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What `sqlite3` raises for a damaged file; the second one if SQLite's own message is damaged."""
_TYPES = {
    "INTEGER": ("integer", int),
    "REAL": ("real", float),
    "TEXT": ("text", str),
    "BLOB": ("blob", bytes),
}
"""SQLite's and Python's name of each declared type, which a value must have: SQLite stores any in any."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `kind`: as declared. `optional`: whether it may be NULL."""

    name: str
    kind: str
    optional: bool

    def holds(self, value: object) -> bool:
        return self.optional if value is None else type(value) is _TYPES[self.kind][1]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the current format. `columns`: without `crc`. `key`: the columns of its primary key."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> str:
        """The columns, separated by commas."""
        return ", ".join(column.name for column in self.columns)

    @property
    def crc(self) -> str:
        """The SQL expression of a row's checksum."""
        return f"row_crc('{self.name}', {self.names})"

    def key_of(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Returns a row's primary key. `values`: of `columns`."""
        named = zip(self.columns, values, strict=True)
        return tuple(value for column, value in named if column.name in self.key)

    def label(self, values: Sequence[Any]) -> str:
        """Returns a row's primary key in words."""
        named = zip(self.key, self.key_of(values), strict=True)
        return ", ".join(f"{name} {repr(value)[:40]}" for name, value in named)


@functools.cache
def inserting(table: str, verb: str = "INSERT") -> str:
    """Returns the statement that inserts a row, with a question mark for each column except `crc`."""
    names = tables()[table].names
    marks = ", ".join("?" * len(tables()[table].columns))
    return f"{verb} INTO {table} ({names}) VALUES ({marks})"


def script() -> str:
    """Returns the statements that create the tables.

    Without comments they fit on the first page of the file, so that a file that ends early still says where
    its tables are.
    """
    text = importlib.resources.files("evalkit.runfile").joinpath("schema.sql").read_text("utf-8")
    return _COMMENT.sub("", text)


@functools.cache
def tables() -> Mapping[str, Table]:
    """Returns the tables of the current format by name."""
    db = sqlite3.connect(":memory:")
    db.executescript(script())
    found = {}
    names = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid").fetchall()
    for (name,) in names:
        info = db.execute(f"PRAGMA table_info({name})").fetchall()
        columns = [Column(row[1], row[2], not (row[3] or row[5])) for row in info if row[1] != "crc"]
        found[name] = Table(name, tuple(columns), tuple(row[1] for row in info if row[5]))
    db.close()
    return found


@functools.cache
def current() -> frozenset[Statement]:
    """Returns the tables and indexes of the current format."""
    db = sqlite3.connect(":memory:")
    db.executescript(script())
    found = statements(db)
    db.close()
    return found


def statements(db: sqlite3.Connection) -> frozenset[Statement]:
    """Returns everything in the schema of `db`, without SQLite's own statistics and without comments."""
    rows = db.cursor().execute("SELECT type, name, sql FROM main.sqlite_schema")
    return frozenset(
        (kind, name, sql and _bare(sql)) for kind, name, sql in rows if not name.startswith("sqlite_stat")
    )


def _bare(sql: str) -> str:
    return " ".join(_COMMENT.sub("", sql).split())


class Seal:
    """Computes the checksums of one file. `number`: its `PRAGMA user_version`."""

    def __init__(self, number: int) -> None:
        self._start = number & 0xFFFFFFFF

    @classmethod
    def of(cls, db: sqlite3.Connection) -> Seal:
        (number,) = db.cursor().execute("PRAGMA main.user_version").fetchone()
        return cls(number)

    def __call__(self, *values: Any) -> int:
        """Returns the checksum of (name of the table, value of each column)."""
        return zlib.crc32(marshal.dumps(values, 2), self._start)


def number(db: sqlite3.Connection) -> None:
    """Gives a new database a random number."""
    db.execute(f"PRAGMA user_version = {secrets.randbits(31)}")


def can_check(db: sqlite3.Connection) -> Seal:
    """Adds the function `row_crc` to a connection, and returns it."""
    seal = Seal.of(db)
    db.create_function("row_crc", -1, seal, deterministic=True)
    return seal


def seal_writes(db: sqlite3.Connection) -> None:
    """Lets a connection compute the checksum of each row that it inserts or updates.

    Its triggers are temporary: they are not in the file. They read the row back, because SQLite converts
    values when it stores them, such as an integer in a REAL column.
    """
    can_check(db)
    for table in tables().values():
        this = " AND ".join(f"{name} = NEW.{name}" for name in table.key)
        for event in ("INSERT", f"UPDATE OF {table.names}"):
            db.execute(
                f"CREATE TEMP TRIGGER seal_{event[:6]}_{table.name} "  # noqa: S608 — our names
                f"AFTER {event} ON main.{table.name} "
                f"BEGIN UPDATE {table.name} SET crc = {table.crc} WHERE {this}; END"
            )
    _copy_cells(db)


def _copy_cells(db: sqlite3.Connection) -> None:
    """Lets a connection repeat in `cell_copy` what it does to `cell`."""
    names = tables()["cell"].names
    remove = f"DELETE FROM {CELL_COPY} WHERE id = OLD.id;"  # noqa: S608 — our names
    add = f"INSERT INTO {CELL_COPY} ({names}) SELECT {names} FROM cell WHERE id = NEW.id;"  # noqa: S608 — our names
    for event, steps in (("INSERT", add), (f"UPDATE OF {names}", remove + add), ("DELETE", remove)):
        db.execute(f"CREATE TEMP TRIGGER copy_{event[:6]} AFTER {event} ON main.cell BEGIN {steps} END")


def reseal(db: sqlite3.Connection) -> None:
    """Computes the checksums of all rows, whatever is in them, and copies the table cell anew."""
    can_check(db)
    names = tables()["cell"].names
    db.execute(f"DELETE FROM {CELL_COPY}")  # noqa: S608 — our names
    db.execute(f"INSERT INTO {CELL_COPY} ({names}) SELECT {names} FROM cell")  # noqa: S608 — our names
    for table in tables().values():
        db.execute(f"UPDATE {table.name} SET crc = {table.crc}")  # noqa: S608 — our names


def damage(db: sqlite3.Connection, table: Table) -> str:
    """Returns what is damaged in a table, "" if nothing is.

    It reads the whole table, and checks the structure of its pages and indexes first: a row that a damaged
    page hides has no checksum that could fail. `db` has `row_crc` (`can_check`).
    """
    try:
        found = broken_pages(db, table.name)
        if found:
            return found[0]
        wrong = [f"{table.crc} IS NOT crc", *(_mistyped(column) for column in table.columns)]
        (any_wrong,) = (
            db.cursor()
            .execute(
                f"SELECT EXISTS (SELECT 1 FROM main.{table.name} WHERE {' OR '.join(wrong)})"  # noqa: S608 — our names
            )
            .fetchone()
        )
        if not any_wrong:
            return ""
    except sqlite3.OperationalError as error:
        if "user-defined function" not in str(error):  # a text that is not UTF-8 has no checksum
            return str(error)
    except BROKEN as error:
        return str(error)
    return next((f"row {table.label(row)}: {words}" for row, words in rows(db, table) if words), "")


def _mistyped(column: Column) -> str:
    allowed = [f"'{_TYPES[column.kind][0]}'", *(["'null'"] if column.optional else [])]
    return f"typeof({column.name}) NOT IN ({', '.join(allowed)})"


def broken_pages(db: sqlite3.Connection, table: str = "") -> list[str]:
    """Returns what SQLite finds wrong with the pages of a table and its indexes, or of the whole file."""
    check = f"PRAGMA integrity_check('{table}')" if table else "PRAGMA integrity_check"
    found = [text for (text,) in db.cursor().execute(check) if text != "ok"]
    return [" ".join(text.replace("*** in database main ***", "").split()) for text in found]


def rows(db: sqlite3.Connection, table: Table) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yields (values, what is wrong with the row or "") of each row that can be read.

    Raises `sqlite3.DatabaseError` where a page cannot be read.
    """
    seal, cursor = Seal.of(db), db.cursor()
    before, db.text_factory = db.text_factory, _decoded
    try:
        cursor.execute(f"SELECT {table.names}, crc FROM main.{table.name}")  # noqa: S608 — our names
        for *values, crc in cursor:
            yield tuple(values), fault(table, seal, values, crc)
    finally:
        db.text_factory = before


def fault(table: Table, seal: Seal, values: Sequence[Any], crc: object) -> str:
    """Returns what is wrong with a row, "" if nothing is."""
    if crc is None:
        return "it has no checksum: a program that does not know them wrote it"
    if seal(table.name, *values) != crc:
        return "its checksum does not match its contents"
    for column, value in zip(table.columns, values, strict=True):
        if not column.holds(value):
            return f"its column {column.name} has a value of another type"
    return ""


def _decoded(data: bytes) -> str:
    """Decodes a text; invalid bytes become surrogates, so that they change the checksum."""
    return data.decode("utf-8", "surrogateescape")
