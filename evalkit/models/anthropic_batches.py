"""Anthropic's Message Batches (https://docs.anthropic.com/en/api/creating-message-batches).

A batch is one request with all requests in it. It has no place for a mark, so that one whose id is unknown is
found by its time and its number of requests; which requests it has is only known when it has ended.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import orjson

from evalkit.models.batch_routes import (
    BatchState,
    Failed,
    Result,
    counted,
    document,
    identifier,
    lines,
    listed,
)
from evalkit.models.http import JSON_BODY, Endpoint
from evalkit.models.inside import as_body, status_of
from evalkit.samples import JSON

_ROUTE = "messages/batches"
_BEFORE, _AFTER = 900.0, 3600.0
"""Seconds before and after the submission, by this machine's clock, in which the API may say it was."""


class AnthropicBatches:
    """The routes below an endpoint's address."""

    most_requests = 100_000
    most_bytes = 250_000_000

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def line(self, custom_id: str, route: str, payload: Mapping[str, JSON]) -> bytes:
        return orjson.dumps({"custom_id": custom_id, "params": payload})

    async def submit(self, lines: Sequence[bytes], route: str, mark: str) -> str:
        body = b'{"requests":[' + b",".join(lines) + b"]}"
        made = await document(self.endpoint, "POST", _ROUTE, lambda: body, JSON_BODY)
        return identifier(made.get("id"), "the id of a batch")

    async def find(self, mark: str, since: float, requests: int) -> list[str]:
        found = []
        async with aclosing(listed(self.endpoint, _ROUTE, "after_id")) as batches:
            async for batch in batches:
                created = _seconds(batch.get("created_at"))
                if created < since - _BEFORE:
                    break
                if created <= since + _AFTER and sum(_counts(batch).values()) == requests:
                    found.append(identifier(batch.get("id"), "the id of a batch"))
        return found

    async def state(self, batch: str) -> BatchState:
        found = await document(self.endpoint, "GET", f"{_ROUTE}/{batch}")
        counts = _counts(found)
        answered = sum(counts.values()) - counts.get("processing", 0)
        return BatchState(answered=answered, ended=found.get("processing_status") == "ended")

    async def cancel(self, batch: str) -> None:
        await document(self.endpoint, "POST", f"{_ROUTE}/{batch}/cancel")

    async def results(self, batch: str, state: BatchState) -> AsyncGenerator[Result, None]:
        async with aclosing(lines(self.endpoint, f"{_ROUTE}/{batch}/results")) as read:
            async for line in read:
                if (found := _result(line)) is not None:
                    yield found


def _counts(batch: Mapping[str, Any]) -> dict[str, int]:
    counts = batch.get("request_counts")
    return {name: counted(count) for name, count in counts.items()} if isinstance(counts, dict) else {}


def _seconds(text: object) -> float:
    """Seconds since 1970 of a time such as `2024-08-20T18:37:24.100435Z`; 0 for anything else."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0


def _result(line: Mapping[str, Any]) -> Result | None:
    """The result in a line; None for one that is none."""
    custom_id, result = line.get("custom_id"), line.get("result")
    if not isinstance(custom_id, str) or not isinstance(result, dict):
        return None
    if result.get("type") == "succeeded":
        return custom_id, orjson.dumps(result.get("message"))
    if result.get("type") != "errored":
        return custom_id, Failed(0, orjson.dumps({"error": f"the request was {result.get('type')}"}))
    said = result.get("error")
    error = said.get("error") if isinstance(said, dict) else None
    return custom_id, Failed(status_of(error), as_body(error))
