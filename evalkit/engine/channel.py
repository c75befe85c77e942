"""The way of one sample's calls through the run: to the model's line, or to a tool; all are stored."""

from __future__ import annotations

import time

from evalkit.engine.ask import Asker, Line
from evalkit.engine.context import Call, Run
from evalkit.models.base import Response
from evalkit.runfile.rows import OF_TOOL, Link
from evalkit.runfile.store import Cell


class Links:
    """Which responses a sample asked for, in the order of asking."""

    def __init__(self) -> None:
        self._draws: dict[tuple[str, bytes], dict[int, None]] = {}

    def add(self, key: bytes, draw: int, branch: str) -> None:
        self._draws.setdefault((branch, key), {})[draw] = None

    def found(self) -> tuple[Link, ...]:
        return tuple(
            Link(turn, draw, key, branch)
            for turn, ((branch, key), draws) in enumerate(self._draws.items())
            for draw in draws
        )


class SampleChannel:
    """The way of one sample's calls: `evalkit.engine.context.Channel`."""

    def __init__(self, line: Line, cell: Cell, sample: str, links: Links) -> None:
        self._line, self._cell, self._sample, self._links = line, cell, sample, links

    async def send(self, call: Call) -> Response:
        assert call.request is not None
        key, body = self._line.stored_as(call.key, call.body)
        self._links.add(key, call.draw, call.branch)
        asker = Asker(self._cell, self._sample, call.hints)
        return await self._line.send(call.request, key, body, call.draw, asker)

    async def run(self, call: Call, tool: Run) -> Response:
        store = self._line.store
        self._links.add(call.key, call.draw, call.branch)
        found = store.response(call.key, call.draw)
        if found is None:
            began = time.monotonic()
            found = Response(await tool(), seconds=time.monotonic() - began)
            store.add_response(call.key, call.body, call.draw, self._cell, self._sample, found, OF_TOOL)
            self._line.commits.soon()
        return found

    def stored(self, call: Call) -> Response | None:
        key, _ = self._line.stored_as(call.key, call.body)
        found = self._line.store.response(key, call.draw)
        if found is not None:
            self._links.add(key, call.draw, call.branch)
        return found
