"""Reads each sample's requests and responses from a run file, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.errors import UsageError
from evalkit.models.base import Response
from evalkit.runfile import media_tables, stored_json
from evalkit.runfile.encoding import RESPONSE, response_of
from evalkit.runfile.records import AGAIN, OF_JUDGE, Link, occurrences
from evalkit.runfile.store import Cell, Store
from evalkit.samples import FILES, JSON, Image, Shown

SAMPLE = "id, input, target, choices, grp, tags, cluster, meta, media, outcome, boundary, error, answer"
LONGEST = 20_000
"""Maximum number of characters of a text in `SampleRecords.size`, because longer texts are cut when shown."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One response. `draw` is `evalkit.runfile.records.AGAIN` for a greedy request's second response."""

    draw: int
    response: Response

    @property
    def alternatives(self) -> dict[str, float]:
        """The alternatives of the first token with their natural-log probabilities, if requested."""
        tokens = self.response.logprobs
        return dict(tokens[0].top) if tokens else {}


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request and a sample's draws of it.

    `judge`: whether it was sent to a judge model. `branch`: the protocols that led to it, "" for the cell's
    own.
    """

    body: dict[str, Any]
    judge: bool
    draws: tuple[Generation, ...]
    branch: str = ""

    @property
    def tool(self) -> str:
        """The tool's name, or "" for a request to a model."""
        return str(self.body.get("tool", ""))


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """A sample of a run with its requests and responses. `answer`: as `engine.score` wrote it."""

    id: str
    input: str
    target: list[str]
    choices: list[str]
    group: str
    tags: list[str]
    cluster: str
    meta: dict[str, JSON]
    media: list[str]
    outcome: str
    boundary: str
    error: str
    answer: dict[str, Any]
    requests: tuple[AskedRequest, ...]

    def transcript(self, branch: str = "") -> Transcript:
        """Returns the transcript under the cell's own protocol, or in `branch`."""
        turns = [
            Turn(drawn.response, drawn.draw, asked_request.tool)
            for asked_request in self.requests
            if not asked_request.judge and asked_request.branch == branch
            for drawn in asked_request.draws
            if drawn.draw != AGAIN
        ]
        start = f"{branch}/" if branch else ""
        inner = {
            asked_request.branch.removeprefix(start).partition("/")[0]: None
            for asked_request in self.requests
            if asked_request.branch.startswith(start) and asked_request.branch != branch
        }
        return Transcript(tuple(turns), {name: self.transcript(start + name) for name in inner})


