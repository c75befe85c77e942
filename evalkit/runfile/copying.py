"""Copies the samples and responses of several run files into one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from evalkit.runfile.media_tables import CANCELS
from evalkit.runfile.records import Cell
from evalkit.runfile.seals import inserting
from evalkit.runfile.store import Store

_DRAW = (
    "draw, cell, sample, judge, text, reasoning, finish, prompt_tokens, completion_tokens, seconds, "
    "logprobs, prompt_logprobs, likelihoods, tool_calls"
)
_SECONDS = 9
"""The place of `seconds` in `_DRAW`, the only column in which two equal responses differ."""
_SAMPLE = (
    "position, id, input, target, choices, grp, tags, cluster, meta, media, question, asked, outcome, "
    "boundary, error, answer, statistics"
)
_AT_ONCE = 500


class Unlike(Exception):
    """Two files have one sample with different answers. The message names it."""


class Copy:
    """Adds run files to `new`, which must be open to be written. The caller commits."""

    def __init__(self, new: Store) -> None:
        self._new, self._db = new, new.connection
        self._db.execute(
            "CREATE TEMP TABLE placed (old INTEGER, draw INTEGER, new INTEGER, PRIMARY KEY (old, draw))"
        )

    def add(self, old: Store, cells: Mapping[int, Cell], part: str) -> None:
        """Adds everything of `old`. `cells`: its cells' ids, and the cell of the new file for each.

        Two files may have asked the same request, for samples with the same prompt. The new file keeps the
        response once if both are equal; otherwise the second one is stored as a request of `part`, so that
        every sample keeps the responses that it was scored by. Raises `Unlike` if a sample is there already
        and differs.
        """
        self._db.execute("DELETE FROM temp.placed")
        self._media(old)
        self._responses(old, cells, part)
        self._samples(old, cells)
        errors = _rows(old, "SELECT at, cell, sample, draw, boundary, message FROM error ORDER BY id")
        self._db.executemany(
            "INSERT INTO error (at, cell, sample, draw, boundary, message) VALUES (?, ?, ?, ?, ?, ?)",
            ((at, cells[cell].id, *rest) for at, cell, *rest in errors),
        )

    def _media(self, old: Store) -> None:
        columns = "key, mime, width, height, seconds, bytes, preview"
        self._db.executemany(
            f"INSERT OR IGNORE INTO media ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 — fixed
            _rows(old, f"SELECT {columns} FROM media ORDER BY id"),  # noqa: S608 — fixed
        )
        self._db.executemany(
            inserting("run", "INSERT OR IGNORE"),
            _rows(old, "SELECT key, value FROM run WHERE key LIKE ? || '%'", CANCELS),
        )

    def _responses(self, old: Store, cells: Mapping[int, Cell], part: str) -> None:
        rows = _rows(
            old,
            f"SELECT request.id, key, body, {_DRAW} FROM request JOIN draw ON draw.request = request.id "  # noqa: S608
            "ORDER BY request.id, draw",
        )
        for request, key, body, draw, cell, *columns in rows:
            self._response(request, key, body, (draw, cells[cell].id, *columns), part)
        for request, draw, *file in _rows(old, "SELECT request, draw, place, kind, key, data FROM generated"):
            self._db.execute(
                "INSERT OR IGNORE INTO generated (request, draw, place, kind, key, data) "
                "SELECT new, ?, ?, ?, ?, ? FROM temp.placed WHERE old = ? AND draw = ?",
                (draw, *file, request, draw),
            )

    def _response(self, request: int, key: bytes, body: str, columns: tuple[Any, ...], part: str) -> None:
        """Adds a response, and notes the id of its request in the new file."""
        draw, cell = columns[0], columns[1]
        there = self._there(key, draw)
        if there is not None and _content(there[1:]) != _content(columns):
            asked = orjson.dumps({**orjson.loads(body), "shard": part}, option=orjson.OPT_SORT_KEYS)
            key, body = hashlib.sha256(asked).digest()[:16], asked.decode()
            there = self._there(key, draw)
        if there is None:
            self._db.execute("INSERT OR IGNORE INTO request (key, body) VALUES (?, ?)", (key, body))
            (place,) = self._db.execute("SELECT id FROM request WHERE key = ?", (key,)).fetchone()
            self._db.execute(inserting("draw"), (place, *columns))
        else:
            place = there[0]
            if cell < there[2]:  # a run without shards asks the earlier benchmark's samples first
                self._db.execute(
                    "UPDATE draw SET cell = ?, sample = ? WHERE request = ? AND draw = ?",
                    (cell, columns[2], place, draw),
                )
        self._db.execute("INSERT INTO temp.placed VALUES (?, ?, ?)", (request, draw, place))

    def _there(self, key: bytes, draw: int) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._db.execute(
            f"SELECT request.id, {_DRAW} FROM request JOIN draw ON draw.request = request.id "  # noqa: S608
            "WHERE key = ? AND draw = ?",
            (key, draw),
        ).fetchone()
        return found

    def _samples(self, old: Store, cells: Mapping[int, Cell]) -> None:
        twice = set()
        for cell, *columns in _rows(old, f"SELECT cell, {_SAMPLE} FROM sample ORDER BY cell, position"):  # noqa: S608
            place, position = cells[cell].id, columns[0]
            there = self._db.execute(
                f"SELECT {_SAMPLE} FROM sample WHERE cell = ? AND position = ?",  # noqa: S608 — fixed
                (place, position),
            ).fetchone()
            if there is not None:
                if list(there) != columns:
                    raise Unlike(
                        f"{cells[cell].spec.label}: sample {columns[1]} is in two files, with different "
                        "questions or answers"
                    )
                twice.add((cell, position))
                continue
            self._db.execute(inserting("sample"), (place, *columns))
        links = _rows(old, "SELECT cell, position, turn, draw, request, branch FROM asked")
        self._db.executemany(
            "INSERT INTO asked (cell, position, turn, draw, request, branch) "
            "SELECT ?, ?, ?, ?, new, ? FROM temp.placed WHERE old = ? AND draw = ?",
            (
                (cells[cell].id, position, turn, draw, branch, request, draw)
                for cell, position, turn, draw, request, branch in links
                if (cell, position) not in twice
            ),
        )


def _content(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """What two equal responses have in common: not the sample that asked first, and not the time."""
    return (columns[0], *columns[3:_SECONDS], *columns[_SECONDS + 1 :])


def _rows(store: Store, statement: str, *values: object) -> Iterator[Any]:
    cursor = store.connection.execute(statement, values)
    while rows := cursor.fetchmany(_AT_ONCE):
        yield from rows
