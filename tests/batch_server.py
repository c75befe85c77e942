"""Stand-ins for the batch routes of OpenAI and Anthropic, over real HTTP on the loopback.

    with OpenAIBatchServer() as server:
        model = OpenAIModel("any", server.url)

They are written from https://platform.openai.com/docs/api-reference/batch and
https://docs.anthropic.com/en/api/creating-message-batches, and refuse what these say is refused: unknown
fields, unknown files, equal custom ids, requests for another route. What a batch asks is answered as if it
had come alone, when the batch ends: after `polls` looks at it, unless it is `held`. Results come in another
order than the requests.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from tests.anthropic_server import MESSAGES, AnthropicServer
from tests.anthropic_server import refuse as refuse_like_anthropic
from tests.openai_server import CHAT, COMPLETION, Asked, OpenAIServer, refuse_like_openai
from tests.openai_wire import Payload

MOST = 50_000
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def _refuse(status: int, message: str) -> web.Response:
    return refuse_like_openai(status, message, "invalid_request_error", "invalid_value")


class Submitted:
    """A batch as the server keeps it: `requests` is (custom id, payload) of each."""

    def __init__(self, number: int, route: str, requests: list[tuple[str, Payload]], **facts: Any) -> None:
        self.id = f"batch_{number}"
        self.route, self.requests, self.facts = route, requests, facts
        self.at = time.time()
        self.looks = 0
        self.wrong: list[Payload] = []
        self.cancelled = False
        self.results: list[tuple[str, int, Any]] | None = None
        """(custom id, status, document) of each request once it has ended; status 0: expired."""


class Batches(OpenAIServer):
    """What both servers have in common; to be mixed into the stand-in that answers the requests.

    `polls`: looks after which a batch ends. `expiring`: how many of a batch's requests are not answered in
    time. `cut`: how many downloads of results end in the middle. `stalls`: whether downloads stop after the
    first half. `lost`: how many submissions get no response although the batch is made. `away`: how many
    requests to batch routes get `status` and `retry_after`. `first`: the number of the first batch.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.batches: list[Submitted] = []
        self.polls = 1
        self.held = self.stalls = False
        self.first, self.status, self.retry_after = 0, 503, ""
        self.on_submission: Callable[[], None] = lambda: None
        """Is called when a batch is made, before the response."""
        self.expiring = self.cut = self.lost = self.away = self.downloads = 0

    @property
    def submitted(self) -> list[str]:
        """The custom ids of all requests of all batches."""
        return [custom_id for batch in self.batches for custom_id, _ in batch.requests]

    def outage(self) -> web.Response | None:
        if self.away:
            self.away -= 1
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.Response(status=self.status, text="upstream connect error", headers=headers)
        return None

    def look(self, batch: Submitted) -> bool:
        """Notes a look at a batch. Returns whether it has ended."""
        batch.looks += 1
        if batch.results is None and not self.held and batch.looks > self.polls:
            self._end(batch)
        return batch.results is not None

    def _end(self, batch: Submitted) -> None:
        batch.results = []
        for place, (custom_id, payload) in enumerate(reversed(batch.requests)):
            if place < self.expiring:
                batch.results.append((custom_id, 0, None))
                continue
            self.requests.append(Asked(batch.route, payload, {}))
            answer = self._wrong(payload, batch.route) or self._unclear(payload)
            answer = answer or self._answer(payload, batch.route)
            assert isinstance(answer.body, bytes)
            batch.results.append((custom_id, answer.status, json.loads(answer.body)))
        self.expiring = 0

    def cancel(self, batch: Submitted) -> bool:
        """Ends a batch early; what was not answered has no result. Returns False if it has ended."""
        if batch.results is not None:
            return False
        batch.cancelled, batch.results = True, []
        return True

    def found(self, name: str) -> Submitted | None:
        return next((batch for batch in self.batches if batch.id == name), None)

    async def sent(self, request: web.Request, made: Payload) -> web.Response:
        """The response to a submission, or none, although the batch is made."""
        self.on_submission()
        if self.lost:
            self.lost -= 1
            assert request.transport is not None
            request.transport.close()
        return web.json_response(made)

    async def file(self, request: web.Request, lines: list[Payload]) -> web.StreamResponse:
        """A file of results: whole, cut, or one that stalls after the first half."""
        self.downloads += 1
        text = "\n".join(json.dumps(line) for line in lines)
        if self.stalls:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(text[: len(text) // 2].encode())
            await self._over.wait()
            return response
        if self.cut:
            self.cut -= 1
            text = text[: -len(json.dumps(lines[-1])) // 2]
        return web.Response(text=text, content_type="application/jsonl")


class OpenAIBatchServer(Batches):
    """`full_above`: requests that may wait at once. `fault`: what is wrong with every batch. `answers`: what
    comes for a submission, a response or the id of the batch. `pending`: looks at a file before it is `read`.
    The rest is as of `OpenAIServer`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.full_above, self.fault = MOST, ""
        self.pending, self.read = 0, "processed"
        self.answers: object = self
        self.files: dict[str, bytes] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/files", self._upload)
        router.add_get("/v1/files/{file}", self._file_of)
        router.add_get("/v1/files/{file}/content", self._content)
        router.add_post("/v1/batches", self._create)
        router.add_get("/v1/batches", self._list)
        router.add_get("/v1/batches/{batch}", self._retrieve)
        router.add_post("/v1/batches/{batch}/cancel", self._cancel)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        if (away := self.outage()) is not None:
            return away
        fields = await request.post()
        file = fields.get("file")
        if fields.get("purpose") != "batch" or not isinstance(file, web.FileField):
            return _refuse(400, "purpose and file are required")
        if not file.filename.endswith(".jsonl"):
            return _refuse(400, "Invalid file format for Batch API. Must be .jsonl")
        name = f"file-{len(self.files)}"
        self.files[name] = file.file.read()
        return web.json_response(self._file(name))

    async def _file_of(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._file(request.match_info["file"]))

    def _file(self, name: str) -> Payload:
        """A file as the API describes it; as Azure does while it reads it, `pending` times."""
        status = "pending" if self.pending else self.read
        self.pending = max(0, self.pending - 1)
        return {"id": name, "object": "file", "purpose": "batch", "status": status, "bytes": 1}

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if (away := self.outage()) is not None:
            return away
        if isinstance(self.answers, web.Response):
            return self.answers
        asked: Payload = await request.json()
        if odd := {*asked} - {"input_file_id", "endpoint", "completion_window", "metadata"}:
            return _refuse(400, f"Unknown parameter: '{min(odd)}'.")
        if asked["completion_window"] != "24h":
            return _refuse(400, "Invalid value for 'completion_window': only '24h' is supported.")
        if asked["endpoint"] not in (f"/v1/{CHAT}", f"/v1/{COMPLETION}"):
            return _refuse(400, f"Invalid value for 'endpoint': {asked['endpoint']}")
        if asked["input_file_id"] not in self.files:
            return _refuse(400, f"Cannot find file {asked['input_file_id']}")
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].split(b"\n")]
        requests = [(line["custom_id"], line["body"]) for line in lines]
        batch = Submitted(self.first + len(self.batches), asked["endpoint"][4:], requests, asked=asked)
        batch.wrong = [*self._faults_of(lines, asked["endpoint"])]
        self.batches.append(batch)
        named = {} if self.answers is self else {"id": self.answers}
        return await self.sent(request, self._object(batch) | named)

    def _faults_of(self, lines: list[Payload], endpoint: str) -> list[Payload]:
        """What the validation says of a file."""
        names = Counter(line["custom_id"] for line in lines)
        waiting = sum(len(one.requests) for one in self.batches if one.results is None and not one.wrong)
        if len(lines) + waiting > self.full_above:
            said = (
                "Enqueued token limit reached for any. Limit: 90,000 enqueued tokens. Please try again later."
            )
            return [{"code": "token_limit_exceeded", "message": said, "param": None, "line": None}]
        found = []
        for number, line in enumerate(lines, 1):
            wrong = self.fault
            if wrong:
                pass
            elif {*line} != {"custom_id", "method", "url", "body"} or line["method"] != "POST":
                wrong = "The request has unknown or missing fields."
            elif line["url"] != endpoint:
                wrong = f"The URL provided for this request does not match the batch endpoint {endpoint}."
            elif names[line["custom_id"]] > 1:
                wrong = "The custom_id for this request is a duplicate of another request."
            elif line["body"].get("model") != lines[0]["body"].get("model"):
                wrong = "The batch has requests for several models."
            if wrong:
                found.append({"code": "invalid_request", "message": wrong, "param": None, "line": number})
        return found

    def _object(self, batch: Submitted) -> Payload:
        ended, results = batch.results is not None, batch.results or []
        good = sum(status == 200 for _, status, _ in results)
        expired = any(status == 0 for _, status, _ in results)
        status = ("expired" if expired else "completed") if ended else "in_progress"
        if batch.cancelled:
            status = "cancelled"
        elif batch.wrong:
            status = "failed"
        elif batch.looks == 0:
            status = "validating"
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": f"/v1/{batch.route}",
            "errors": {"object": "list", "data": batch.wrong} if batch.wrong else None,
            "input_file_id": batch.facts["asked"]["input_file_id"],
            "completion_window": "24h",
            "status": status,
            "output_file_id": f"{batch.id}-out" if good else None,
            "error_file_id": f"{batch.id}-err" if good < len(results) else None,
            "created_at": int(batch.at),
            "request_counts": {
                "total": len(batch.requests),
                "completed": good,
                "failed": len(results) - good,
            },
            "metadata": batch.facts["asked"].get("metadata"),
        }

    async def _list(self, request: web.Request) -> web.StreamResponse:
        newest = [self._object(batch) for batch in reversed(self.batches)]
        start = 0
        if after := request.query.get("after"):
            start = 1 + [one["id"] for one in newest].index(after)
        page = newest[start : start + 1]  # pages of one, so that they are followed
        more = start + 1 < len(newest)
        return web.json_response({"object": "list", "data": page, "has_more": more})

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        if (away := self.outage()) is not None:
            return away
        batch = self.found(request.match_info["batch"])
        if batch is None:
            return _refuse(404, "No batch found with that id")
        self.look(batch)
        return web.json_response(self._object(batch))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.found(request.match_info["batch"])
        assert batch is not None
        if not self.cancel(batch):
            return _refuse(409, "Cannot cancel a batch with status 'completed'.")
        return web.json_response(self._object(batch))

    async def _content(self, request: web.Request) -> web.StreamResponse:
        name, _, kind = request.match_info["file"].rpartition("-")
        batch = self.found(name)
        assert batch is not None
        lines = []
        for custom_id, status, document in batch.results or ():
            if (status == 200) != (kind == "out"):
                continue
            line: Payload = {"id": "batch_req_1", "custom_id": custom_id, "response": None, "error": None}
            if status:
                line["response"] = {"status_code": status, "request_id": "1", "body": document}
            else:
                said = "This request could not be executed before the completion window expired."
                line["error"] = {"code": "batch_expired", "message": said}
            lines.append(line)
        return await self.file(request, lines)


class AnthropicBatchServer(AnthropicServer, Batches):
    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/v1/messages/batches", self._create)
        router.add_get("/v1/messages/batches", self._list)
        router.add_get("/v1/messages/batches/{batch}", self._retrieve)
        router.add_get("/v1/messages/batches/{batch}/results", self._results)
        router.add_post("/v1/messages/batches/{batch}/cancel", self._cancel)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if (away := self.outage()) is not None:
            return away
        asked = await self._payload(request)
        if isinstance(asked, web.Response):
            return asked
        if {*asked} != {"requests"}:
            return refuse_like_anthropic(400, "requests: Field required, and nothing else")
        names = [one["custom_id"] for one in asked["requests"]]
        if len({*names}) < len(names):
            return refuse_like_anthropic(400, "requests: custom_id must be unique")
        for one in asked["requests"]:
            if {*one} != {"custom_id", "params"} or not _CUSTOM_ID.fullmatch(one["custom_id"]):
                return refuse_like_anthropic(400, "requests.0.custom_id: String should match pattern")
        requests = [(one["custom_id"], one["params"]) for one in asked["requests"]]
        batch = Submitted(self.first + len(self.batches), MESSAGES, requests)
        self.batches.append(batch)
        return await self.sent(request, self._object(batch))

    def _object(self, batch: Submitted) -> Payload:
        results = batch.results or []
        good = sum(status == 200 for _, status, _ in results)
        expired = sum(status == 0 for _, status, _ in results)
        ended = batch.results is not None
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {
                "processing": 0 if ended else len(batch.requests),
                "succeeded": good,
                "errored": len(results) - good - expired,
                "canceled": 0,
                "expired": expired,
            },
            "created_at": datetime.fromtimestamp(batch.at, UTC).isoformat().replace("+00:00", "Z"),
            "results_url": "http://127.0.0.1:9/elsewhere" if ended else None,
        }

    async def _list(self, request: web.Request) -> web.StreamResponse:
        newest = [self._object(batch) for batch in reversed(self.batches)]
        start = 0
        if after := request.query.get("after_id"):
            start = 1 + [one["id"] for one in newest].index(after)
        page = newest[start : start + 1]
        more = start + 1 < len(newest)
        return web.json_response(
            {"data": page, "has_more": more, "last_id": page[-1]["id"] if page else None}
        )

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        if (away := self.outage()) is not None:
            return away
        batch = self.found(request.match_info["batch"])
        if batch is None:
            return refuse_like_anthropic(404, "Not found", "not_found_error")
        self.look(batch)
        return web.json_response(self._object(batch))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        batch = self.found(request.match_info["batch"])
        assert batch is not None
        if not self.cancel(batch):
            return refuse_like_anthropic(400, "Batch cannot be canceled: it has ended")
        return web.json_response(self._object(batch))

    async def _results(self, request: web.Request) -> web.StreamResponse:
        batch = self.found(request.match_info["batch"])
        assert batch is not None
        lines: list[Payload] = []
        for custom_id, status, document in batch.results or ():
            result: Payload = {"type": "succeeded", "message": document}
            if status == 0:
                result = {"type": "expired"}
            elif status != 200:
                result = {"type": "errored", "error": document}
            lines.append({"custom_id": custom_id, "result": result})
        return await self.file(request, lines)
