"""What goes over the wire to Anthropic, and what is read from its answers."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import Any

import PIL.Image
import pytest
from aiohttp import web

from evalkit.errors import ProviderError
from evalkit.models.anthropic import AnthropicModel
from evalkit.models.base import Finish, Request, Response
from evalkit.samples import Image, Message
from tests.anthropic_server import AnthropicServer, refuse, said
from tests.models.asking import ASKED, KEY, asked_of, error_of, only_key
from tests.openai_server import Payload


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    only_key(monkeypatch, "ANTHROPIC_API_KEY")


def ask(server: AnthropicServer, *requests: Request, cache: bool = False) -> list[Response]:
    return asked_of(AnthropicModel("tiny", server.url, cache=cache), *requests)


def read(document: Payload, request: Request = ASKED) -> Response:
    with AnthropicServer(lambda payload, route: document) as server:
        return ask(server, request)[0]


def problem(server: AnthropicServer, request: Request = ASKED) -> ProviderError:
    return error_of(lambda: ask(server, request))


def refusing(words: str, payload: Payload, route: str) -> web.Response:
    return refuse(400, words)


def departures(request: Request) -> list[str]:
    return [name for name, _ in AnthropicModel("tiny", "http://127.0.0.1:9").departures(request)]


def text(words: str) -> Payload:
    return {"type": "text", "text": words}


def test_a_request_is_sent_as_the_reference_says() -> None:
    shots = (
        Message("system", "Be brief."),
        Message("user", "How many legs has a dog?"),
        Message("assistant", "4"),
        Message("user", "How many legs has a spider?"),
        Message("user", ""),
    )
    drawn = Request(shots, 64, 0.8, 0.95, ("\n\n", "Q:"), seed=7, extra={"top_k": 20})
    with AnthropicServer(api_key=KEY, model="tiny") as server:
        ask(server, ASKED, drawn)
    plain, full = server.requests
    asked = {"role": "user", "content": [text("How many legs has a spider?")]}
    assert plain.payload == {"model": "tiny", "max_tokens": 64, "messages": [asked], "temperature": 0.0}
    assert full.payload == {
        "model": "tiny",
        "max_tokens": 64,
        "system": [text("Be brief.")],
        "messages": [
            {"role": "user", "content": [text("How many legs has a dog?")]},
            {"role": "assistant", "content": [text("4")]},
            asked,
        ],
        "temperature": 0.8,
        "top_p": 0.95,
        "stop_sequences": ["Q:"],
        "top_k": 20,
    }
    assert plain.headers["x-api-key"] == KEY
    assert plain.headers["anthropic-version"] == "2023-06-01"
    assert "Authorization" not in plain.headers
    assert departures(drawn) == ["seed", "stop"]
    assert departures(ASKED) == []


def test_texts_and_pictures_are_sent_in_order() -> None:
    file = BytesIO()
    PIL.Image.new("RGB", (8, 6), "red").save(file, "PNG")
    picture = Image(file.getvalue())
    with AnthropicServer() as server:
        ask(server, Request((Message("user", ("Before.", picture, "After.")),), 64))
        (turn,) = server.requests[0].payload["messages"]
        assert [block["type"] for block in turn["content"]] == ["text", "image", "text"]
        assert [(seen.mime, seen.data) for seen in server.seen] == [("image/png", picture.data)]
        error = problem(server, Request((Message("user", (Image(b"\x89PNG no picture"),)),), 64))
        assert "Could not process image" in str(error)
        assert (error.fatal, error.retryable) == (False, False)
        server.script = lambda payload, route: refuse(
            413, "Request exceeds the maximum size", "request_too_large"
        )
        error = problem(server)
        assert (error.fatal, error.retryable) == (False, False)


def test_thinking_is_reasoning_and_never_the_answer() -> None:
    found = read(
        said(
            {"type": "thinking", "thinking": "The answer is 6, or 8.", "signature": "c2lnbmVk"},
            {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"},
            text("The answer "),
            text("is 8."),
        )
    )
    assert found.text == "The answer is 8."
    assert found.reasoning == "The answer is 6, or 8.\n[redacted reasoning]"
    assert ("model", "tiny") in found.signs


def test_thinking_is_set_as_the_api_names_it() -> None:
    extra: Payload = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    with AnthropicServer() as server:
        ask(server, Request(ASKED.prompt, 2048, extra=extra))
        assert server.requests[-1].payload["thinking"] == extra["thinking"]
        # The API thinks at its own temperature only: the request was sent again without one.
        assert [one.payload.get("temperature") for one in server.requests] == [0.0, None]
        error = problem(server, Request(ASKED.prompt, 1000, extra=extra))
    assert error.fatal
    assert "leaves none of max_tokens=1000 for the answer: --set max_tokens=2024" in str(error)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"stop_sequences": ["a"]}, "--set extra.stop_sequences is decided by the protocol"),
        ({"max_tokens": 5}, "--set extra.max_tokens is decided by the protocol"),
        ({"min_p": 0.1}, "does not take min_p, which the protocol asks for"),
    ],
)
def test_what_must_not_be_set(extra: Payload, words: str) -> None:
    with AnthropicServer() as server, pytest.raises(ProviderError, match=words) as refused:
        ask(server, Request(ASKED.prompt, 64, extra=extra))
    assert refused.value.fatal


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("tool_use", "stop"), ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"), ("refusal", "filter"), ("pause_turn", "other"),
    ],
)  # fmt: skip
def test_stop_reasons(reason: str, finish: Finish) -> None:
    found = read(said(text("Half of it"), stop=reason))
    assert found.finish == finish
    assert found.text == ("" if finish == "filter" else "Half of it")
    assert found.reasoning == ("Half of it\nrefusal" if finish == "filter" else "")


def test_a_response_without_a_text() -> None:
    assert (read(said()).finish, read(said()).text) == ("stop", "")
    assert read(said({"type": "thinking", "thinking": "Hm", "signature": ""}, stop="max_tokens")).truncated
    explained = said(stop="refusal", stop_details={"type": "refusal", "explanation": "About weapons."})
    assert read(explained).reasoning == "About weapons."


@pytest.mark.parametrize("body", [{}, [], {"content": [1]}, {"content": "text"}, {"content": None}, "text"])
def test_what_is_no_response_is_asked_for_again(body: Any) -> None:
    with AnthropicServer(lambda payload, route: web.json_response(body)) as server:
        error = problem(server)
    assert error.retryable
    assert "invalid Anthropic response" in str(error)


def test_an_error_in_a_200_is_that_error() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with AnthropicServer(lambda payload, route: web.json_response(body)) as server:
        error = problem(server)
    assert (error.retryable, error.throttled, error.limited) == (True, True, False)


def test_what_a_limit_says() -> None:
    """A 429 names the seconds to wait; without them, the headers of what is used up do."""
    headers = {
        "anthropic-ratelimit-requests-remaining": "40",
        "anthropic-ratelimit-requests-reset": "2999-01-01T00:00:00Z",
        "anthropic-ratelimit-input-tokens-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2000-01-01T00:00:00Z",
    }
    with AnthropicServer(lambda *_: refuse(429, "Slower.", "rate_limit_error", **headers)) as server:
        error = problem(server)
        assert (error.retryable, error.limited, error.retry_after) == (True, True, 0.0)
        asked = headers | {"retry-after": "12"}
        server.script = lambda payload, route: refuse(429, "Slower.", "rate_limit_error", **asked)
        assert problem(server).retry_after == 12.0


def test_other_refusals() -> None:
    with AnthropicServer(lambda *_: refuse(529, "Overloaded", "overloaded_error")) as server:
        error = problem(server)
        assert (error.retryable, error.throttled, error.limited) == (True, True, False)
        for words in (
            "prompt is too long: 208310 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 199000 + 21333 > 200000",
        ):
            server.script = partial(refusing, words)
            error = problem(server)
            assert (error.too_long, error.fatal, error.retryable) == (True, False, False)
        words = "max_tokens: 64 > 32, which is the maximum allowed number of output tokens for tiny"
        server.script = lambda payload, route: refuse(400, words)
        assert "use --set max_tokens=32" in str(problem(server))
    with AnthropicServer(model="large") as server:
        error = problem(server)
        assert error.fatal
        assert "HTTP 404" in str(error)


def test_newer_models_take_one_of_temperature_and_top_p() -> None:
    with AnthropicServer(one_of=True) as server:
        ask(server, Request(ASKED.prompt, 64, 0.7))
        assert [one.payload.get("top_p") for one in server.requests] == [1.0, None]
        assert "use --set top_p=1" in str(problem(server, Request(ASKED.prompt, 64, 0.7, 0.9)))
        error = problem(server, Request(ASKED.prompt, 64, 1.5))
    assert error.fatal
    assert "use --set temperature=1" in str(error)


def test_a_message_of_the_assistant_is_continued_if_the_model_does_that() -> None:
    asked = Request((Message("user", "How many legs?"), Message("assistant", "It has ")), 64)
    with AnthropicServer(lambda payload, route: "8 legs") as server:
        assert ask(server, asked)[0].text == "8 legs"
        assert server.requests[0].payload["messages"][-1]["content"] == [text("It has")]
    assert departures(asked) == ["prefill"]
    with AnthropicServer(prefill=False) as server:
        error = problem(server, asked)
    assert error.fatal
    assert str(error).startswith(
        "the model does not continue a message of the assistant: use another protocol"
    )


def test_what_is_no_chat_of_two_is_refused() -> None:
    turns = (Message("user", "2 + 2?"), Message("system", "Be brief."), Message("user", "Now."))
    with AnthropicServer() as server:
        assert "cannot send a message of the role system" in str(problem(server, Request(turns, 64)))
        assert "accepts chats" in str(problem(server, Request("A spider has", 64)))
    assert not server.requests


SHOTS = "".join(f"Question {number}: {'word ' * 40}?\nAnswer: {number}\n\n" for number in range(12))


def test_shots_in_one_text_are_cached_after_the_first_request() -> None:
    asked = [Request((Message("user", f"{SHOTS}Question: {number}?"),), 64) for number in range(4)]
    with AnthropicServer(lambda payload, route: "8") as server:
        found = ask(server, *asked, cache=True)
        plain = ask(server, asked[0])[0]
    contents = [one.payload["messages"][0]["content"] for one in server.requests]
    assert contents[0] == contents[4] == [text(f"{SHOTS}Question: 0?")]
    for number in (1, 2, 3):
        shots = {**text(SHOTS), "cache_control": {"type": "ephemeral"}}
        assert contents[number] == [shots, text(f"Question: {number}?")]
    kinds = [dict(one.tokens) for one in found]
    assert kinds[0] == {}
    assert {*kinds[1]} == {"written to the cache"}
    assert {*kinds[2]} == {*kinds[3]} == {"read from the cache"}
    assert kinds[1]["written to the cache"] == kinds[2]["read from the cache"] > 300
    assert {one.prompt_tokens for one in found} == {plain.prompt_tokens}  # whatever was cached


def test_shots_as_turns_and_the_system_message_are_cached() -> None:
    shots = (Message("system", "word " * 100), Message("user", SHOTS), Message("assistant", "Yes."))
    asked = [Request((*shots, Message("user", f"Question {number}?")), 64) for number in range(2)]
    with AnthropicServer() as server:
        ask(server, *asked, cache=True)
    first, second = (one.payload for one in server.requests)
    assert "cache_control" not in str(first)
    assert second["messages"][1]["content"] == [{**text("Yes."), "cache_control": {"type": "ephemeral"}}]
    assert str(second).count("cache_control") == 1


def test_equal_prompts_are_cached_whole() -> None:
    """The draws of one sample."""
    asked = Request((Message("user", f"{SHOTS}Question: 1?"),), 64, 0.7)
    with AnthropicServer() as server:
        ask(server, asked, asked, cache=True)
    (block,) = server.requests[1].payload["messages"][0]["content"]
    assert block["cache_control"] == {"type": "ephemeral"}


def test_short_or_different_prompts_are_sent_as_they_are() -> None:
    short = [Request((Message("user", f"Shots.\n\nQuestion: {number}?"),), 64) for number in range(3)]
    other = [Request((Message("user", f"{number}{SHOTS}"),), 64) for number in range(3)]
    with AnthropicServer() as server:
        ask(server, *short, *other, cache=True)
    assert "cache_control" not in str([one.payload for one in server.requests])
    assert all(len(one.payload["messages"][0]["content"]) == 1 for one in server.requests)


def test_caching_is_part_of_the_identity() -> None:
    """A text in two blocks may be read otherwise than one in one."""
    plain, cached = (AnthropicModel("tiny", "http://127.0.0.1:9", cache=on) for on in (False, True))
    assert plain.identity == {"backend": "anthropic", "model": "tiny", "endpoint": "http://127.0.0.1:9"}
    assert cached.identity == {**plain.identity, "cache": True}
    assert (plain.name, cached.name) == ("anthropic/tiny", "anthropic/tiny?cache=on")
