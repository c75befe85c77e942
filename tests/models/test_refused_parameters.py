"""Parameters that an endpoint refuses, in the words of various servers: what is then sent and said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web

from evalkit.errors import ProviderError
from evalkit.models.base import Request
from evalkit.models.openai import OpenAIModel
from evalkit.samples import Message
from tests.models.asking import asked_of
from tests.openai_server import OpenAIServer, Payload

CHAT = (Message("user", "Which river runs through the old town?"),)
GREEDY = Request(CHAT, 64, stop=("\n\n",))
SAMPLED = Request(CHAT, 64, temperature=0.7, seed=3)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def refused(body: Any, status: int = 400) -> web.Response:
    return web.json_response(body, status=status)


def openai(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def pydantic(name: str) -> dict[str, Any]:
    """Mistral's, which repeats what it was given."""
    found = {"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}
    return {"object": "error", "message": {"detail": [{**found, "input": {"temperature": 0, "stop": "x"}}]}}


class Refusing:
    """A server that refuses with `bodies` the requests that hold the parameter at the given value."""

    def __init__(self, *rules: tuple[str, Any, Any, int]) -> None:
        self.rules = rules
        self.refusals = 0

    def __call__(self, payload: Payload, route: str) -> str | web.Response:
        for name, value, body, status in self.rules:
            if name in payload and value in (..., payload[name]):
                self.refusals += 1
                return refused(body, status)
        return "the Elm"


def without(payload: Payload, *names: str) -> Payload:
    return {key: value for key, value in payload.items() if key not in names}


TEMPERATURE: Sequence[tuple[Any, int]] = [
    (openai("Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value "
            "is supported.", "temperature", "unsupported_value"), 400),
    (openai("litellm.UnsupportedParamsError: O-series models don't support temperature=0.0. Only "
            "temperature=1 is supported. To drop unsupported params set `litellm.drop_params = True`"), 400),
    (openai("invalid temperature: only 1 is allowed for this model"), 400),
    (openai("`temperature` is deprecated for this model."), 400),
    ({"error": "Input validation error: `temperature` must be strictly positive", "error_type": "x"}, 422),
    (openai("'temperature' takes no value but its default, 1.", "temperature"), 400),
    (pydantic("temperature"), 422),
    ({"detail": "Parameter temperature is not supported by o4-mini"}, 400),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), TEMPERATURE)
def test_a_greedy_request_goes_without_a_temperature_that_is_refused(body: Any, status: int) -> None:
    refusing = Refusing(("temperature", 0.0, body, status))
    with OpenAIServer(refusing) as server:
        model = OpenAIModel("tiny", server.url)
        found = asked_of(model, GREEDY, GREEDY, GREEDY)
        assert [response.text for response in found] == ["the Elm"] * 3
        assert refusing.refusals == 1  # learnt for the rest of the run
        first, second, *_ = [asked.payload for asked in server.requests]
        assert second == without(first, "temperature")
    words = "the endpoint does not take temperature 0: asked at its default"
    assert model.departures(GREEDY) == (("temperature", words),)
    assert model.departures(SAMPLED) == ()


@pytest.mark.parametrize(("body", "status"), TEMPERATURE)
def test_a_sampled_request_needs_its_temperature(body: Any, status: int) -> None:
    with OpenAIServer(Refusing(("temperature", 0.7, body, status))) as server:
        with pytest.raises(
            ProviderError, match=r"does not take temperature 0\.7.*--set temperature=1"
        ) as failed:
            asked_of(OpenAIModel("tiny", server.url), SAMPLED)
        assert failed.value.fatal
        assert len(server.requests) == 1


NAMES: Sequence[tuple[Any, int]] = [
    (openai("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.", "max_tokens", "unsupported_parameter"), 400),
    (openai("'max_tokens' is unsupported here. Take 'max_completion_tokens'.", "max_tokens"), 400),
    (pydantic("max_tokens"), 422),
    ({"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": json.dumps(openai(
        "Unsupported parameter: 'max_tokens' is not supported with this model.", "max_tokens"))}}}, 400),
    (openai("Unrecognized request argument supplied: max_tokens"), 400),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), NAMES)
def test_the_limit_of_tokens_gets_its_other_name(body: Any, status: int) -> None:
    refusing = Refusing(("max_tokens", ..., body, status))
    with OpenAIServer(refusing) as server:
        model = OpenAIModel("tiny", server.url)
        asked_of(model, GREEDY, SAMPLED)
        assert refusing.refusals == 1
        assert [asked.payload.get("max_completion_tokens") for asked in server.requests] == [None, 64, 64]
    assert not model.departures(GREEDY)  # the same is asked


