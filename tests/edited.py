"""Edits the contents of run files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from evalkit.runfile.seals import seal_writes


@contextmanager
def edited(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection whose changes are committed at the end, with the checksums of the rows that it changed.

    So the file is whole, and only says something else.
    """
    with closing(sqlite3.connect(path)) as db, db:
        seal_writes(db)
        yield db
