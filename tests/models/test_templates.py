"""What a template or a route cannot take: system messages, too many tokens, prompts with their tokens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Request
from evalkit.models.likelihood import probe_echo
from evalkit.models.openai import OpenAIModel
from evalkit.models.templates import folded, has_system, says_no_system
from evalkit.samples import JSON, Message
from tests.models.asking import asked_of
from tests.openai_server import OpenAIServer, Payload

CHAT = (Message("system", "Be brief."), Message("user", "Which river runs through the old town?"))
NO_SYSTEM = [
    "System role not supported",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "Only user and assistant roles are supported!",
    "Developer instruction is not enabled for models/gemma-3-27b-it",
    "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
    "This model doesn't support system messages. Try again without a system message.",
    "Value error, 'system' role is not allowed for this template",
    "The system prompt is not supported by this model",
]
OTHER = [
    "After the optional system message, conversation roles must alternate user/assistant/user/assistant/...",
    "'temperature' is not supported with this model.",
    "Internal system error",
    "max_tokens must be at most 8",
]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def refusing(message: str, status: int = 400, name: str = "messages") -> Any:
    def answer(payload: Payload, route: str) -> str | web.Response:
        refused = has_system(payload) if name == "messages" else name in payload
        if refused:
            return web.json_response({"error": {"message": message}}, status=status)
        return "the Elm"

    return answer


def test_words_against_a_system_message_and_others() -> None:
    assert [said for said in NO_SYSTEM if not says_no_system(said.encode())] == []
    assert [said for said in OTHER if says_no_system(said.encode())] == []


@pytest.mark.parametrize("status", [400, 500])
def test_a_system_message_that_the_template_lacks_stands_before_the_user_s(status: int) -> None:
    request = Request(CHAT, 64)
    with OpenAIServer(refusing(NO_SYSTEM[0], status)) as server:
        model = OpenAIModel("tiny", server.url)
        assert [found.text for found in asked_of(model, request, request)] == ["the Elm"] * 2
        assert len(server.requests) == 3  # it learns
        (message,) = server.requests[-1].payload["messages"]
        assert message == {"role": "user", "content": f"Be brief.\n\n{CHAT[1].content}"}
        assert [name for name, _ in model.departures(request)] == ["system"]
        assert not model.departures(Request(CHAT[1:], 64))


def test_parts_are_folded_too_and_what_has_no_user_s_turn_is_not() -> None:
    picture: JSON = {"type": "image_url", "image_url": {"url": "x"}}
    system: JSON = {"role": "system", "content": "Be brief."}
    content: JSON = [{"type": "text", "text": "Be brief."}, picture]
    assert folded([system, {"role": "user", "content": [picture]}]) == [{"role": "user", "content": content}]
    assert folded([system]) == [system]
    assert folded("x") == "x"


@pytest.mark.parametrize(
    ("message", "most"),
    [
        ("max_tokens is too large: 32768. This model supports at most 16384 completion tokens.", 16384),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),
        ("max_tokens: 32768 > 8,192, which is the maximum allowed number of output tokens", 8192),
        ("`max_tokens` must be less than or equal to `8192`", 8192),
    ],
)
def test_more_tokens_than_a_model_generates_is_an_error_that_says_how_many(message: str, most: int) -> None:
    with OpenAIServer(refusing(message, name="max_tokens")) as server:
        with pytest.raises(ProviderError, match=f"max_tokens 32768.*use --set max_tokens={most} ") as failed:
            asked_of(OpenAIModel("tiny", server.url), Request(CHAT, 32768))
        assert failed.value.fatal
        assert len(server.requests) == 1


def test_an_echo_that_is_refused_is_named() -> None:
    """OpenAI's words for its own models."""

    def answer(payload: Payload, route: str) -> Any:
        if payload.get("echo"):
            words = "Setting 'echo' and 'logprobs' at the same time is not supported for this model."
            return web.json_response({"error": {"message": words}}, status=400)
        logprobs = {"tokens": [" Paris"], "token_logprobs": [-0.1], "top_logprobs": [{" Paris": -0.1}]}
        return {"choices": [{"text": " Paris", "logprobs": logprobs, "finish_reason": "length"}]}

    async def probe(url: str) -> None:
        model = OpenAIModel("tiny", url)
        try:
            await probe_echo(model.generate)
        finally:
            await model.aclose()

    with (
        OpenAIServer(answer) as server,
        pytest.raises(UsageError, match=r"refuses echo together with logprobs.*likelihood=next-token"),
    ):
        asyncio.run(probe(server.url))
