"""A probe against servers that have everything, and against servers that lie about one thing each."""

from __future__ import annotations

import asyncio
import time

import pytest

from evalkit.errors import ProviderError, UsageError
from evalkit.models import open_model
from evalkit.probing import Answer, Probe
from evalkit.probing.asking import Bounds
from evalkit.probing.run import probe, probed
from tests.anthropic_server import AnthropicServer
from tests.gemini_server import GeminiServer
from tests.openai_server import Fault, OpenAIServer, Payload, asked_text
from tests.openai_wire import calling
from tests.probed_server import CONTEXT, Lie, ProbedServer


def probed_at(server: OpenAIServer, bounds: Bounds | None = None, name: str = "openai/any") -> Probe:
    async def go() -> Probe:
        model = probed(open_model(name, base_url=server.url))
        try:
            return await probe(model, bounds)
        finally:
            await model.aclose()

    return asyncio.run(go())


def found(result: Probe) -> dict[str, Answer]:
    return {answer.name: answer for answer in result.answers}


def test_a_server_that_has_everything() -> None:
    with ProbedServer() as server:
        result = probed_at(server)
        asked = [one.payload for one in server.requests]
        most = server.max_in_flight
    answers = found(result)
    assert {name: one.verdict for name, one in answers.items() if one.verdict != "yes"} == {"reasoning": "no"}
    assert answers["chat_logprobs"].number == answers["completion_logprobs"].number == 20
    assert (answers["context"].number, "max_model_len" in answers["context"].reason) == (CONTEXT, True)
    assert result.requests == len(asked) <= 30
    assert most <= 4
    assert result.prompt_tokens > 0 < result.completion_tokens
    assert max(one.get("max_tokens", 0) for one in asked if "tools" not in one) <= 16


