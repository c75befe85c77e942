"""What goes over the wire to Bedrock's route Converse, and what is read from its answers."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import PIL.Image
import pytest
from aiohttp import web

from evalkit.errors import ProviderError
from evalkit.models import open_model
from evalkit.models.base import Finish, Request, Response
from evalkit.samples import Image, Message
from tests.bedrock_server import BedrockServer, refuse, said
from tests.models.asking import ASKED, KEY, asked_of, error_of, only_key
from tests.openai_server import Payload

NAME = "us.maker.tiny-v1:0"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    only_key(monkeypatch, "AWS_BEARER_TOKEN_BEDROCK")


def ask(server: BedrockServer, *requests: Request) -> list[Response]:
    return asked_of(open_model(f"bedrock/{NAME}", base_url=server.url), *requests)


def read(document: Payload) -> Response:
    with BedrockServer(lambda payload, route: document) as server:
        return ask(server, ASKED)[0]


def problem(server: BedrockServer, request: Request = ASKED) -> ProviderError:
    return error_of(lambda: ask(server, request))


def departures(request: Request) -> list[str]:
    model: Any = open_model(f"bedrock/{NAME}", base_url="http://127.0.0.1:9")
    return [name for name, _ in model.departures(request)]


def test_a_request_is_sent_as_the_reference_says() -> None:
    shots = (
        Message("system", "Be brief."),
        Message("user", "How many legs has a dog?"),
        Message("assistant", "4"),
        Message("user", "How many legs"),
        Message("user", " has a spider?"),
    )
    extra: Payload = {"top_k": 20, "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}
    drawn = Request(shots, 64, 0.8, 0.95, ("\n\n", "Q:"), seed=7, extra=extra)
    with BedrockServer(api_key=KEY, model=NAME) as server:
        ask(server, ASKED, drawn)
    plain, full = server.requests
    asked = {"role": "user", "content": [{"text": "How many legs has a spider?"}]}
    config: Payload = {"maxTokens": 64, "temperature": 0.0}
    assert plain.payload == {"messages": [asked], "inferenceConfig": config}
    assert full.payload == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "How many legs has a dog?"}]},
            {"role": "assistant", "content": [{"text": "4"}]},
            {"role": "user", "content": [{"text": "How many legs"}, {"text": " has a spider?"}]},
        ],
        "inferenceConfig": {"maxTokens": 64, "temperature": 0.8, "topP": 0.95, "stopSequences": ["Q:"]},
        "additionalModelRequestFields": {"top_k": 20},
        "guardrailConfig": extra["guardrailConfig"],
    }
    assert plain.headers["Authorization"] == f"Bearer {KEY}"
    assert departures(drawn) == ["seed", "stop"]
    assert departures(ASKED) == []


def test_texts_and_pictures_are_sent_in_order() -> None:
    file = BytesIO()
    PIL.Image.new("RGB", (8, 6), "red").save(file, "PNG")
    picture = Image(file.getvalue())
    with BedrockServer() as server:
        ask(server, Request((Message("user", ("Before.", picture, "", "After.")),), 64))
        (turn,) = server.requests[0].payload["messages"]
        assert [[*block] for block in turn["content"]] == [["text"], ["image"], ["text"]]
        assert [(seen.mime, seen.data) for seen in server.seen] == [("image/png", picture.data)]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"), ("guardrail_intervened", "filter"),
        ("content_filtered", "filter"), ("malformed_model_output", "other"),
    ],
)  # fmt: skip
def test_stop_reasons(reason: str, finish: Finish) -> None:
    found = read(said({"text": "Half of it"}, stop=reason))
    assert found.finish == finish
    assert found.text == ("" if finish == "filter" else "Half of it")
    assert found.reasoning == (f"Half of it\n{reason}" if finish == "filter" else "")


def test_reasoning_and_tokens() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "It is 6, or 8.", "signature": "s"}}}
    hidden = {"reasoningContent": {"redactedContent": "ZW5j"}}
    found = read(said(thought, hidden, {"text": "8"}, cacheReadInputTokens=100, cacheWriteInputTokens=0))
    assert (found.text, found.reasoning) == ("8", "It is 6, or 8.\n[redacted reasoning]")
    assert (found.prompt_tokens, found.completion_tokens) == (109, 3)
    assert found.tokens == (("read from the cache", 100),)


@pytest.mark.parametrize("body", [{}, [], {"output": {}}, {"output": {"message": {"content": "text"}}}])
def test_what_is_no_response_is_asked_for_again(body: Any) -> None:
    with BedrockServer(lambda payload, route: web.json_response(body)) as server:
        error = problem(server)
    assert error.retryable
    assert "invalid Bedrock response" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "words", "expected"),
    [
        (429, "ThrottlingException", "Too many requests, please wait before trying again.", "slower"),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", "never"),
        (503, "ServiceUnavailableException", "Bedrock is unable to process your request.", "again"),
        (424, "ModelErrorException", "The request failed while the model processed it.", "again"),
        (408, "ModelTimeoutException", "Model has timed out in processing the request.", "again"),
        (400, "ValidationException", "Input is too long for requested model.", "too long"),
        (400, "ValidationException", "The provided model identifier is invalid.", "never"),
        (403, "AccessDeniedException", "You don't have access to the model.", "never"),
        (404, "ResourceNotFoundException", "Model use case details have not been submitted.", "never"),
        (413, "ValidationException", "The request is too large.", "alone"),
    ],
)
def test_refusals(status: int, kind: str, words: str, expected: str) -> None:
    with BedrockServer(lambda *_: refuse(status, words, kind)) as server:
        error = problem(server)
    assert words in str(error)
    assert (error.fatal, error.retryable) == (expected == "never", expected in ("slower", "again"))
    assert error.limited == (expected == "slower")
    assert error.too_long == (expected == "too long")


def test_what_a_model_does_not_take() -> None:
    with BedrockServer(system=False) as server:
        ask(server, Request((Message("system", "Be brief."), Message("user", "2 + 2?")), 64))
        (turn,) = server.requests[-1].payload["messages"]
        assert "system" not in server.requests[-1].payload
        assert "".join(block["text"] for block in turn["content"]) == "Be brief.\n\n2 + 2?"
        assert "use --set temperature=1" in str(problem(server, Request(ASKED.prompt, 64, 1.5)))
        error = problem(server, Request(ASKED.prompt, 64, extra={"min_p": 0.1}))
    assert error.fatal
    assert "does not take min_p" in str(error)


def test_what_is_no_chat_of_two_is_refused() -> None:
    turns = (Message("user", "2 + 2?"), Message("system", "Be brief."), Message("user", "Now."))
    with BedrockServer() as server:
        assert "cannot send a message of the role system" in str(problem(server, Request(turns, 64)))
    assert not server.requests
