"""Opens run files: finds their format, and refuses what is no run file or is damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson

from evalkit.errors import NoRunFile, UsageError
from evalkit.runfile.reader import Reader, check, code_of, connect, fix, unreadable
from evalkit.runfile.seals import (
    BROKEN,
    Seal,
    broken_pages,
    can_check,
    current,
    seal_writes,
    statements,
    tables,
)
from evalkit.runfile.writer import Writer

FORMAT = 7
"""The format of the file. It is raised when schema.sql changes."""


def opened(path: Path, *, to_write: bool = False, whole: bool = True) -> sqlite3.Connection:
    """Opens a run file; one of an earlier format is converted in memory, for reading only.

    To be written, it is checked as a whole; else each table is when it is read, unless `whole` is false: the
    caller then reads few of its rows, and checks these. Raises `UsageError`.
    """
    if not path.is_file():
        raise UsageError(f"no run file {str(path)!r}")
    try:
        db = Writer(path) if to_write else connect(path)
    except sqlite3.Error as error:
        raise UsageError(f"{path} cannot be opened: {error}") from None
    try:
        found = format_of(db, path)
        if found != FORMAT:
            return _migrated(db, path, found, to_write=to_write)
        check_schema(db, path)
        if isinstance(db, Reader):
            if whole:
                db.check_reads()
        else:
            assert isinstance(db, Writer)
            can_check(db)
            for name in tables():
                check(db, path, name)
            db.prepare()
            seal_writes(db)
    except BaseException:
        db.close()
        raise
    return db


def format_of(db: sqlite3.Connection, path: Path) -> object:
    """Returns what the manifest has as the format. Raises `NoRunFile` if `db` is none, else `UsageError`."""
    try:
        columns = [row[1] for row in db.cursor().execute("PRAGMA main.table_info(run)")]
        sealed = ", crc" if "crc" in columns else ""
        found = (
            db.cursor().execute(f"SELECT value{sealed} FROM main.run WHERE key = 'format'").fetchone()  # noqa: S608
        )
        value = None if found is None else orjson.loads(found[0])
    except BROKEN as error:
        if code_of(error) in (0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB):
            raise NoRunFile(f"{path} is not a run file of evalkit ({error})") from None
        raise unreadable(path, error) from None
    except (ValueError, TypeError) as error:
        raise NoRunFile(f"{path} is not a run file of evalkit ({error})") from None
    # A changed digit must not make it an earlier format, whose rows have no checksums.
    if sealed and Seal.of(db)("run", "format", found and found[0]) != (found and found[1]):
        raise UsageError(
            f"{path} is damaged: table run, row key 'format': its checksum does not match its contents. "
            f"{fix(path)}"
        )
    if sealed and type(value) is int and value < FORMAT:
        raise UsageError(f"{path} is damaged: it has checksums, which format {value} does not have")
    if value is None:
        raise NoRunFile(f"{path} is not a run file of evalkit (its table run has no format)")
    return value


def check_schema(db: sqlite3.Connection, path: Path) -> None:
    """Raises `UsageError` unless the file has exactly the tables and indexes of the current format."""
    try:
        found, expected = statements(db), current()
    except BROKEN as error:
        raise unreadable(path, error) from None
    names = sorted({name for _, name, _ in found ^ expected})
    if names:
        raise UsageError(
            f"{path} is damaged: {', '.join(names)}: missing, changed, or not one of evalkit's tables. "
            f"{fix(path)}"
        )


def _migrated(db: sqlite3.Connection, path: Path, found: object, *, to_write: bool) -> sqlite3.Connection:
    from evalkit.runfile.migrate import is_known, migrated

    if not is_known(found):
        raise UsageError(f"{path} has run-file format {found}, but this evalkit reads formats up to {FORMAT}")
    if to_write:
        raise UsageError(
            f"{path} was written by an earlier evalkit and can be read but not resumed: "
            "name another file with -o (evalkit rescore writes a copy in the current format)"
        )
    try:
        broken = broken_pages(db)
        foreign = [name for kind, name, _ in statements(db) if kind not in ("table", "index")]
        if broken or foreign:
            raise UsageError(f"{path} is damaged: {(broken or foreign)[0]}")
        newer = migrated(db, found)
    except BROKEN as error:
        raise UsageError(f"{path} is damaged: {error}") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise UsageError(
            f"{path}, of run-file format {found}, is damaged: {type(error).__name__}: {error}"
        ) from None
    db.close()
    return newer


def remove(path: Path) -> None:
    """Removes a run file and SQLite's two files beside it. Raises `UsageError`."""
    for ending in ("", "-wal", "-shm"):
        try:
            path.with_name(path.name + ending).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"cannot remove the earlier run file {path}: {error}") from None
