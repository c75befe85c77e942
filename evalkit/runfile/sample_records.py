"""What was sent for each sample and what came back, read from a run file sample by sample."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import orjson

from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.models.base import Response
from evalkit.runfile import media_tables
from evalkit.runfile.encoding import RESPONSE, response_of
from evalkit.runfile.records import AGAIN, OF_JUDGE, Link
from evalkit.runfile.store import Cell, Store
from evalkit.samples import FILES, JSON, Image, Shown

_SAMPLE = "id, input, target, choices, grp, tags, cluster, meta, media, outcome, boundary, error, answer"
LONGEST = 20_000
"""Characters of a text that count in `SampleRecords.size`: whoever shows texts cuts longer ones there."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One response. `draw` is `evalkit.runfile.records.AGAIN` for a greedy request's second answer."""

    draw: int
    response: Response

    @property
    def alternatives(self) -> dict[str, float]:
        """The first token's, with their natural-log probabilities, where they were asked for."""
        tokens = self.response.logprobs
        return dict(tokens[0].top) if tokens else {}


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request and a sample's draws of it.

    `judge`: asked of a judge model. `branch`: the protocols that led to it, "" for the cell's own.
    """

    body: dict[str, Any]
    judge: bool
    draws: tuple[Generation, ...]
    branch: str = ""

    @property
    def tool(self) -> str:
        """The tool that was used, "" where a model was asked."""
        return str(self.body.get("tool", ""))


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """A sample of a run, with all that was sent and answered for it. `answer`: as `engine.score` wrote it."""

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
        """What was asked for it under the cell's own protocol, or in `branch`, and came back."""
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
    """A cell's samples, at random access; memory grows with their number by an id and a few numbers each.

    `whole`: with the files of what models made; else these are known by their keys.
    """

    def __init__(self, store: Store, cell: Cell, *, whole: bool = False) -> None:
        self._db, self._cell, self._whole = store.connection, cell, whole
        self.positions = self._positions()
        """Position in the data set by sample, in its order; a second sample of one id is called `id (2)`."""

    def _positions(self) -> dict[str, int]:
        found: dict[str, int] = {}
        times = Counter[str]()
        rows = self._db.execute(
            "SELECT id, position FROM sample WHERE cell = ? ORDER BY position", (self._cell.id,)
        )
        for name, position in rows:
            times[name] += 1
            found[name if times[name] == 1 else f"{name} ({times[name]})"] = position
        return found

    def size(self) -> int:
        """About how many bytes a sample takes, texts and previews, on average."""
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
        """The sample at `position`."""
        row = self._db.execute(
            f"SELECT {_SAMPLE} FROM sample WHERE cell = ? AND position = ?",  # noqa: S608 — fixed
            (self._cell.id, position),
        ).fetchone()
        name, text, *lists, outcome, boundary, error, answer = row
        target, choices, group, tags, cluster, meta, media = lists
        return SampleRecord(
            id=name,
            input=text,
            target=orjson.loads(target),
            choices=orjson.loads(choices),
            group=group,
            tags=orjson.loads(tags),
            cluster=cluster,
            meta=orjson.loads(meta),
            media=orjson.loads(media),
            outcome=outcome,
            boundary=boundary,
            error=error,
            answer=orjson.loads(answer) or {},
            requests=self.of(position),
        )

    def of(self, position: int) -> tuple[AskedRequest, ...]:
        """A sample's requests in the order of asking, with the draws that are its own."""
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
            whole = before.body if before else orjson.loads(body)
            found[turn] = AskedRequest(whole, judge == OF_JUDGE, draws, branch)
        return tuple(found.values())

    def links(self, position: int) -> tuple[Link, ...]:
        """Which responses are a sample's own, in the order of asking."""
        rows = self._db.execute(
            "SELECT turn, draw, key, branch FROM asked JOIN request ON request.id = asked.request "
            "WHERE cell = ? AND position = ? ORDER BY turn, draw",
            (self._cell.id, position),
        )
        return tuple(Link(*row) for row in rows)

    def digests(self, position: int) -> tuple[bytes, bytes]:
        """(of the question, of the requests) of the sample at `position`."""
        found: tuple[bytes, bytes] = self._db.execute(
            "SELECT question, asked FROM sample WHERE cell = ? AND position = ?", (self._cell.id, position)
        ).fetchone()
        return found


def known_medium(store: Store, key: str) -> Shown:
    """What a sample shows, known by its digest alone: the file itself is not in a run."""
    return FILES.get(store.mime(key).partition("/")[0], Image).known(key)
