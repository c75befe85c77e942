"""Responses that come as a stream of events, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from evalkit.errors import ProviderError
from evalkit.models.base import Request, Response
from evalkit.models.openai import OpenAIModel
from evalkit.models.sse import assembled
from evalkit.samples import Message
from tests.openai_server import OpenAIServer, Payload

ASKED = Request((Message("user", "Which river runs through the old town?"),), 64)
CONTINUED = Request("The river is called", 64)
USAGE = {"prompt_tokens": 9, "completion_tokens": 3}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def ask(url: str, request: Request) -> Response:
    async def asking() -> Response:
        model = OpenAIModel("tiny", url)
        try:
            return await model.generate(request)
        finally:
            await model.aclose()

    return asyncio.run(asking())


def delta(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def events(*chunks: Any, end: str = "data: [DONE]\n\n", line: str = "\n") -> bytes:
    return ("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end).replace("\n", line).encode()


def streamed(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="text/event-stream")


WHOLE = (
    delta(role="assistant", content=""),
    delta(reasoning_content="A town "),
    delta(reasoning_content="with a river."),
    delta(content="the "),
    delta(content="Elm 🌳"),
    delta("stop"),
    {"choices": [], "usage": USAGE},
)


@pytest.mark.parametrize(
    "body",
    [
        events(*WHOLE),
        events(*WHOLE, line="\r\n"),
        b": keep-alive\n\n" + events(*WHOLE, end=""),  # without the last mark
        b"\xef\xbb\xbfid: 1\nevent: message\n" + events(*WHOLE),
        events(*WHOLE).replace(b"\n\n", b"\n"),  # without blank lines
    ],
)
def test_a_stream_that_nobody_asked_for_is_read(body: bytes) -> None:
    with OpenAIServer(lambda payload, route: streamed(body)) as server:
        found = ask(server.url, ASKED)
        assert "stream" not in server.requests[0].payload
    assert (found.text, found.reasoning, found.finish) == ("the Elm 🌳", "A town with a river.", "stop")
    assert (found.prompt_tokens, found.completion_tokens) == (9, 3)


@pytest.mark.parametrize(
    "message",
    [
        "parameter.enable_thinking must be set to false for non-streaming calls",
        "This model only support stream mode, please enable the stream parameter to access the model.",
        "enable_thinking has to be false unless the call streams",
        "Stream must be set to true",
    ],
)
@pytest.mark.parametrize("options", [True, False])
def test_an_endpoint_that_only_streams_is_asked_for_a_stream(message: str, options: bool) -> None:
    def only(payload: Payload, route: str) -> web.Response:
        if not payload.get("stream"):
            return web.json_response({"error": {"message": message}}, status=400)
        if not options and "stream_options" in payload:
            return web.json_response({"error": {"message": "Unknown field: stream_options"}}, status=400)
        return streamed(events(*WHOLE))

    async def asking(url: str) -> list[Response]:
        model = OpenAIModel("tiny", url)
        try:
            return [await model.generate(ASKED) for _ in range(3)]
        finally:
            await model.aclose()

    class Streaming(OpenAIServer):
        def _wrong(self, payload: Payload, route: str) -> web.Response | None:
            return None

    with Streaming(only) as server:
        assert [found.text for found in asyncio.run(asking(server.url))] == ["the Elm 🌳"] * 3
        assert len(server.requests) == (4 if options else 5)
        assert server.requests[-1].payload["stream"] is True


def test_texts_log_probabilities_and_tool_calls_are_put_together() -> None:
    def token(text: str) -> dict[str, Any]:
        return {"token": text, "logprob": -0.5, "top_logprobs": []}

    text = events(
        {"choices": [{"index": 0, "text": " Elm", "finish_reason": None}]},
        {"choices": [{"index": 0, "text": ".", "finish_reason": "length"}]},
    )
    with OpenAIServer(lambda payload, route: streamed(text)) as server:
        found = ask(server.url, CONTINUED)
    assert (found.text, found.finish) == (" Elm.", "length")
    calls = [
        {"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"at": '}},
        {"index": 0, "function": {"arguments": "1}"}},
    ]
    chunks = [delta(tool_calls=[call]) for call in calls]
    chat = events(
        {"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [token("a")]}}]},
        {"choices": [{"index": 0, "delta": {"content": "b"}, "logprobs": {"content": [token("b")]}}]},
        {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}]},
        *chunks,
        delta("tool_calls"),
    )
    with OpenAIServer(lambda payload, route: streamed(chat)) as server:
        found = ask(server.url, ASKED)
    assert found.text == "ab"
    assert [one.token for one in found.logprobs] == ["a", "b"]
    assert [(call.name, call.arguments, call.id) for call in found.tool_calls] == [("look", '{"at": 1}', "a")]


def test_half_a_character_in_each_of_two_events_is_a_character() -> None:
    body = b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n'
    body += b'data: {"choices":[{"delta":{"content":"\\ude00"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    assert json.loads(assembled(body))["choices"][0]["message"]["content"] == "😀"


@pytest.mark.parametrize(
    ("body", "said", "retryable"),
    [
        (events(delta(content="the"), {"error": {"message": "out of memory"}}), "error: out of memory", True),
        (b'event: error\ndata: {"message": "overloaded"}\n\n', "error: overloaded", True),
        (events({"object": "error", "message": "maximum context length is 9"}), "maximum context", False),
        (events(delta(content="the Elm"), end=""), "ended before its end", True),
        (events(), "ended before its end", True),
        (b"data: {broken\n\ndata: [DONE]\n\n", "not JSON", True),
        (b"data: 7\n\ndata: [DONE]\n\n", "no object", True),
    ],
)
def test_a_stream_that_breaks_is_a_failure(body: bytes, said: str, retryable: bool) -> None:
    server = OpenAIServer(lambda payload, route: streamed(body))
    with server, pytest.raises(ProviderError, match=said) as failed:
        ask(server.url, ASKED)
    assert failed.value.retryable is retryable


def test_a_document_stays_as_it_is() -> None:
    body = b' {"choices": []}'
    assert assembled(body) is body
