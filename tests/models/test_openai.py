"""What goes over the wire to an endpoint, and what is read from its answers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.errors import ProviderError, UsageError
from evalkit.keys import PROXIES
from evalkit.models.address import Address
from evalkit.models.base import Finish, Request, Response
from evalkit.models.openai import OPENAI, OpenAIModel
from evalkit.models.reading import parse
from evalkit.samples import Message, Tool, ToolCall
from tests.openai_server import CHAT, COMPLETION, OpenAIServer, answer, calling

ASKED = Request((Message("system", "Be brief."), Message("user", "How many legs has a spider?")), 64)
CONTINUED = Request("A spider has", 64)
ROOT = Path(__file__).parents[2]
KEY = "sk-made-up-0123456789"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def ask(url: str, *requests: Request) -> list[Response]:
    """The answers of one model to these, one after the other."""

    async def asking() -> list[Response]:
        model = OpenAIModel("tiny", url)
        try:
            return [await model.generate(request) for request in requests]
        finally:
            await model.aclose()

    return asyncio.run(asking())


def read(document: dict[str, Any], request: Request = ASKED) -> Response:
    """What becomes of an endpoint's whole answer."""
    with OpenAIServer(lambda payload, route: document) as server:
        return ask(server.url, request)[0]


def chat(finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    """An answer to a chat, with no more in it than has to be."""
    return {"choices": [{"message": message, "finish_reason": finish}]}


def test_a_chat_is_sent_as_it_is_meant() -> None:
    with OpenAIServer() as server:
        drawn = Request(ASKED.prompt, 64, 0.8, 0.95, ("\n\n", "Q:"), seed=7, logprobs=5)
        ask(server.url, ASKED, drawn)
    plain, full = server.requests
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How many legs has a spider?"},
    ]
    assert plain.route == full.route == CHAT
    assert plain.payload == {"model": "tiny", "messages": messages, "max_tokens": 64, "temperature": 0.0}
    assert full.payload == {
        "model": "tiny",
        "messages": messages,
        "max_tokens": 64,
        "temperature": 0.8,
        "top_p": 0.95,
        "stop": ["\n\n", "Q:"],
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 5,
    }
    assert plain.headers["Content-Type"] == "application/json"
    assert "Authorization" not in plain.headers


def test_a_text_to_continue_is_sent_as_it_is() -> None:
    with OpenAIServer() as server:
        ask(server.url + "/", CONTINUED, Request("A spider has ", 3, stop=(".",), logprobs=2))
    plain, full = server.requests
    assert plain.route == full.route == COMPLETION
    assert plain.payload == {"model": "tiny", "prompt": "A spider has", "max_tokens": 64, "temperature": 0.0}
    more = {"prompt": "A spider has ", "max_tokens": 3, "stop": ["."], "logprobs": 2}
    assert full.payload == plain.payload | more


def test_only_openai_itself_is_told_the_newer_name_of_max_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for own in (OpenAIModel("tiny"), OpenAIModel("tiny", f"{OPENAI}/")):
        payload = own._payload(ASKED)
        assert payload["max_completion_tokens"] == 64
        assert "max_tokens" not in payload
        assert own._payload(CONTINUED)["max_tokens"] == 64
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    assert OpenAIModel("tiny").base_url == "http://127.0.0.1:8000/v1"
    assert OpenAIModel("tiny", OPENAI).base_url == OPENAI


def test_the_key_goes_into_its_header_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeat(payload: dict[str, Any], route: str) -> web.Response:
        """Refuses, and says the key it was given, as some proxies do."""
        return web.json_response({"error": {"message": f"{'x' * 285} {KEY} is no key"}}, status=403)

    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\r\n")  # as a file from another system leaves it
    with OpenAIServer(api_key=KEY) as server:
        assert ask(server.url, ASKED)[0].text == "How many legs has a spider?"
        assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"
        assert KEY not in str(server.requests[0].payload)
        server.script = repeat
        with pytest.raises(ProviderError, match=r"is OPENAI_API_KEY right\?") as refused:
            ask(server.url, ASKED)
        model = OpenAIModel("tiny", server.url)
        assert model.identity == {"backend": "openai", "model": "tiny", "endpoint": server.url}
    assert refused.value.fatal
    assert "sk-" not in str(refused.value)


def test_a_key_that_no_header_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one\nsk-two")
    with OpenAIServer() as server, pytest.raises(ProviderError, match="line break") as refused:
        ask(server.url, ASKED)
    assert refused.value.fatal
    assert "sk-" not in str(refused.value)
    assert not server.requests


def test_an_address_from_the_environment_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert ask("", ASKED)[0].text == "How many legs has a spider?"


def test_openai_is_not_asked_without_a_key() -> None:
    with pytest.raises(ProviderError, match="OPENAI_API_KEY is not set") as refused:
        ask(OPENAI, ASKED)
    assert refused.value.fatal