LEFT_OUT: Sequence[tuple[str, Request, Any, int, str]] = [
    ("seed", SAMPLED, pydantic("seed"), 422, "takes no seed"),
    ("seed", SAMPLED, openai("generate() got an unexpected keyword argument 'seed'"), 500, "no seed"),
    ("seed", SAMPLED, openai("Unrecognized request argument supplied: seed"), 400, "takes no seed"),
    ("seed", SAMPLED, openai("Invalid JSON payload received. Unknown name \"seed\": Cannot find field."), 400,
     "takes no seed"),
    ("top_p", SAMPLED, {"error": "Input validation error: `top_p` must be > 0.0 and < 1.0"}, 422, "top_p 1"),
    ("top_p", SAMPLED, openai("`temperature` and `top_p` cannot both be specified for this model. Please use "
                              "only one."), 400, "top_p 1"),
    ("stop", GREEDY, openai("Unsupported parameter: 'stop' is not supported with this model.", "stop",
                            "unsupported_parameter"), 400, "no stop sequences"),
    ("stop", GREEDY, openai("Argument not supported on this model: stop"), 400, "no stop sequences"),
    ("stop", GREEDY, openai("Model grok-4 does not support parameter stop."), 400, "no stop sequences"),
    ("stop", GREEDY, openai("litellm.UnsupportedParamsError: azure does not support parameters: ['stop'], "
                            "for model=o1"), 400, "no stop sequences"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "request_", "body", "status", "said"), LEFT_OUT)
def test_what_a_request_can_do_without_is_left_out(
    name: str, request_: Request, body: Any, status: int, said: str
) -> None:
    refusing = Refusing((name, ..., body, status))
    with OpenAIServer(refusing) as server:
        model = OpenAIModel("tiny", server.url)
        asked_of(model, request_, request_)
        assert refusing.refusals == 1
        assert server.requests[1].payload == without(server.requests[0].payload, name)
    ((parameter, words),) = model.departures(request_)
    assert parameter == name
    assert said in words


def test_a_top_p_that_decides_is_needed() -> None:
    body = openai("Unsupported parameter: 'top_p' is not supported with this model.", "top_p")
    refusing = Refusing(("top_p", 0.9, body, 400))
    said = r"does not take top_p 0\.9.*--set top_p=1"
    with OpenAIServer(refusing) as server, pytest.raises(ProviderError, match=said):
        asked_of(OpenAIModel("tiny", server.url), Request(CHAT, 8, temperature=1, top_p=0.9))


@pytest.mark.parametrize("name", ["logprobs", "top_logprobs"])
def test_log_probabilities_are_needed(name: str) -> None:
    body = openai(f"'{name}' is not supported with this model", name)
    with (
        OpenAIServer(Refusing((name, ..., body, 400))) as server,
        pytest.raises(ProviderError, match=f"does not take {name}.*does not choose by likelihood") as failed,
    ):
        asked_of(OpenAIModel("tiny", server.url), Request(CHAT, 1, logprobs=5))
    assert failed.value.fatal


def test_a_parameter_that_the_user_set_is_needed() -> None:
    with (
        OpenAIServer(
            Refusing(("top_k", ..., openai("Unrecognized request argument supplied: top_k"), 400))
        ) as server,
        pytest.raises(ProviderError, match=r"does not take top_k.*without --set top_k"),
    ):
        asked_of(OpenAIModel("tiny", server.url), Request(CHAT, 1, extra={"top_k": 5}))


def test_several_refusals_come_one_after_the_other() -> None:
    refusing = Refusing(
        (
            "max_tokens",
            ...,
            openai("Use 'max_completion_tokens' instead of 'max_tokens'.", "max_tokens"),
            400,
        ),
        ("temperature", 0.0, openai("Only the default (1) value is supported.", "temperature"), 400),
        ("stop", ..., openai("'stop' is not supported with this model.", "stop"), 400),
    )
    with OpenAIServer(refusing) as server:
        model = OpenAIModel("tiny", server.url)
        asked_of(model, *[GREEDY] * 4)
        assert refusing.refusals == 3
        assert server.requests[-1].payload.keys() == {"model", "messages", "max_completion_tokens"}


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("Invalid 'stop': array too long. Expected an array with maximum length 4, but got 6 instead.", 4),
        ("'stop' holds 6 strings, 4 is the maximum", 4),
        ("stop sequences: at most 5 are allowed", 5),
        ("Too many stop sequences", 0),
    ],
)
def test_as_many_stop_sequences_as_the_endpoint_takes(message: str, sent: int) -> None:
    stops = ("\n1", "\n2", "\n3", "\n4", "\n5", "\n6")

    def few(payload: Payload, route: str) -> str | web.Response:
        if len(payload.get("stop", ())) > sent:
            return refused(openai(message, "stop"))
        return "the Elm\n6 and so on"

    with OpenAIServer(few) as server:
        model = OpenAIModel("tiny", server.url)
        asked_of(model, Request(CHAT, 64, stop=stops))
        assert tuple(server.requests[-1].payload.get("stop", ())) == stops[:sent]
        assert len(server.requests) == 2
        assert len(model.departures(Request(CHAT, 64, stop=stops))) == 1


@pytest.mark.parametrize(
    "body",
    [
        openai("Invalid value for 'content': expected a string, got null.", "messages.[0].content"),
        openai(
            "max_tokens is too large: 64. This model supports at most 32 completion tokens.", "max_tokens"
        ),
        openai("The response was filtered. Please stop asking and modify your prompt.", "prompt"),
        openai("The temperature outside is a topic that we do not discuss.", None),
        "broken",
    ],
)
def test_another_refusal_stays_one(body: Any) -> None:
    with OpenAIServer(lambda payload, route: refused(body)) as server:
        with pytest.raises(ProviderError, match="HTTP 400"):
            asked_of(OpenAIModel("tiny", server.url), GREEDY)
        sent = [json.dumps(asked.payload, sort_keys=True) for asked in server.requests]
        assert len(sent) == len(set(sent)) <= 2
