"""Passes one sample's calls to the model's client or to a tool. All results are stored."""

from __future__ import annotations

import time

from evalkit.engine.client import Asker, ModelClient
from evalkit.engine.context import Call, RunTool
from evalkit.models.base import Response
from evalkit.runfile.records import OF_TOOL, Link
from evalkit.runfile.store import Cell


class Links:
    """The responses that a sample used, in the order of its requests."""

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
    """The `evalkit.engine.context.Channel` of one sample in a run."""

    def __init__(self, client: ModelClient, cell: Cell, sample: str, links: Links) -> None:
        self._client, self._cell, self._sample, self._links = client, cell, sample, links

    async def send(self, call: Call) -> Response:
        assert call.request is not None
        key, body = self._client.keys.stored_as(call.key, call.body, self._sample)
        self._links.add(key, call.draw, call.branch)
        asker = Asker(self._cell, self._sample, call.hints)
        return await self._client.send(call.request, key, body, call.draw, asker)

    async def run(self, call: Call, tool: RunTool) -> Response:
        store = self._client.store
        self._links.add(call.key, call.draw, call.branch)
        found = store.response(call.key, call.draw)
        if found is None:
            began = time.monotonic()
            found = Response(await tool(), seconds=time.monotonic() - began)
            store.add_response(call.key, call.body, call.draw, self._cell, self._sample, found, OF_TOOL)
            self._client.commits.soon()
        return found

    def stored(self, call: Call) -> Response | None:
        key, _ = self._client.keys.stored_as(call.key, call.body, self._sample)
        found = self._client.store.response(key, call.draw)
        if found is not None:
            self._links.add(key, call.draw, call.branch)
        return found