def test_a_proxy_is_for_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with OpenAIServer(lambda *_: "by proxy") as proxy, OpenAIServer(lambda *_: "directly") as server:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        assert ask(server.url, ASKED)[0].text == "directly"
        assert ask("http://elsewhere.invalid/v1", ASKED)[0].text == "by proxy"


def test_a_login_of_netrc_is_not_sent_in_place_of_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logins = tmp_path / "netrc"
    logins.write_text("default login me password mine-alone-2931\n")
    logins.chmod(0o600)
    for name, value in {"NETRC": str(logins), "OPENAI_API_KEY": "sk-the-key-4711"}.items():
        monkeypatch.setenv(name, value)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Address, "is_local", False)  # as an endpoint elsewhere, which is really asked here
    with OpenAIServer(lambda *_: "answered") as server:
        assert ask(server.url, ASKED)[0].text == "answered"
    assert [one.headers["Authorization"] for one in server.requests] == ["Bearer sk-the-key-4711"]


def test_no_proxy_is_asked_for_a_name_that_is_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(lambda *_: "by proxy") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "elsewhere.invalid")
        with pytest.raises(ProviderError, match=r"elsewhere\.invalid"):
            ask("http://elsewhere.invalid/v1", ASKED)
    assert not proxy.requests


def test_an_answer_of_vllm_is_read() -> None:
    with OpenAIServer(lambda payload, route: "Eight legs, as all spiders have.") as server:
        whole, cut, stopped = ask(
            server.url, ASKED, Request("A spider has", 2), Request("A spider has", 9, stop=(",",))
        )
    assert (whole.text, whole.finish) == ("Eight legs, as all spiders have.", "stop")
    assert (whole.prompt_tokens, whole.completion_tokens) == (8, 6)
    assert whole.seconds > 0
    assert (cut.text, cut.finish, cut.truncated) == ("Eight legs,", "length", True)
    assert (cut.prompt_tokens, cut.completion_tokens) == (3, 2)
    assert (stopped.text, stopped.finish, stopped.truncated) == ("Eight legs", "stop", False)


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("content_filter", "filter"),
        ("tool_calls", "stop"),
        (None, "other"),
    ],
)
def test_why_an_answer_ended(said: str | None, finish: Finish) -> None:
    assert read(chat(said, content="8")).finish == finish


def test_content_comes_in_several_shapes() -> None:
    parts = [{"type": "text", "text": "Eight"}, {"type": "image_url"}, {"type": "text", "text": " legs"}]
    assert read(chat(content=parts)).text == "Eight legs"
    assert read(chat(content=None, refusal="I would rather not.")).text == ""
    assert read(chat(role="assistant", tool_calls=[])).text == ""
    assert read({"choices": [{"text": None}]}, CONTINUED).text == ""


@pytest.mark.parametrize(
    ("document", "text", "reasoning"),
    [
        (chat(content="8", reasoning_content="Four pairs."), "8", "Four pairs."),
        (chat(content="8", reasoning="Four pairs."), "8", "Four pairs."),
        (chat(content="<think>Six?</think>\n\n8"), "8", "Six?"),
        (chat(content="Six?</think>8"), "8", "Six?"),  # the template had opened it
        (chat("length", content="<think>Six? No,"), "", "Six? No,"),
        (chat("stop", content="\n<think>Six? No,"), "", "Six? No,"),  # at a stop sequence
        (chat("length", content="It is <think"), "It is <think", ""),
        ({"choices": [{"text": "<think>Six?</think> 8"}]}, " 8", "Six?"),
    ],
)
def test_reasoning_is_kept_apart(document: dict[str, Any], text: str, reasoning: str) -> None:
    found = read(document, ASKED if "message" in document["choices"][0] else CONTINUED)
    assert (found.text, found.reasoning) == (text, reasoning)


def test_an_answer_that_comes_in_many_pieces_is_whole() -> None:
    long = "".join(f"{k} " for k in range(300_000))
    assert read(chat(content=long)).text == long


def test_a_content_of_no_known_shape_is_no_answer() -> None:
    for content in ({"image": "8"}, {"text": 8}, 8, True):
        with pytest.raises(ProviderError, match="invalid chat response"):
            read(chat(content=content))


def test_a_model_that_was_not_asked_can_be_closed() -> None:
    model = OpenAIModel("tiny", "http://127.0.0.1:8000/v1")
    asyncio.run(model.aclose())


def test_usage_may_be_missing() -> None:
    usages: list[dict[str, Any]] = [{}, {"usage": None}, {"usage": {}}, {"usage": {"prompt_tokens": "3"}}]
    for usage in usages:
        found = read(chat(content="8") | usage)
        assert (found.prompt_tokens, found.completion_tokens) == (None, None)


