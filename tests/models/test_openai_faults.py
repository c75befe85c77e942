"""What an endpoint can do wrong, over real HTTP, and what the engine is told about it."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from evalkit.errors import ProviderError
from evalkit.models.base import Request, Response
from evalkit.models.openai import OpenAIModel
from evalkit.samples import Message, Speech
from tests.models.refusals import SERVERS
from tests.openai_server import COMPLETION, Fault, OpenAIServer, refuse, refuse_like_openai

ASKED = Request((Message("user", "Which river runs through the old town?"),), 64)
CONTINUED = Request("The river is called", 64)


class Told(NamedTuple):
    """What the engine goes by."""

    retryable: bool
    throttled: bool
    fatal: bool
    retry_after: float | None


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def problem(url: str, request: Request = ASKED, timeout: float = 30.0, then: str = "") -> ProviderError:
    """How the request fails; `then`: what the same model answers when it is asked again."""

    async def asking() -> ProviderError:
        model = OpenAIModel("tiny", url, timeout=timeout)
        try:
            with pytest.raises(ProviderError) as failed:
                await model.generate(request)
            if then:
                assert (await model.generate(request)).text == then
            return failed.value
        finally:
            await model.aclose()

    return asyncio.run(asking())


def response(url: str, request: Request, times: int = 1) -> Response:
    """The last of the responses of one model that is asked several times."""

    async def asking() -> Response:
        model = OpenAIModel("tiny", url)
        try:
            return [await model.generate(request) for _ in range(times)][-1]
        finally:
            await model.aclose()

    return asyncio.run(asking())


def ask(url: str, request: Request) -> str:
    found = response(url, request)
    assert found.logprobs == ()
    return found.text


def told(error: ProviderError) -> Told:
    return Told(error.retryable, error.throttled, error.fatal, error.retry_after)


AGAIN = Told(retryable=True, throttled=False, fatal=False, retry_after=None)
SLOWER = AGAIN._replace(throttled=True)
NEVER_SO = AGAIN._replace(retryable=False)
NEVER = NEVER_SO._replace(fatal=True)
FAULTS: list[tuple[Fault, Told, str]] = [
    ("429", SLOWER, "HTTP 429 from http://127.0.0.1:.*: Rate limit reached on tokens per min"),
    ("503", SLOWER, "HTTP 503 from http://127.0.0.1:.*: The server is overloaded"),
    ("500", AGAIN, "HTTP 500 from http://127.0.0.1:.*: EngineCore encountered an issue"),
    ("drop", AGAIN, "http://127.0.0.1:.*/v1: Response payload is not completed"),
    (
        "truncated",
        AGAIN,
        "invalid (chat|completion) response .*JSONDecodeError.*(chat.completion|text_completion)",
    ),
    ("html", AGAIN, "invalid (chat|completion) response .*502 Bad Gateway"),
    ("no choices", AGAIN, "invalid (chat|completion) response .*IndexError"),
    ("huge", NEVER_SO, "more than 64 MB"),
]


@pytest.mark.parametrize(("fault", "expected", "said"), FAULTS, ids=[fault for fault, *_ in FAULTS])
@pytest.mark.parametrize("request_", [ASKED, CONTINUED], ids=["chat", "completion"])
def test_a_fault_is_told_and_the_next_request_goes_through(
    fault: Fault, expected: Told, said: str, request_: Request
) -> None:
    with OpenAIServer(lambda payload, route: "the Elm") as server:
        server.fail(fault)
        error = problem(server.url, request_, then="the Elm")
    assert told(error) == expected
    with pytest.raises(ProviderError, match=said):
        raise error


def test_faults_come_in_the_order_they_were_told() -> None:
    with OpenAIServer(lambda payload, route: "the Elm") as server:
        server.fail("429", 2)
        server.fail("503")
        found = [str(problem(server.url))[:8] for _ in range(2)] + [
            str(problem(server.url, then="the Elm"))[:8]
        ]
        assert found == ["HTTP 429", "HTTP 429", "HTTP 503"]
        assert len(server.requests) == 4


@pytest.mark.parametrize("fault", ["429", "503"])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("inf", None), ("nan", None)]
    + [("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None)],
)
def test_how_long_the_server_asks_to_wait(fault: Fault, header: str, seconds: float | None) -> None:
    with OpenAIServer() as server:
        server.fail(fault, retry_after=header)
        assert problem(server.url).retry_after == seconds


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_date_to_wait_for(zone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A date without a zone is in GMT, as all of HTTP's are, wherever this machine is."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    until = (datetime.now(UTC) + timedelta(seconds=90)).replace(tzinfo=zone)
    with OpenAIServer() as server:
        server.fail("503", retry_after=format_datetime(until))
        seconds = problem(server.url).retry_after
    monkeypatch.undo()
    time.tzset()
    assert seconds is not None
    assert 30 < seconds <= 90


def test_no_content_is_an_empty_answer() -> None:
    """A refusal and a tool call have none: the model's doing, so it is scored."""

    async def asking(url: str) -> list[str]:
        model = OpenAIModel("tiny", url)
        texts = [(await model.generate(request)).text for request in (ASKED, CONTINUED)]
        await model.aclose()
        return texts

    with OpenAIServer() as server:
        server.fail("null", 2)
        assert asyncio.run(asking(server.url)) == ["", ""]


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up() -> None:
    with OpenAIServer(lambda payload, route: "the Elm") as server:
        server.fail("hang")
        started = time.perf_counter()
        error = problem(server.url, timeout=0.4, then="the Elm")
        assert time.perf_counter() - started < 60
    assert told(error) == SLOWER
    assert str(error) == "no response within 0.4 s"


