"""Connections to a run file. The writing connection detects when data is not stored."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import StorageError
from evalkit.keys import hide_environment, redacted
from evalkit.runfile.network import MOUNTS, network_file_system

if TYPE_CHECKING:
    from sqlite3 import _Parameters

PATIENCE = 10.0
"""Seconds that SQLite waits for a lock of another program."""
_LOOK_EVERY = 1.0
"""Seconds between checks whether the file is still there."""

_BETWEEN = "\0"
"""Between texts that are searched for keys at once: no key has it."""
_READERS = 60_000
"""Milliseconds that a commit waits for readers where they and the writer wait for each other."""


class Writer(sqlite3.Connection):
    """Writes the database at `path`, and writes nothing more after the first failure.

    If a write fails, SQLite may drop the whole transaction, and later writes would be stored without the data
    they belong to. So the rest of the transaction is dropped too, and from then on every call raises the same
    `StorageError`. No key is written (`evalkit.keys`).
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, timeout=PATIENCE)
        hide_environment()
        self._path = path
        self._place = path.absolute()
        self._log = path.resolve().with_name(path.resolve().name + "-wal")
        self._place_id = _identity(self._place)
        self._log_id: tuple[int, int] | None = None  # SQLite creates it with the first write
        self._looked = time.monotonic()
        self._failure = ""

    @classmethod
    def create(cls, path: Path) -> Writer:
        """Creates a database."""
        db = cls(path)
        db.prepare()
        return db

    def prepare(self, mounts: Path = MOUNTS) -> None:
        """Chooses how the database protects itself. `mounts`: as `network_file_system` reads it.

        It is in WAL mode, so that readers and the writer do not wait for each other. That needs memory that
        all processes share, which processes on two machines do not (https://sqlite.org/wal.html). So on a
        network file system there is a rollback journal instead: readers wait while the writer commits.
        """
        mode = "TRUNCATE" if network_file_system(self._log.parent, mounts) else "WAL"
        (before,) = self.execute("PRAGMA journal_mode").fetchone()
        if before.upper() != mode:
            self.execute(f"PRAGMA journal_mode = {mode}")
        if mode != "WAL":
            self.execute(f"PRAGMA busy_timeout = {_READERS}")
        # NORMAL: a killed process loses nothing that was committed; only a power failure may lose it.
        self.execute("PRAGMA synchronous = NORMAL")

    def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
        self._check_failure()
        try:
            return super().execute(sql, _redacted(parameters))
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from None

    def executemany(self, sql: str, parameters: Iterable[_Parameters], /) -> sqlite3.Cursor:
        self._check_failure()
        try:
            return super().executemany(sql, map(_redacted, parameters))
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from None

    def commit(self) -> None:
        self._check_failure()
        try:
            super().commit()
        except sqlite3.DatabaseError as error:
            raise self._failed(error) from None
        if self._log_id is None:
            self._log_id = _identity(self._log)
        if time.monotonic() - self._looked >= _LOOK_EVERY:
            self._look()

    def read_back(self) -> None:
        """Commits, opens the file again as a reader, and compares the number of rows in each table.

        Raises `StorageError` if the file at the path is another one, or lacks rows.
        """
        self.commit()
        self._look()
        written = _counts(self)
        try:
            with contextlib.closing(
                sqlite3.connect(f"{self._place.as_uri()}?mode=ro", timeout=10.0, uri=True)
            ) as reader:
                found = _counts(reader)
        except sqlite3.DatabaseError as error:
            raise self._stop(f"{self._path} cannot be read back ({error})") from None
        lacking = [
            f"{found.get(table, 0)} of {count} rows of the table {table}"
            for table, count in written.items()
            if found.get(table) != count
        ]
        if lacking:
            raise self._stop(f"{self._path}, when read back, holds only {', '.join(lacking)}")

    def _look(self) -> None:
        """Raises `StorageError` if the file that is being written was deleted or replaced."""
        self._looked = time.monotonic()
        for place, known in ((self._place, self._place_id), (self._log, self._log_id)):
            if known is not None and _identity(place) != known:
                name = self._path.with_name(place.name) if place is self._log else self._path
                raise self._stop(f"{name} was deleted or replaced while the run was writing it")

    def _check_failure(self) -> None:
        if self._failure:
            raise StorageError(self._failure)

    def _failed(self, error: sqlite3.DatabaseError) -> Exception:
        """Returns the error to raise: `error` itself if the statement is at fault and not the file."""
        if type(error) not in (sqlite3.OperationalError, sqlite3.DatabaseError, sqlite3.IntegrityError):
            return error
        return self._stop(f"{self._path} cannot be written ({error}); everything stored before is kept")

    def _stop(self, message: str) -> StorageError:
        self._failure = message
        with contextlib.suppress(sqlite3.Error):
            self.rollback()
        return StorageError(message)


def _redacted(parameters: _Parameters) -> _Parameters:
    """The parameters of a statement, with the names of keys in place of the keys."""
    assert isinstance(parameters, list | tuple), "every statement has question marks"
    whole = _BETWEEN.join([value for value in parameters if isinstance(value, str)])
    if redacted(whole) == whole:  # one look at all of them, because hardly any text has a key
        return parameters
    return [redacted(value) if isinstance(value, str) else value for value in parameters]


def _identity(path: Path) -> tuple[int, int] | None:
    """Returns (device, inode) of the file at `path`, or None if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 — half the time of Path.stat, once a second
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _counts(db: sqlite3.Connection) -> dict[str, int]:
    """Returns the number of rows of every table."""
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        table: int(db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])  # noqa: S608 — its own names
        for table in tables
    }
