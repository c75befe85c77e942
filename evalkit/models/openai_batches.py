"""OpenAI's batch routes (https://platform.openai.com/docs/api-reference/batch).

Azure and Groq have the same. The requests are a file of lines, which is uploaded first. The results are one
file of responses and one of errors, both in any order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from io import BytesIO
from typing import Any

import orjson

from evalkit.errors import ProviderError
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
from evalkit.models.bodies import one_line
from evalkit.models.http import JSON_BODY, Endpoint
from evalkit.samples import JSON

_FULL = "token_limit_exceeded"
"""The code of an account whose waiting batches have as many tokens as they may."""
_MARK = "evalkit"
"""The key of a batch's mark in its metadata."""
_ENDED = {"completed", "expired", "cancelled"}
_PREPARED = {"pending", "running", "notRunning"}
"""The states of an uploaded file that Azure still reads."""
_SKEW = 3600.0
"""Seconds by which the clocks of this machine and of the provider may differ."""
_READ_AGAIN, _LOOKS = 1.0, 300
"""Seconds between two looks at such a file, and how often it is looked at before it is used all the same."""


class OpenAIBatches:
    """The routes below an endpoint's address. `prefix`: of the routes that a batch names, such as `/v1`."""

    most_requests = 50_000
    most_bytes = 200_000_000

    def __init__(self, endpoint: Endpoint, prefix: str) -> None:
        self.endpoint, self._prefix = endpoint, prefix

    def line(self, custom_id: str, route: str, payload: Mapping[str, JSON]) -> bytes:
        url = f"{self._prefix}/{route}"
        return orjson.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": payload})

    async def submit(self, lines: Sequence[bytes], route: str, mark: str) -> str:
        file = await self._upload(b"\n".join(lines), mark)
        body = {
            "input_file_id": file,
            "endpoint": f"{self._prefix}/{route}",
            "completion_window": "24h",
            "metadata": {_MARK: mark},
        }
        made = await document(self.endpoint, "POST", "batches", lambda: orjson.dumps(body), JSON_BODY)
        return identifier(made.get("id"), "the id of a batch")

    async def _upload(self, data: bytes, mark: str) -> str:
        """Uploads the file of requests and returns its id, once it can be used."""
        import aiohttp

        def form() -> Any:
            found = aiohttp.FormData()
            found.add_field("purpose", "batch")
            found.add_field("file", BytesIO(data), filename=f"{mark}.jsonl", content_type="application/jsonl")
            return found

        made = await document(self.endpoint, "POST", "files", form)
        file = identifier(made.get("id"), "the id of a file")
        for _ in range(_LOOKS):
            if made.get("status") not in _PREPARED:
                break
            await asyncio.sleep(_READ_AGAIN)
            made = await document(self.endpoint, "GET", f"files/{file}")
        if made.get("status") == "error":
            said = one_line(str(made.get("status_details") or made.get("error") or "no reason given"))
            raise ProviderError(f"the endpoint cannot read the file of a batch: {said}", fatal=True)
        return file

    async def find(self, mark: str, since: float, requests: int) -> list[str]:
        async with aclosing(listed(self.endpoint, "batches", "after")) as batches:
            async for batch in batches:
                metadata = batch.get("metadata")
                if isinstance(metadata, dict) and metadata.get(_MARK) == mark:
                    return [identifier(batch.get("id"), "the id of a batch")]
                if counted(batch.get("created_at")) < since - _SKEW:
                    break
        return []

    async def state(self, batch: str) -> BatchState:
        found = await document(self.endpoint, "GET", f"batches/{batch}")
        status, counts = found.get("status"), found.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        if status == "failed":
            errors = [*_errors(found.get("errors"))]
            words = "; ".join(dict.fromkeys(words for _, words in errors)) or "no reason given"
            return BatchState(failed=words, full=any(code == _FULL for code, _ in errors))
        files = [found.get(name) for name in ("output_file_id", "error_file_id")]
        return BatchState(
            answered=counted(counts.get("completed")) + counted(counts.get("failed")),
            ended=status in _ENDED,
            files=tuple(identifier(file, "the id of a file") for file in files if file),
        )

    async def cancel(self, batch: str) -> None:
        await document(self.endpoint, "POST", f"batches/{batch}/cancel")

    async def results(self, batch: str, state: BatchState) -> AsyncGenerator[Result, None]:
        for file in state.files:
            async with aclosing(lines(self.endpoint, f"files/{file}/content")) as read:
                async for line in read:
                    if (found := _result(line)) is not None:
                        yield found


def _errors(errors: Any) -> Iterator[tuple[str, str]]:
    """(code, words) of each error of a batch that was not accepted."""
    found = errors.get("data") if isinstance(errors, dict) else None
    for one in found if isinstance(found, list) else ():
        if isinstance(one, dict):
            line = f" (line {one['line']})" if one.get("line") else ""
            yield str(one.get("code") or ""), one_line(str(one.get("message") or one.get("code"))) + line


def _result(line: Mapping[str, Any]) -> Result | None:
    """The result in a line; None for one that is none."""
    custom_id, response = line.get("custom_id"), line.get("response")
    if not isinstance(custom_id, str):
        return None
    if not isinstance(response, dict) or not counted(response.get("status_code")):
        return custom_id, Failed(0, orjson.dumps({"error": line.get("error")}))
    body = orjson.dumps(response.get("body"))
    status = counted(response.get("status_code"))
    return custom_id, body if status == 200 else Failed(status, body)
