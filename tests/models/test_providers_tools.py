"""Tools through the providers' own protocols: one conversation gives one transcript through each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from evalkit.models.anthropic import AnthropicModel
from evalkit.models.base import Request, Response
from evalkit.models.bedrock import BedrockModel, open_bedrock
from evalkit.models.gemini import GeminiModel
from evalkit.models.http_model import HTTPModel
from evalkit.models.openai import OpenAIModel
from evalkit.models.registry import Named
from evalkit.samples import Message, Tool, ToolCall
from tests.anthropic_server import AnthropicServer
from tests.bedrock_server import BedrockServer
from tests.gemini_server import GeminiServer
from tests.models.asking import asked_of, error_of, only_key
from tests.openai_server import OpenAIServer, calling

Script: TypeAlias = Callable[[dict[str, Any], str], Any]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"expression": {"type": "string"}}}
CALCULATOR = Tool("calculate", "Works out a sum.", SCHEMA)
CLOCK = Tool("clock", "", {"type": "object", "properties": {}})
TOOLS = (CALCULATOR, CLOCK)
SUM = (Message("system", "Use the tools."), Message("user", "What is 2 + 3, and when?"))


def _bedrock(url: str) -> BedrockModel:
    return open_bedrock(Named("bedrock/tiny", "tiny", {}, base_url=url))


BACKENDS: dict[str, tuple[type[OpenAIServer], Callable[[str], HTTPModel]]] = {
    "openai": (OpenAIServer, lambda url: OpenAIModel("tiny", url)),
    "gemini": (GeminiServer, lambda url: GeminiModel("tiny", url)),
    "anthropic": (AnthropicServer, lambda url: AnthropicModel("tiny", url)),
    "bedrock": (BedrockServer, _bedrock),
}
OWN = ("gemini", "anthropic", "bedrock")


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    only_key(monkeypatch)


def script(payload: dict[str, Any], route: str) -> Any:
    """Calls both tools, then one of them again, then answers with what they said."""
    results = [turn["content"] for turn in payload["messages"] if turn["role"] == "tool"]
    if not results:
        calls = ("calculate", '{"expression":"2 + 3"}'), ("clock", "{}")
        return calling(payload, *calls, text="I look.")
    if len(results) == 2:
        return calling(payload, ("calculate", '{"expression":"5 + 0"}'))
    return f"It is {results[0]}, or {results[2]}, at {results[1]!r}."


def conversation(name: str, answers: Script = script) -> tuple[list[Response], list[dict[str, Any]]]:
    """The responses of a model that is given its tools' results, and the requests as the script got them."""
    server_of, model_of = BACKENDS[name]
    heard: list[dict[str, Any]] = []

    def hearing(payload: dict[str, Any], route: str) -> Any:
        heard.append({key: payload[key] for key in ("messages", "tools")})
        return answers(payload, route)

    responses: list[Response] = []
    turns: tuple[Message, ...] = SUM
    with server_of(hearing) as server:
        while not responses or responses[-1].tool_calls:
            (said,) = asked_of(model_of(server.url), Request(turns, 64, tools=TOOLS))
            responses.append(said)
            results = {"calculate": "5", "clock": ""}
            turns += (Message("assistant", said.text, said.tool_calls),)
            turns += tuple(
                Message("tool", results[call.name], tool_call_id=call.id) for call in said.tool_calls
            )
    return responses, heard