def test_nobody_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        error = problem(url)
    assert told(error) == AGAIN
    assert str(error).startswith(f"{url}: Cannot connect")


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key would go wherever an endpoint says."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up-0123456789")

    def away(payload: dict[str, Any], route: str) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{other.url}/{route}"})

    with OpenAIServer() as other, OpenAIServer(away) as server:
        error = problem(server.url)
        assert not other.requests
    assert told(error) == NEVER_SO
    assert "HTTP 307" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "expected", "said"),
    [
        (400, '{"error": {"message": "a bad request", "code": 400}}', NEVER_SO, "a bad request"),
        (401, '{"error": "Unauthorized"}', NEVER, r"Unauthorized \(is OPENAI_API_KEY right\?\)"),
        (403, "", NEVER, r"/v1 \(is OPENAI_API_KEY right\?\)"),
        (404, '{"object": "error", "message": "no such model"}', NEVER, "no such model$"),
        (405, '{"detail": "Method Not Allowed"}', NEVER, "Method Not Allowed$"),
        (408, "{}", AGAIN, "{}"),
        (413, '["too", "large"]', NEVER_SO, "too.*large"),
        (422, '{"detail": [{"msg": "Field required"}]}', NEVER_SO, "Field required"),
        (502, "<html>Bad Gateway</html>", AGAIN, "Bad Gateway"),
        (504, "upstream timed out", AGAIN, "upstream timed out"),
        (529, '{"error": {"message": "Overloaded"}}', SLOWER, "Overloaded"),
    ],
)
def test_refusals(status: int, body: str, expected: Told, said: str) -> None:
    with OpenAIServer(lambda payload, route: web.Response(status=status, text=body)) as server:
        error = problem(server.url)
    assert told(error) == expected
    with pytest.raises(ProviderError, match=f"HTTP {status} from http.*{said}"):
        raise error


def test_what_vllm_refuses() -> None:
    with OpenAIServer(model="large", api_key="sk-made-up-0123456789") as server:
        assert told(problem(server.url)) == NEVER
        assert not server.requests
    with OpenAIServer(model="large") as server:
        assert str(problem(server.url)).endswith("The model `tiny` does not exist.")
    with OpenAIServer(max_model_len=10) as server:
        error = problem(server.url, Request("far too long " * 9, 4))
        assert "maximum context length is 10 tokens" in str(error)
        assert told(error) == NEVER_SO
        many = response(server.url, Request("Short", 4, logprobs=21))
        assert len(many.logprobs[0].top) <= 20


