"""Connections that read a run file. They check what they read."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import UsageError, one_line
from evalkit.runfile.seals import BROKEN, can_check, damage, tables

if TYPE_CHECKING:
    from sqlite3 import _Parameters

PATIENCE = 10.0
"""Seconds that SQLite waits for a lock of another program."""
_CANNOT_OPEN = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
)
"""SQLite's codes where it cannot create its files beside a database in WAL mode."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class Reader(sqlite3.Connection):
    """Reads the run file at `path`.

    After `check_reads`, it checks a table as a whole (`evalkit.runfile.seals.damage`) when `execute` first
    reads it. Every error of SQLite becomes a `UsageError` that names the file.
    """

    def __init__(self, database: str | Path, path: Path, **settings: Any) -> None:
        super().__init__(database, **settings)
        self.path = path
        self._unchecked: set[str] = set()
        self._read: set[str] = set()

    def check_reads(self) -> None:
        """Begins to check tables. Their columns are those of the current format."""
        can_check(self)
        self._unchecked = {*tables()}
        self.set_authorizer(self._note)

    def check_all(self) -> None:
        """Checks all tables that were not read yet. Raises `UsageError` for a damaged one."""
        self._check({*self._unchecked})

    def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
        self._read.clear()
        try:
            found = self.cursor(_Cursor).execute(sql, parameters)
        except BROKEN as error:
            self._check(self._read & self._unchecked)  # says more, if it finds anything
            raise unreadable(self.path, error) from None
        if new := self._read & self._unchecked:
            self._check(new)
        return found

    def _note(self, action: int, name: str | None, *_: object) -> int:
        """SQLite calls this while it compiles a statement, for each column that the statement reads."""
        if action == sqlite3.SQLITE_READ and name is not None:
            self._read.add(name)
        return sqlite3.SQLITE_OK

    def _check(self, names: set[str]) -> None:
        self._unchecked -= names
        for name in sorted(names):
            check(self, self.path, name)


class _Cursor(sqlite3.Cursor):
    """Raises errors while rows are fetched as `Reader` does."""

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except BROKEN as error:
            raise self._unreadable(error) from None

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except BROKEN as error:
            raise self._unreadable(error) from None

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        try:
            return super().fetchmany(size)
        except BROKEN as error:
            raise self._unreadable(error) from None

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except BROKEN as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> Exception:
        assert isinstance(self.connection, Reader)
        return unreadable(self.connection.path, error)


def connect(path: Path) -> Reader:
    """Opens a file for reading and does not change it, because it may not be a run file.

    Reading a database in WAL mode needs files beside it. Where they cannot be created, on a full or read-only
    disk, SQLite is told that the database does not change (`immutable`). Raises `UsageError`.
    """
    log = path.with_name(f"{path.name}-wal")
    if all(os.access(place, os.W_OK, effective_ids=True) for place in (path, path.parent)):
        db = Reader(path, path, timeout=PATIENCE)
        try:
            db.cursor().execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return db
        except BROKEN as error:
            if code_of(error) not in _CANNOT_OPEN | _BUSY:
                return db  # what is wrong with it is said when it is read
            db.close()
            if code_of(error) in _BUSY:  # each further statement would wait as long again
                raise unreadable(path, error) from None
    waits = log.exists() and log.stat().st_size > 0
    if not waits:
        return Reader(f"{path.absolute().as_uri()}?mode=ro&immutable=1", path, uri=True)
    db = Reader(f"{path.absolute().as_uri()}?mode=ro", path, uri=True)
    try:
        db.cursor().execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        db.close()
        raise UsageError(
            f"{path} cannot be read here: {log.name} beside it has responses that are not in it yet, and no "
            f"file can be created in {path.absolute().parent}. Copy both files to another folder"
        ) from None
    except BROKEN:
        pass
    return db


def check(db: sqlite3.Connection, path: Path, name: str) -> None:
    """Raises `UsageError` if the table `name` of the run file at `path` is damaged."""
    try:
        found = damage(db, tables()[name])
    except BROKEN as error:
        raise unreadable(path, error) from None
    if found:
        raise UsageError(f"{path} is damaged: table {name}, {found}. {fix(path)}")


def fix(path: Path) -> str:
    """What to do about a damaged run file."""
    return f"To see what is whole and save it: evalkit verify {path} -o SAVED.db"


def code_of(error: Exception) -> int:
    """SQLite's code of an error; 0 for an error of Python's module."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def unreadable(path: Path, error: Exception) -> Exception:
    """Returns the error to raise for an error of SQLite: `error` itself if the caller is at fault."""
    if isinstance(error, sqlite3.ProgrammingError):
        return error
    code = code_of(error)
    if code in _BUSY:
        return UsageError(f"{path} is locked by another program: wait until that program is done, or end it")
    if code in _CANNOT_OPEN:
        return UsageError(f"{path} cannot be read: {one_line(error, 200)}")
    return UsageError(f"{path} is damaged: {one_line(error, 200)}. {fix(path)}")