def plain(responses: list[Response]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """What a transcript has of responses, without ids, which are the provider's own."""
    return [
        (one.text, one.finish, [(call.name, call.arguments) for call in one.tool_calls]) for one in responses
    ]


@pytest.mark.parametrize("name", OWN)
def test_one_conversation_has_one_transcript_through_each_protocol(name: str) -> None:
    known, own = conversation("openai"), conversation(name)
    assert plain(own[0]) == plain(known[0])
    assert [len(one.tool_calls) for one in own[0]] == [2, 1, 0]
    assert len(own[1]) == 3
    assert own[1][0]["tools"] == known[1][0]["tools"]
    assert [one["messages"] for one in own[1]] == [one["messages"] for one in known[1]]


@pytest.mark.parametrize("name", OWN)
def test_a_call_that_cannot_be_sent_back_fails_the_sample(name: str) -> None:
    turns = (*SUM, Message("assistant", "", (ToolCall("clock", "[1", "1"),)), Message("tool", "", (), "1"))
    server_of, model_of = BACKENDS[name]
    with server_of(script) as server:
        error = error_of(lambda: asked_of(model_of(server.url), Request(turns, 64, tools=TOOLS)))
        assert server.requests == []
    assert str(error) == "the arguments of a tool call are no JSON object: [1"
    assert (error.fatal, error.retryable) == (False, False)


def test_calls_without_an_id_are_answered_in_their_order() -> None:
    """Gemini's, of models before Gemini 3."""
    calls = (ToolCall("clock", "{}"), ToolCall("calculate", '{"expression":"1+1"}'))
    turns = (*SUM, Message("assistant", "", calls), Message("tool", "noon"), Message("tool", "2"))
    sent = GeminiModel("tiny", "http://127.0.0.1:9").wire(Request(turns, 64, tools=TOOLS))
    body: Any = sent["body"]
    assert body["contents"][1]["parts"] == [
        {"functionCall": {"name": "clock", "args": {}}},
        {"functionCall": {"name": "calculate", "args": {"expression": "1+1"}}},
    ]
    assert body["contents"][2]["parts"] == [
        {"functionResponse": {"name": "clock", "response": {"output": "noon"}}},
        {"functionResponse": {"name": "calculate", "response": {"output": "2"}}},
    ]
    lost = Request((*turns, Message("tool", "3")), 64, tools=TOOLS)
    assert "no tool call before it has the id ''" in str(
        error_of(lambda: GeminiModel("tiny", "http://127.0.0.1:9").wire(lost))
    )


def test_thinking_and_tools_are_refused_with_what_to_do_at_anthropic() -> None:
    """The API wants the thoughts back, with their signatures, and refuses a conversation without them."""
    turns = (*SUM, Message("assistant", "", (ToolCall("clock", "{}", "1"),)), Message("tool", "", (), "1"))
    thinking: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 32}}
    model = AnthropicModel("tiny", "http://127.0.0.1:9")
    assert model.wire(Request(SUM, 64, tools=TOOLS, extra=thinking))
    error = error_of(lambda: model.wire(Request(turns, 64, tools=TOOLS, extra=thinking)))
    assert error.fatal
    assert "leave out --set extra.thinking" in str(error)


def test_calls_are_part_of_what_prompts_begin_with() -> None:
    """`?cache=on` marks the end of what the conversation and the one before it share, calls included."""
    calls = (ToolCall("calculate", '{"expression":"1+1"}', "1"),)
    shots = (Message("user", "word " * 5000), Message("assistant", "", calls), Message("tool", "2", (), "1"))
    model = AnthropicModel("tiny", "http://127.0.0.1:9", cache=True)
    for question in ("One?", "Two?"):
        body: Any = model.wire(Request((*shots, Message("user", question)), 64, tools=TOOLS))["body"]
    marked = [block for turn in body["messages"] for block in turn["content"] if "cache_control" in block]
    assert [block["type"] for block in marked] == ["tool_result"]


@pytest.mark.parametrize("name", ["anthropic", "bedrock"])
def test_the_stand_ins_refuse_a_result_without_its_call(name: str) -> None:
    turns = (*SUM, Message("assistant", "Hm."), Message("tool", "5", (), "9"))
    server_of, model_of = BACKENDS[name]
    with server_of(script) as server:
        error = error_of(lambda: asked_of(model_of(server.url), Request(turns, 64, tools=TOOLS)))
    assert "HTTP 400" in str(error)
    assert "need a result each in the next turn, which has ['9']" in str(error)