class SampleRecords:
    """Random access to a cell's samples. Memory grows by an id and a few numbers per sample.

    `whole`: load the files that models generated; otherwise only their keys are known.
    """

    def __init__(self, store: Store, cell: Cell, *, whole: bool = False) -> None:
        self._db, self._path, self._cell, self._whole = store.connection, store.path, cell, whole

    @cached_property
    def positions(self) -> dict[str, int]:
        """Positions in the data set by sample id, in order. A second sample with the same id is `id (2)`."""
        rows = self._db.execute(
            "SELECT id, position FROM sample WHERE cell = ? ORDER BY position", (self._cell.id,)
        ).fetchall()
        found: dict[str, int] = {}
        ids = {name for name, _ in rows}
        for (name, position), (_, nth) in zip(rows, occurrences(name for name, _ in rows), strict=True):
            label = f"{name} ({nth + 1})" if nth else name
            while nth and (label in ids or label in found):  # another sample's own id
                label += "'"
            found[label] = position
        return found

    def size(self) -> int:
        """Returns about how many bytes of texts and previews a sample has on average."""
        texts = [f"min(length({column}), {LONGEST})" for column in ("text", "reasoning")]
        (drawn,) = self._db.execute(
            f"SELECT coalesce(sum({' + '.join(texts)}), 0) FROM draw WHERE cell = ?",  # noqa: S608 — fixed
            (self._cell.id,),
        ).fetchone()
        (rest,) = self._db.execute(
            "SELECT coalesce(sum(200 + length(input) + length(answer) + length(choices)), 0) "
            "FROM sample WHERE cell = ?",
            (self._cell.id,),
        ).fetchone()
        (shown,) = self._db.execute(
            "SELECT coalesce(sum(length(preview)), 0) FROM media WHERE key IN "
            "(SELECT json_each.value FROM sample, json_each(sample.media) WHERE cell = ?)",
            (self._cell.id,),
        ).fetchone()
        return int(drawn + rest + shown) // max(1, len(self.positions))

    def read(self, position: int) -> SampleRecord:
        """Returns the sample at `position`."""
        row = self._db.execute(
            f"SELECT {SAMPLE} FROM sample WHERE cell = ? AND position = ?",  # noqa: S608 — fixed
            (self._cell.id, position),
        ).fetchone()
        return record_of(self._path, row, self.of(position))

    def of(self, position: int) -> tuple[AskedRequest, ...]:
        """Returns a sample's requests in order, with the sample's own draws."""
        rows = self._db.execute(
            f"SELECT draw.request, asked.turn, branch, body, draw.judge, draw.draw, {RESPONSE} "  # noqa: S608 — fixed
            "FROM asked "
            "JOIN request ON request.id = asked.request "
            "JOIN draw ON draw.request = asked.request AND draw.draw IN (asked.draw, ?) "
            "WHERE asked.cell = ? AND asked.position = ? ORDER BY asked.turn, draw.draw < 0, draw.draw",
            (AGAIN, self._cell.id, position),
        ).fetchall()
        media = media_tables.made_for(self._db, self._cell.id, position, whole=self._whole)
        found: dict[int, AskedRequest] = {}
        for request, turn, branch, body, judge, draw, *columns in rows:
            response = response_of(columns)
            if made := media.get((request, draw)):
                response = replace(response, media=made)
            drawn = Generation(draw, response)
            before = found.get(turn)
            draws = (*before.draws, drawn) if before else (drawn,)
            whole = before.body if before else self._request(body)
            found[turn] = AskedRequest(whole, judge == OF_JUDGE, draws, branch)
        return tuple(found.values())

    def _request(self, body: str) -> dict[str, Any]:
        try:
            return stored_json.request(body)
        except ValueError as error:
            raise UsageError(f"{self._path}, table request: {error}: it was edited") from None

    def links(self, position: int) -> tuple[Link, ...]:
        """Returns the links to a sample's responses, in the order of its requests."""
        rows = self._db.execute(
            "SELECT turn, draw, key, branch FROM asked JOIN request ON request.id = asked.request "
            "WHERE cell = ? AND position = ? ORDER BY turn, draw",
            (self._cell.id, position),
        )
        return tuple(Link(*row) for row in rows)

    def digests(self, position: int) -> tuple[bytes, bytes]:
        """Returns (digest of the question, digest of the requests) of the sample at `position`."""
        found: tuple[bytes, bytes] = self._db.execute(
            "SELECT question, asked FROM sample WHERE cell = ? AND position = ?", (self._cell.id, position)
        ).fetchone()
        return found


def record_of(path: Path, row: Sequence[Any], requests: tuple[AskedRequest, ...] = ()) -> SampleRecord:
    """Returns the sample of a row of the columns `SAMPLE`. Raises `UsageError` for JSON of another form."""
    name, text, *lists, outcome, boundary, error, answer = row
    target, choices, group, tags, cluster, meta, media = lists
    read = stored_json.columns(path, name, target, choices, tags, meta, media, answer)
    return SampleRecord(
        id=name,
        input=text,
        target=read.target,
        choices=read.choices,
        group=group,
        tags=read.tags,
        cluster=cluster,
        meta=read.meta,
        media=read.media,
        outcome=outcome,
        boundary=boundary,
        error=error,
        answer=read.answer,
        requests=requests,
    )


def known_medium(store: Store, key: str) -> Shown:
    """Returns a medium of a sample that has only its key, because the file itself is not in the run file."""
    return FILES.get(store.mime(key).partition("/")[0], Image).known(key)