@pytest.mark.parametrize("prompt", [ASKED.prompt, CONTINUED.prompt], ids=["chat", "completion"])
def test_log_probabilities_come_in_two_shapes(prompt: Any) -> None:
    with OpenAIServer(lambda payload, route: "Eight legs") as server:
        with_some, without = ask(server.url, Request(prompt, 9, logprobs=3), Request(prompt, 9))
    first, second = with_some.logprobs
    assert (first.token, first.logprob) == ("Eight", -0.25)
    assert first.top == {"Eight": -0.25, "Eight~1": -1.25, "Eight~2": -2.25}
    assert second.token == " legs"
    assert without.logprobs == ()


def test_log_probabilities_of_other_servers() -> None:
    echoed = {
        "tokens": ["A", " B"],
        "token_logprobs": [None, -1],
        "top_logprobs": [None, {" B": -1, " C": -2}],
    }
    found = read({"choices": [{"text": "A B", "logprobs": echoed}]}, CONTINUED).logprobs
    assert [(one.token, one.logprob, one.top) for one in found] == [(" B", -1.0, {" B": -1.0, " C": -2.0})]
    bare = {"tokens": ["8"], "token_logprobs": [-0.5], "top_logprobs": None}
    assert read({"choices": [{"text": "8", "logprobs": bare}]}, CONTINUED).logprobs[0].top == {}
    refusal = chat(content=None) | {"model": "tiny"}
    refusal["choices"][0]["logprobs"] = {"content": None, "refusal": None}
    assert read(refusal).logprobs == ()


def test_of_alternatives_that_read_the_same_the_likeliest_counts() -> None:
    """A server that decodes ` A` and `A` alike must not make the letter look unlikely."""
    tops = [{"token": "A", "logprob": lp} for lp in (-0.5, -9.0)] + [{"token": "B", "logprob": -1.5}]
    document = chat(content="A")
    document["choices"][0]["logprobs"] = {"content": [{"token": "A", "logprob": -0.5, "top_logprobs": tops}]}
    (found,) = read(document).logprobs
    assert found.top == {"A": -0.5, "B": -1.5}


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://127.0.0.1/v1",
        "http://",
        "http:///v1",
        "http://.",
        "http://127.0.0.1:port/v1",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:0/v1",
        "http://[::1/v1",
        "http://127.0.0.1/v 1",
        "http://127.0.0.1/v1?version=2 beta",
        "http://127.0.0.1/v1?version=2#top",
        "http://127.0.0.1/v1#top",
        "http://127.0.0.1/\x1b[2J",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(UsageError, match=r"must be an http\(s\) address") as refused:
        OpenAIModel("tiny", url)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "url", ["https://me:hunter2@host/v1", "me:hunter2@host/v1", "http://me:hunter2@host:x/v1"]
)
def test_an_address_that_holds_a_password_is_refused_without_saying_it(url: str) -> None:
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as refused:
        OpenAIModel("tiny", url)
    assert "hunter2" not in str(refused.value)


def test_addresses_that_are_taken() -> None:
    for url in ("http://[::1]:8000/v1", "https://models.example/a@b/v1", "http://münchen.example/v1"):
        assert OpenAIModel("tiny", f" {url}/\n").base_url == url


WORDS = (
    "choices",
    "message",
    "content",
    "text",
    "usage",
    "logprobs",
    "tokens",
    "token_logprobs",
    "top_logprobs",
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 1 << 60)
    | st.floats(-9, 9)
    | st.sampled_from(["", "8", "stop"])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from((*WORDS, "finish_reason", "token", "logprob", "error")), inner, max_size=4
        )
    ),
    max_leaves=12,
)
CHOICES = st.fixed_dictionaries(
    {"message": ANYTHING}, optional={"logprobs": ANYTHING, "finish_reason": ANYTHING}
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of a machine that is busy
@given(document=ANYTHING | st.fixed_dictionaries({"choices": st.lists(CHOICES, min_size=1, max_size=1)}))
def test_whatever_json_comes_it_is_an_answer_or_a_providers_error(document: Any) -> None:
    found: Response | ProviderError
    try:
        found = parse(orjson.dumps(document), "chat", 0.0)
    except ProviderError as error:
        found = error
    if isinstance(found, Response):
        assert isinstance(found.text, str)
        orjson.dumps([[one.token, one.logprob, one.top] for one in found.logprobs])
    else:
        assert found.retryable
        assert str(found).isprintable()


def test_the_stand_in_runs_on_its_own(tmp_path: Path) -> None:
    """As the tests of the command line and the benchmarks use it."""
    log = tmp_path / "requests.jsonl"
    command = [sys.executable, "-m", "tests.openai_server", "--log", str(log), "--model", "tiny"]
    command += ["--fail", "429", "--times", "1", "--retry-after", "3"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with pytest.raises(ProviderError, match="HTTP 429") as failed:
            ask(url, ASKED)
        assert failed.value.retry_after == 3
        assert ask(url, Request("What is 6 * 7?", 9))[0].text == "The answer is 42."
        process.terminate()
    assert process.returncode == 0
    first, second = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    assert (first["route"], second["route"]) == (CHAT, COMPLETION)
    assert second["payload"]["prompt"] == "What is 6 * 7?"
    assert second["headers"]["Content-Type"] == "application/json"


def test_the_stand_in_counts_what_is_in_flight() -> None:
    async def together(url: str) -> list[Response]:
        model = OpenAIModel("tiny", url)
        found = await asyncio.gather(*(model.generate(Request(f"{k} + 1", 9)) for k in range(8)))
        await model.aclose()
        return found

    with OpenAIServer(latency=0.3) as server:
        texts = [one.text for one in asyncio.run(together(server.url))]
    assert texts == [f"The answer is {k + 1}." for k in range(8)]
    assert server.max_in_flight == 8
    assert server.in_flight == 0
    assert answer({"model": "tiny"}, CHAT)["choices"] == []


# -- tools and turns that have begun ---------------------------------------------------------------------

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"expression": {"type": "string"}}}
CALCULATOR = Tool("calculate", "Works out a sum.", SCHEMA)
SUM = (Message("system", "Use the tool."), Message("user", "What is 2 + 3?"))


