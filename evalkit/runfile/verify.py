"""Finds what is whole in a run file. `evalkit.runfile.salvage` saves it."""

from __future__ import annotations

import mmap
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.runfile.opening import FORMAT, check_schema, format_of
from evalkit.runfile.pages import HEADER, NUMBER, Pages
from evalkit.runfile.reader import connect
from evalkit.runfile.seals import (
    BROKEN,
    Column,
    Seal,
    Table,
    broken_pages,
    can_check,
    damage,
    fault,
    rows,
    tables,
)
from evalkit.scratch import Scratch

NAMED = 5
"""The highest number of findings that are kept for each table."""


@dataclass(slots=True)
class State:
    """The state of a table. `whole`, `damaged`: numbers of rows. `found`: what is wrong, in words.

    Rows on pages that cannot be read at all are in neither number.
    """

    whole: int = 0
    damaged: int = 0
    found: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found.

    `schema`: what is wrong with the tables as such. `pages`: what is wrong with pages of no table.
    """

    path: Path
    tables: dict[str, State]
    schema: str
    pages: list[str]

    @property
    def whole(self) -> bool:
        return not (self.schema or self.pages or any(state.found for state in self.tables.values()))


@dataclass(frozen=True, slots=True)
class Damaged:
    """An open run file that may be damaged. `start`: what is wrong with its format or its first page."""

    db: sqlite3.Connection
    path: Path
    seal: Seal
    start: str


def verify(path: Path) -> Verified:
    """Reads every row and every page of a run file. Raises `UsageError` if it is no run file."""
    with opened_damaged(path) as file:
        schema, pages = file.start, list[str]()
        try:
            check_schema(file.db, path)
        except UsageError as error:
            schema = _words(error, path)
        found = {name: _state(file, table) for name, table in tables().items()}
        if not schema and not any(state.found for state in found.values()):
            with suppress(*BROKEN):
                pages = broken_pages(file.db)[:NAMED]
        return Verified(path, found, schema, pages)


def _state(file: Damaged, table: Table) -> State:
    state, db = State(), file.db
    try:
        if not damage(db, table):
            (state.whole,) = db.cursor().execute(f"SELECT count(*) FROM main.{table.name}").fetchone()  # noqa: S608
            return state
        state.found += broken_pages(db, table.name)[:NAMED]
    except BROKEN as error:
        state.found.append(str(error))
    for values, words in every_row(file, table):
        state.whole += not words
        state.damaged += bool(words)
        if words and len(state.found) < NAMED:
            state.found.append(f"row {table.label(values)}: {words}")
    return state


@contextmanager
def opened_damaged(path: Path) -> Iterator[Damaged]:
    """Opens a run file of the current format, which may be damaged. Raises `UsageError` for other files."""
    if not path.is_file():
        raise UsageError(f"no run file {str(path)!r}")
    with closing(connect(path)) as db:
        start = ""
        try:
            found = format_of(db, path)
        except UsageError as error:
            if not (f"{path} is damaged" in str(error) and _has_tables(path)):
                raise
            found, start = FORMAT, _words(error, path)
        if found != FORMAT:
            raise UsageError(
                f"{path} has run-file format {found}, and this evalkit verifies format {FORMAT}: "
                "earlier formats have no checksums"
            )
        yield Damaged(db, path, _seal(db, path), start)


def _words(error: UsageError, path: Path) -> str:
    return str(error).removeprefix(f"{path} is damaged: ").partition(". To see")[0]


def _seal(db: sqlite3.Connection, path: Path) -> Seal:
    try:
        return can_check(db)
    except BROKEN:  # SQLite refuses a file that ends early as a whole
        with path.open("rb") as file:
            return Seal(int.from_bytes(file.read(HEADER)[NUMBER : NUMBER + 4]))


def _has_tables(path: Path) -> bool:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return not tables().keys().isdisjoint(Pages(data).roots())
    except (ValueError, OSError):
        return False


def every_row(file: Damaged, table: Table) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yields (values, what is wrong or "") of each row, also of those beyond a page that cannot be read."""
    if _is_sound(file.db, table):
        yield from rows(file.db, table)
        return
    seen = set[tuple[Any, ...]]()
    with _image(file) as data:
        pages = Pages(data)
        for rowid, stored in pages.rows(pages.roots().get(table.name, 0)):
            if len(stored) == len(table.columns) + 1:
                values = tuple(
                    _stored(one, rowid, value) for one, value in zip(table.columns, stored[:-1], strict=True)
                )
                key = table.key_of(values)
                if key not in seen:  # a damaged page may lead to another page a second time
                    seen.add(key)
                    yield values, fault(table, file.seal, values, stored[-1])


def _is_sound(db: sqlite3.Connection, table: Table) -> bool:
    """Whether SQLite can read all pages of a table, and it has the columns of the current format."""
    try:
        db.cursor().execute(f"SELECT {table.names}, crc FROM main.{table.name} LIMIT 0")  # noqa: S608
        return not broken_pages(db, table.name)
    except BROKEN:
        return False


def _stored(column: Column, rowid: int | None, value: Any) -> Any:
    """A value as SQLite returns it: a key may be the row's id, and a whole REAL is stored as an integer."""
    if value is None and not column.optional:
        return rowid
    return float(value) if column.kind == "REAL" and type(value) is int else value


@contextmanager
def _image(file: Damaged) -> Iterator[Any]:
    """The bytes of the database, together with those in its `-wal`."""
    with Scratch() as folder:
        place = Path(folder, "run.db")
        try:
            with closing(sqlite3.connect(place)) as copy:
                file.db.backup(copy)
        except BROKEN:
            place = file.path
        with place.open("rb") as image, mmap.mmap(image.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