def test_a_spent_quota_is_no_reason_to_wait() -> None:
    """OpenAI says it with 429 too; asking again does not fill an account."""

    def spent(payload: dict[str, Any], route: str) -> web.Response:
        said = "You exceeded your current quota, please check your plan and billing details."
        return refuse_like_openai(429, said, "insufficient_quota", "insufficient_quota")

    with OpenAIServer(spent) as server:
        error = problem(server.url)
    assert told(error) == NEVER
    assert "exceeded your current quota" in str(error)


def test_a_wrong_route_gets_a_hint() -> None:
    with OpenAIServer() as server:
        root = server.url.removesuffix("/v1")
        assert str(problem(root)).endswith(f"(did you mean --base-url {root}/v1?)")
        assert told(problem(root)) == NEVER
        assert not server.requests


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_servers_words_cannot_command_a_terminal(status: int) -> None:
    words = "\x1b[2J\x1b]0;owned\x07 line\r\nline\x9b31m \u202eesrever\u2028" + "long " * 5000
    bodies = [{"error": {"message": words}}, {"detail": words}, [words], words]
    for body in bodies:
        with OpenAIServer(lambda *_, body=body: web.json_response(body, status=status)) as server:
            said = str(problem(server.url))
        assert said.isprintable()
        assert len(said) < 500
        assert "line" in said


def test_an_error_in_a_200_is_an_error() -> None:
    document = {"error": {"message": "the upstream provider failed", "code": 502}}
    with OpenAIServer(lambda payload, route: document) as server:
        error = problem(server.url)
        assert told(error) == AGAIN
        assert "the upstream provider failed" in str(error)
        assert problem(server.url, CONTINUED).args[0].startswith("invalid completion response")
        assert server.requests[-1].route == COMPLETION


@pytest.mark.parametrize("like", SERVERS)
@pytest.mark.parametrize("request_", [ASKED, CONTINUED], ids=["chat", "completion"])
def test_a_prompt_that_is_too_long_is_told_from_other_errors(like: str, request_: Request) -> None:
    """Whichever server says so; a shorter prompt then gets its answer."""
    with OpenAIServer(lambda payload, route: "the Elm", max_model_len=12, like=like) as server:
        assert not isinstance(request_.prompt, Speech)
        error = problem(server.url, dataclasses.replace(request_, prompt=request_.prompt * 4))
        assert ask(server.url, request_) == "the Elm"
    assert error.too_long
    assert told(error) == NEVER_SO


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "Requested sample logprobs of 30, greater than max allowed: 20"),
        (400, "max_tokens must be at least 1, got 0."),
        (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
        (422, "Input validation error: `temperature` must be strictly positive"),
        (429, "This model's maximum context length is 8192 tokens per minute"),
        (500, "EngineCore encountered an issue."),
    ],
)
def test_another_refusal_is_not_taken_for_a_prompt_that_is_too_long(status: int, words: str) -> None:
    with OpenAIServer(lambda payload, route: refuse(status, words)) as server:
        assert not problem(server.url).too_long


def test_too_many_alternatives_are_asked_for_again() -> None:
    """vLLM's --max-logprobs; the error says how many there may be."""
    for prompt in (ASKED.prompt, CONTINUED.prompt):
        with OpenAIServer(most_logprobs=5) as server:
            found = response(server.url, Request(prompt, 1, logprobs=20), times=2)
            assert ("alternatives", "5") in found.signs
            assert len(found.logprobs[0].top) == 5
            asked = [one.payload.get("top_logprobs") or one.payload["logprobs"] for one in server.requests]
            assert asked == [20, 5, 5]  # learned once


def test_log_probabilities_that_are_left_out_silently() -> None:
    for prompt in (ASKED.prompt, CONTINUED.prompt):
        with OpenAIServer(lambda payload, route: "the Elm", logprobs=False) as server:
            assert ask(server.url, Request(prompt, 9, logprobs=20)) == "the Elm"
            assert server.requests[0].payload["logprobs"]
