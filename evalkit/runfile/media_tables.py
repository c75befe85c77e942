"""The tables of a run file that hold media: small copies of all files, and the whole generated files."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable
from typing import Any

from evalkit.media.sent import SentFile
from evalkit.models.base import Response
from evalkit.runfile.seals import inserting
from evalkit.samples import FILES, Audio, Image

CANCELS = "channels cancel out: "
"""Before the key of a clip in the manifest."""


def add(db: sqlite3.Connection, medium: SentFile) -> None:
    """Adds a file. A file that is already there stays as it is."""
    db.execute(
        "INSERT OR IGNORE INTO media (key, mime, width, height, seconds, bytes, preview) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        dataclasses.astuple(medium)[:7],
    )
    if medium.cancels:
        db.execute(inserting("run", "INSERT OR IGNORE"), (f"{CANCELS}{medium.key}", "true"))


def column(db: sqlite3.Connection, name: str, key: str) -> Any:
    """Returns a column of the file with that key, or None if there is no such file."""
    found = db.execute(f"SELECT {name} FROM media WHERE key = ?", (key,)).fetchone()  # noqa: S608 — ours
    return None if found is None else found[0]


def add_made(db: sqlite3.Connection, request: int, draw: int, media: Iterable[Image | Audio]) -> None:
    """Replaces the generated files of a response, in order."""
    db.execute("DELETE FROM generated WHERE request = ? AND draw = ?", (request, draw))
    db.executemany(
        inserting("generated"),
        [(request, draw, place, one.kind, one.key, one.data) for place, one in enumerate(media)],
    )


def with_made(db: sqlite3.Connection, request: int, draw: int, response: Response) -> Response:
    """Returns the response with its pictures and clips; from a slim run file, only with their keys."""
    rows = db.execute(
        "SELECT kind, key, data FROM generated WHERE request = ? AND draw = ? ORDER BY place", (request, draw)
    )
    made = tuple(_file(*row) for row in rows)
    return dataclasses.replace(response, media=made) if made else response


def made_for(
    db: sqlite3.Connection, cell: int, position: int, *, whole: bool
) -> dict[tuple[int, int], tuple[Image | Audio, ...]]:
    """Returns (request, draw) → generated files of a sample's requests; only keys unless `whole`."""
    found: dict[tuple[int, int], tuple[Image | Audio, ...]] = {}
    rows = db.execute(
        f"SELECT generated.request, generated.draw, place, kind, key, {'data' if whole else 'NULL'} "  # noqa: S608
        "FROM asked JOIN generated ON generated.request = asked.request "
        "WHERE cell = ? AND position = ? GROUP BY generated.request, generated.draw, place ORDER BY place",
        (cell, position),
    )
    for request, draw, _, *file in rows:
        found[request, draw] = (*found.get((request, draw), ()), _file(*file))
    return found


def _file(kind: str, key: str, data: bytes | None) -> Image | Audio:
    file = FILES[kind](data) if data else FILES[kind].known(key)
    assert isinstance(file, Image | Audio)
    return file