def test_tools_are_told_and_called_and_answered() -> None:
    def script(payload: dict[str, Any], route: str) -> str | dict[str, Any]:
        results = [turn["content"] for turn in payload["messages"] if turn["role"] == "tool"]
        if results:
            return f"It is {results[0]}."
        return calling(payload, ("calculate", '{"expression": "2 + 3"}'), ("calculate", "{}"))

    with OpenAIServer(script) as server:
        (first,) = ask(server.url, Request(SUM, 64, tools=(CALCULATOR,)))
        turns: tuple[Message, ...] = (*SUM, Message("assistant", first.text, first.tool_calls))
        turns += tuple(Message("tool", "5", tool_call_id=call.id) for call in first.tool_calls)
        (second,) = ask(server.url, Request(turns, 64, tools=(CALCULATOR,)))
        lost = (*turns, Message("tool", "6", tool_call_id="call-9"))
        with pytest.raises(ProviderError, match="'call-9' is of no call before it"):
            ask(server.url, Request(lost, 64, tools=(CALCULATOR,)))
    assert first.tool_calls == (
        ToolCall("calculate", '{"expression": "2 + 3"}', "call-0"),
        ToolCall("calculate", "{}", "call-1"),
    )
    assert (first.text, first.finish) == ("", "stop")
    assert (second.text, second.tool_calls) == ("It is 5.", ())
    described = {"name": "calculate", "description": "Works out a sum.", "parameters": SCHEMA}
    assert server.requests[0].payload["tools"] == [{"type": "function", "function": described}]
    call, result = server.requests[1].payload["messages"][2:4]
    assert call["role"] == "assistant"
    assert call["tool_calls"][0] == {
        "id": "call-0",
        "type": "function",
        "function": {"name": "calculate", "arguments": '{"expression": "2 + 3"}'},
    }
    assert result == {"role": "tool", "content": "5", "tool_call_id": "call-0"}


def test_calls_as_other_servers_give_them() -> None:
    """Ollama's arguments are an object, TGI's calls have no id."""
    for written, arguments in (({"a": 1}, '{"a":1}'), (None, "{}"), ("not json", "not json")):
        found = read(chat(content=None, tool_calls=[{"function": {"name": "f", "arguments": written}}]))
        assert found.tool_calls == (ToolCall("f", arguments),)
    assert read(chat(content="x", tool_calls=None)).tool_calls == ()
    nonsense: list[Any] = ["x", [{}], [{"function": None}], [None], 3]
    for wrong in nonsense:
        with pytest.raises(ProviderError, match="invalid chat response"):
            read(chat(content=None, tool_calls=wrong))


def test_a_turn_that_has_begun_is_gone_on_with() -> None:
    with OpenAIServer(lambda payload, route: " 5.") as server:
        (said,) = ask(server.url, Request((*SUM, Message("assistant", "The answer is")), 64))
    assert said.text == " 5."
    payload = server.requests[0].payload
    assert payload["messages"][-1] == {"role": "assistant", "content": "The answer is"}
    assert (payload["continue_final_message"], payload["add_generation_prompt"]) == (True, False)


def test_openai_itself_goes_on_with_no_turn() -> None:
    assert OpenAIModel("tiny", "http://127.0.0.1:1/v1").capabilities - OpenAIModel("tiny").capabilities == {
        "prefill"
    }