LIES: dict[Lie, tuple[str, str, str]] = {
    "no chat": ("chat", "no", "no chat template"),
    "no completions": ("completion", "no", "not supported in this endpoint"),
    "ignores stop": ("stop", "no", "writes on after a stop sequence"),
    "refuses stop": ("stop", "no", "takes no stop sequences"),
    "echo without log-probabilities": ("echo", "no", "ignores echo, or returns the prompt without them"),
    "echo made up": ("echo", "no", "a garbled text is as likely"),
    "ignores n": ("chat_n", "no", "1 choice of 2"),
    "equal choices": ("completion_n", "unclear", "both choices have the same text"),
    "no finish reason": ("chat_n", "unclear", "do not say why they ended"),
    "refuses n": ("completion_n", "no", "'n' must be 1"),
    "ignores the seed": ("seed", "no", "one seed gave two texts"),
    "refuses the seed": ("seed", "no", "takes no seed"),
    "five alternatives": ("chat_logprobs", "yes", "5 alternatives of a token, of 20 asked for"),
    "no alternatives": ("chat_logprobs", "no", "it returns none"),
    "no log-probabilities": ("completion_logprobs", "no", "does not take logprobs"),
    "ignores pictures": ("image", "no", "ignores it"),
    "refuses pictures": ("image", "no", "At most 0 image(s)"),
    "has no pictures": ("image", "no", "you may need to provide the mmproj"),
    "ignores clips": ("audio", "no", "ignores it"),
    "counts no files": ("audio", "unclear", "does not show that it is heard"),
    "refuses clips": ("audio", "no", "At most 0 audio(s)"),
    "refuses the system message": ("system", "no", "before the user's text"),
    "ignores the system message": ("system", "unclear", "does not follow it"),
    "refuses tools": ("tools", "no", "--enable-auto-tool-choice"),
    "ignores tools": ("tools", "unclear", "did not call"),
    "reasons": ("reasoning", "yes", "reasons before it answers"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_shows_in_its_feature(lie: Lie) -> None:
    name, verdict, reason = LIES[lie]
    with ProbedServer(lie) as server:
        answer = found(probed_at(server))[name]
    assert answer.verdict == verdict
    assert reason in answer.reason


def test_an_endpoint_that_takes_fewer_alternatives_says_how_many() -> None:
    with ProbedServer(most_logprobs=5) as server:
        answer = found(probed_at(server))["chat_logprobs"]
    assert (answer.verdict, answer.number) == ("yes", 5)
    assert "by its refusal of more" in answer.reason


@pytest.mark.parametrize(
    ("card", "tokens", "reason"),
    [
        ({"context_length": 8192}, 8192, "context_length"),
        ({"meta": {"n_ctx_train": 32768, "n_ctx": 2048}}, 2048, "meta.n_ctx"),
        ({"max_model_len": -1, "meta": None}, CONTEXT, "by its refusal of more"),
    ],
)
def test_the_context_by_the_list_of_models_or_by_a_refusal(card: Payload, tokens: int, reason: str) -> None:
    with ProbedServer(card=card) as server:
        answer = found(probed_at(server))["context"]
    assert (answer.verdict, answer.number) == ("yes", tokens)
    assert reason in answer.reason


def test_no_refusal_is_provoked_where_nothing_would_end_the_response() -> None:
    with ProbedServer("ignores stop", card={}) as server:
        answer = found(probed_at(server))["context"]
        most = max(one.payload["max_tokens"] for one in server.requests)
    assert (answer.verdict, most) == ("unclear", 64)


def test_an_echo_that_is_off_by_one() -> None:
    with ProbedServer(echo="off by one") as server:
        answer = found(probed_at(server))["echo"]
    assert (answer.verdict, "off by one" in answer.reason) == ("no", True)


@pytest.mark.parametrize("fault", ["429", "500", "503", pytest.param("hang", marks=pytest.mark.slow)])
def test_a_fault_of_the_server_is_never_a_no(fault: Fault) -> None:
    with ProbedServer(fault=fault) as server:
        result = probed_at(server, Bounds(request=0.5))
    verdicts = {name: one.verdict for name, one in found(result).items()}
    assert verdicts["chat"] == verdicts["stop"] == "yes"
    assert verdicts["image"] == verdicts["audio"] == verdicts["seed"] == verdicts["chat_n"] == "unclear"


@pytest.mark.slow
def test_what_is_not_tried_in_time_is_unclear() -> None:
    with ProbedServer(fault="hang") as server:
        began = time.monotonic()
        result = probed_at(server, Bounds(request=600, total=1.0))
        took = time.monotonic() - began
    assert took < 20
    late = {name for name, one in found(result).items() if "in the time of the probe" in one.reason}
    assert {"image", "audio", "seed"} <= late


def test_an_endpoint_that_answers_nothing_is_an_error() -> None:
    with ProbedServer(model="another") as server, pytest.raises(UsageError, match="does not exist"):
        probed_at(server)
    overloaded = ProbedServer()
    overloaded.fail("503", 2)
    with overloaded as server, pytest.raises(ProviderError, match="answered neither") as failed:
        probed_at(server)
    assert not isinstance(failed.value, UsageError)
    with (
        ProbedServer(api_key="right") as server,
        pytest.raises(UsageError, match="refuses the key: is OPENAI"),
    ):
        probed_at(server)


@pytest.mark.parametrize("name", ["fake/gold", "transcribe/whisper"])
def test_a_model_that_is_at_no_endpoint_of_texts(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be probed"):
        probed(open_model(name))


def obedient(payload: Payload, route: str) -> str | Payload:
    """Follows a system message, calls the tool that it is given, repeats words, and otherwise says yes."""
    if payload.get("tools"):
        return calling(payload, ("add", '{"a": 12, "b": 30}'))
    if any(turn["role"] == "system" for turn in payload["messages"]):
        return "Pineapple."
    text = asked_text(payload)
    return text.partition(": ")[2] if text.startswith("Repeat") else "Yes."


PROVIDERS: dict[str, tuple[type[OpenAIServer], dict[str, str]]] = {
    "gemini/any": (
        GeminiServer,
        {
            "system": "yes",
            "stop": "yes",
            "chat_logprobs": "yes",
            "completion": "no",
            "echo": "no",
            "tools": "yes",
        },
    ),
    "anthropic/any": (
        AnthropicServer,
        {
            "system": "yes",
            "stop": "yes",
            "tools": "yes",
            "seed": "no",
            "audio": "no",
            "chat_logprobs": "no",
            "echo": "no",
        },
    ),
}


@pytest.mark.parametrize("name", PROVIDERS)
def test_backends_with_other_routes_are_asked_for_what_they_have(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, verdicts = PROVIDERS[name]
    monkeypatch.setenv(f"{name.partition('/')[0].upper()}_API_KEY", "right")
    with kind(obedient, api_key="right") as server:
        result = probed_at(server, name=name)
    answers = found(result)
    assert {one: answers[one].verdict for one in verdicts} == verdicts
    assert (answers["chat"].verdict, answers["chat_n"].verdict) == ("yes", "no")
    assert "no parameter for it" in answers["chat_n"].reason
