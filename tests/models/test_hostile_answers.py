"""Servers that answer with anything: a response, a refusal or an error that names what is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import evalkit
from evalkit.errors import ProviderError
from evalkit.models.base import Request, Response
from evalkit.models.reading import parse
from evalkit.models.sse import assembled
from evalkit.runfile.encoding import checked
from evalkit.samples import Message
from tests.made import sums
from tests.models.asking import only_key
from tests.models.test_providers_tools import BACKENDS
from tests.openai_server import OpenAIServer
from tests.openai_wire import asked_text

ASKED = Request((Message("user", "How many legs has a spider?"),), 64)
_DEEP = b"[" * 100_000 + b"]" * 100_000
_AT_ITS_LIMIT = b"[" * 1000 + b"]" * 1000
"""As deep as orjson reads, and deeper than Python calls itself."""
_CHOICE = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"8"},"finish_reason":"stop"}]'
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no UTF-8": b"\xff\xfe\x00{",
    "a list, deep": _DEEP,
    "objects, deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a list at its limit": _AT_ITS_LIMIT,
    "an error at its limit": b'{"error":' + _AT_ITS_LIMIT[3:-3] + b"}",
    "errors in errors": b'{"error":' * 900 + b'"x"' + b"}" * 900,
    "an error of megabytes": b'{"error":{"message":"' + b"A" * 5_000_000 + b'"}}',
    "tokens beyond all numbers": _CHOICE + b',"usage":{"prompt_tokens":1e400,"completion_tokens":-7}}',
    "tokens of 70 bits": _CHOICE + b',"usage":{"prompt_tokens":1180591620717411303424}}',
    "a key twice": _CHOICE + b',"choices":7}',
    "an event at its limit": b"data: " + _AT_ITS_LIMIT + b"\n\n",
    "an event, deep": b"data: " + _DEEP + b"\n\n",
    "an event of errors, deep": b"event: error\ndata: " + _DEEP + b"\n\n",
    "choices that are a number": b'data: {"choices": 7}\n\ndata: [DONE]\n\n',
    "a choice that is a text": b'data: {"choices": ["x"]}\n\ndata: [DONE]\n\n',
    "a content that is a number": b'data: {"choices": [{"delta": {"content": 5}}]}\n\ndata: [DONE]\n\n',
    "calls that are a number": b'data: {"choices": [{"delta": {"tool_calls": 5}}]}\n\ndata: [DONE]\n\n',
    "a million lines of one event": b"data:\n" * 1_000_000,
}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    only_key(monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 400, 429, 500])
@pytest.mark.parametrize("name", BACKENDS)
def test_whatever_a_server_sends_is_a_response_or_a_providers_error(name: str, status: int) -> None:
    server_of, model_of = BACKENDS[name]
    bodies = list(BODIES.values())

    def script(payload: dict[str, Any], route: str) -> web.Response:
        return web.Response(body=bodies[len(server.requests) - 1], status=status)

    async def ask() -> list[Response | BaseException]:
        model = model_of(server.url)
        found: list[Response | BaseException] = []
        for _ in bodies:
            found += await asyncio.gather(model.generate(ASKED), return_exceptions=True)
        await model.aclose()
        return found

    with server_of(script) as server:
        answers = dict(zip(BODIES, asyncio.run(ask()), strict=True))
    for body, answer in answers.items():
        if isinstance(answer, Response):
            assert (name, status, answer.text) == ("openai", 200, "8"), body
            assert answer.prompt_tokens is answer.completion_tokens is None
        else:
            assert isinstance(answer, ProviderError), body
            assert str(answer).isprintable()
            assert len(str(answer)) < 1000


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 1 << 62) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
_DELTA = st.dictionaries(
    st.sampled_from(["content", "reasoning_content", "tool_calls", "refusal", "role"]), _ANY, max_size=3
)
_PIECE = st.dictionaries(
    st.sampled_from(["index", "delta", "message", "text", "logprobs", "error", "finish_reason"]),
    _ANY | _DELTA,
    max_size=4,
)
_EVENT = _ANY | st.fixed_dictionaries({"choices": _ANY | st.lists(_ANY | _PIECE, max_size=2)})


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.lists(_EVENT, max_size=4))
def test_any_stream_of_json_is_a_response_or_a_providers_error(events: list[Any]) -> None:
    body = b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    try:
        found = checked(parse(assembled(body), "chat", 0.1), ASKED)
    except ProviderError:
        return
    assert isinstance(found.text, str)


@pytest.mark.slow
def test_a_run_goes_on_and_no_answer_is_made_of_a_hostile_one(tmp_path: Path) -> None:
    """Each sample gets another body. Those that hold an answer are read; all others fail, with a reason."""
    bodies = list(BODIES.values())

    def script(payload: dict[str, Any], route: str) -> web.Response | str:
        asked = asked_text(payload)
        place = next(i for i in range(len(bodies), -1, -1) if f"is {i} +" in asked)
        if place == len(bodies):
            return f"The answer is {place + place % 7}."
        return web.Response(body=bodies[place])

    with OpenAIServer(script) as server:
        table = evalkit.run(
            "openai/m",
            sums(tmp_path, len(bodies) + 1),
            base_url=server.url,
            output=tmp_path / "r.db",
            retries=0,
        )
    (cell,) = table.cells
    read = {"tokens beyond all numbers", "tokens of 70 bits"}
    assert cell.outcomes["failed"] == len(BODIES) - len(read)
    assert (cell.outcomes["correct"], cell.n) == (1, 1 + len(read))  # theirs say 8, which is wrong
    assert cell.tokens[0] < 1000
