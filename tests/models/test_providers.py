"""One benchmark through every provider: the same answers, and each provider's own faults end right."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from evalkit.data.base import DataOptions
from evalkit.engine.client import Stopped
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.keys import VARIABLES
from evalkit.models import BACKENDS, open_model
from evalkit.models.address import parse_address
from evalkit.models.base import Request
from evalkit.models.openai import OpenAIModel
from evalkit.models.providers import PROVIDERS
from evalkit.models.reading import parse
from evalkit.report.table import build_table
from evalkit.runfile.cells import TableCell
from evalkit.samples import Message
from tests import anthropic_server, bedrock_server, gemini_server
from tests.anthropic_server import AnthropicServer
from tests.bedrock_server import BedrockServer
from tests.gemini_server import GeminiServer
from tests.openai_server import CHAT, OpenAIServer, Payload, asked_text, refuse_like_openai

KEY = "pk-3f9a7c21d4e8b6505a1e"
OPENAI_LIKE = [name for name in PROVIDERS if name not in ("gemini", "anthropic", "bedrock")]
NAMES = ["openai", *PROVIDERS]
ASKED = Request((Message("user", "How many legs has a spider?"),), 64)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has the one key, and nothing else of a provider's."""
    for name in [*VARIABLES, "OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT", "AWS_REGION"]:
        monkeypatch.delenv(name, raising=False)
    for name in NAMES:
        monkeypatch.setenv(BACKENDS[name].key_env, KEY)


def takes_away(payload: Payload, route: str) -> str:
    """The one rule by which every stand-in answers: right for one problem, and wrong for the others."""
    numbers = [int(number) for number in re.findall(r"\d+", asked_text(payload))]
    return f"It is easy.\nThe answer is {sum(numbers[:2]) - sum(numbers[2:])}."


class AzureServer(OpenAIServer):
    """Azure's OpenAI-like routes, which read the key from a header of their own."""

    def _unknown(self, headers: Mapping[str, str]) -> web.Response | None:
        return None if headers.get("api-key") == self._api_key else super()._unknown({})


def stand_in(name: str, script: Callable[[Payload, str], Any] = takes_away, **options: Any) -> OpenAIServer:
    kinds: dict[str, type[OpenAIServer]]
    kinds = {
        "gemini": GeminiServer, "anthropic": AnthropicServer, "azure": AzureServer, "bedrock": BedrockServer,
    }  # fmt: skip
    return kinds.get(name, OpenAIServer)(script, model="tiny", api_key=KEY, **options)


def run(
    name: str, server: OpenAIServer, path: Path, *, limit: int = 8, task: str = "gsm8k:0-shot-chat"
) -> TableCell:
    async def go() -> TableCell:
        spec = name if "/" in name else f"{name}/tiny"
        model = open_model(spec, base_url=server.url, timeout=10)
        plan = make_plan(model, [task], data=DataOptions(small_sets=True), limit=limit)
        store = open_run(path, plan)
        try:
            await execute(plan, store, Options(2, RetryPolicy(4, 0.01)))
            return build_table([store]).cells[0]
        finally:
            store.close()
            await model.aclose()

    return asyncio.run(go())


@pytest.fixture(scope="module")
def through_openai(tmp_path_factory: pytest.TempPathFactory) -> TableCell:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", KEY)
        with stand_in("openai") as server:
            return run("openai", server, tmp_path_factory.mktemp("openai") / "r.db")


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVIDERS)
def test_the_same_slice_has_the_same_answers_and_signature(
    name: str, through_openai: TableCell, tmp_path: Path
) -> None:
    with stand_in(name) as server:
        cell = run(name, server, tmp_path / "r.db")
        headers = server.requests[0].headers
    assert (cell.value, cell.n, cell.outcomes) == (
        through_openai.value, through_openai.n, through_openai.outcomes,
    )  # fmt: skip
    assert 0 < (cell.value or 0) < 100
    assert cell.tokens == through_openai.tokens
    assert cell.signature == through_openai.signature
    assert (cell.model, through_openai.model) == (f"{name}/tiny", "openai/tiny")
    assert not cell.evidence
    row = PROVIDERS[name]
    assert headers[row.service.key_header].removeprefix("Bearer ") == KEY


class Ways(NamedTuple):
    """A provider's own responses to what goes wrong."""

    slower: Callable[[], web.Response]
    """Too many requests now."""
    spent: Callable[[], web.Response]
    """No money, or none of a day's quota."""
    overloaded: Callable[[], web.Response]
    malformed: Callable[[], web.Response]
    blocked: Callable[[], Payload | web.Response]
    """The prompt, or the answer to it, is refused."""
    cut: Callable[[], Payload]
    """The answer is cut after two words."""


def _html() -> web.Response:
    return web.Response(text="<html>502 Bad Gateway</html>", content_type="text/html")


def _openai(finish: str, text: str) -> Payload:
    choice = {"index": 0, "message": {"content": text}, "finish_reason": finish}
    return {"model": "tiny", "choices": [choice]}


_OPENAI = Ways(
    lambda: refuse_like_openai(429, "Rate limit reached.", "requests", "rate_limit_exceeded"),
    lambda: refuse_like_openai(429, "Check your plan.", "insufficient_quota", "insufficient_quota"),
    lambda: refuse_like_openai(503, "That model is overloaded.", "server_error", "overloaded"),
    _html,
    lambda: _openai("content_filter", "Half of"),
    lambda: _openai("length", "It is"),
)
WAYS: Mapping[str, Ways] = {
    **dict.fromkeys(NAMES, _OPENAI),
    "gemini": Ways(
        lambda: gemini_server.out_of_quota("GenerateRequestsPerMinutePerProjectPerModel", "0.01s"),
        lambda: gemini_server.out_of_quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "9s"),
        lambda: gemini_server.refuse(503, "The model is overloaded.", "UNAVAILABLE"),
        lambda: web.json_response({"candidates": [{"index": 0}]}),
        lambda: gemini_server.blocked("PROHIBITED_CONTENT"),
        lambda: gemini_server.said({"text": "It is"}, finish="MAX_TOKENS"),
    ),
    "anthropic": Ways(
        lambda: anthropic_server.refuse(429, "Too fast.", "rate_limit_error", **{"retry-after": "0"}),
        lambda: anthropic_server.refuse(400, "Your credit balance is too low to access the Anthropic API."),
        lambda: anthropic_server.refuse(529, "Overloaded", "overloaded_error"),
        lambda: web.json_response({"type": "message", "role": "assistant"}),
        lambda: anthropic_server.said({"type": "text", "text": "Half of"}, stop="refusal"),
        lambda: anthropic_server.said({"type": "text", "text": "It is"}, stop="max_tokens"),
    ),
    "bedrock": Ways(
        lambda: bedrock_server.refuse(429, "Too many requests.", "ThrottlingException"),
        lambda: bedrock_server.refuse(429, "Too many tokens per day, please wait.", "ThrottlingException"),
        lambda: bedrock_server.refuse(503, "Try again.", "ServiceUnavailableException"),
        lambda: web.json_response({"output": {"message": {"role": "assistant"}}}),
        lambda: bedrock_server.said({"text": "Half of"}, stop="guardrail_intervened"),
        lambda: bedrock_server.said({"text": "It is"}, stop="max_tokens"),
    ),
}


@pytest.mark.parametrize("name", ["openai", "gemini", "anthropic", "bedrock", "azure"])
def test_faults_of_each_end_right(name: str, tmp_path: Path) -> None:
    """What passes is asked again; what is refused or cut is an outcome, and no failure."""
    ways = WAYS[name]
    first: list[Any] = [
        ways.slower(), ways.overloaded(), ways.malformed(), ways.blocked(), ways.cut(), ways.slower(),
    ]  # fmt: skip

    def script(payload: Payload, route: str) -> Any:
        return first.pop(0) if first else takes_away(payload, route)

    with stand_in(name, script) as server:
        cell = run(name, server, tmp_path / "r.db", limit=4)
        assert len(server.requests) == 4 + 4  # four of the six were asked again
    found = cell.outcomes
    assert (found["refused"], found["truncated"], found["failed"]) == (1, 1, 0)
    assert found["correct"] + found["wrong"] == 2


@pytest.mark.parametrize("name", ["openai", "gemini", "anthropic", "bedrock"])
def test_a_run_stops_when_nothing_is_left_to_spend(name: str, tmp_path: Path) -> None:
    answers = [1, 1]

    def script(payload: Payload, route: str) -> Any:
        return takes_away(payload, route) if answers and answers.pop() else WAYS[name].spent()

    with stand_in(name, script) as server:
        with pytest.raises(Stopped, match=r"run the command again .*, and it goes on from here") as stopped:
            run(name, server, tmp_path / "r.db")
        assert stopped.value.usage
        assert len(server.requests) <= 6  # none was asked again, whatever the server says about waiting
        server.script = takes_away
        cell = run(name, server, tmp_path / "r.db")
    assert (cell.n, cell.outcomes["failed"]) == (8, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openai", "gemini", "anthropic", "bedrock", "azure"])
def test_a_wrong_key_and_an_unknown_model_end_the_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = BACKENDS[name].key_env
    with stand_in(name) as server:
        monkeypatch.setenv(variable, "pk-77aa5cd0e19b42f86e31")
        with pytest.raises(Stopped, match=rf"is {variable} right\?") as stopped:
            run(name, server, tmp_path / "k.db")
        assert "77aa5cd0e19b" not in str(stopped.value)
        assert not server.requests
        monkeypatch.setenv(variable, KEY)
        server._model = "another"
        with pytest.raises(Stopped, match=r"tiny|model identifier is invalid"):
            run(name, server, tmp_path / "m.db")


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_rows_of_the_table_are_well_formed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses are checked for their form only: no test asks a provider."""
    row = PROVIDERS[name]
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    address = parse_address(row.service.address)
    assert address.text == row.service.address
    assert address.text.startswith("https://") or address.is_local
    assert not row.service.versioned or address.base.endswith("/v1")
    assert row.key_env in VARIABLES  # so that it is hidden before anything is asked
    assert re.fullmatch(r"[A-Z_]+", row.key_env)
    backend = BACKENDS[name]
    assert (backend.key_env, backend.capabilities) == (row.key_env, row.capabilities)
    model = open_model(f"{name}/tiny")
    assert model.identity == {"backend": name, "model": "tiny", "endpoint": address.text}
    assert model.name == f"{name}/tiny"
    assert model.capabilities == {*row.capabilities}


def test_an_address_with_a_part_from_the_environment() -> None:
    for name, variable in (("azure", "AZURE_OPENAI_ENDPOINT"), ("bedrock", "AWS_REGION")):
        with pytest.raises(UsageError, match=f"needs the variable {variable} of the environment: set it, or"):
            open_model(f"{name}/tiny")


def test_azure_gets_a_key_and_a_token_in_different_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token of Microsoft Entra is a JWT. The headers are read where they are made: no test asks Azure."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    token = "eyJ0eXAi.made.up"
    for key, headers in ((KEY, {"api-key": KEY}), (token, {"Authorization": f"Bearer {token}"})):
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", key)
        model = open_model("azure/tiny")
        assert isinstance(model, OpenAIModel)
        assert model._endpoint._key_headers() == headers


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_is_not_asked_without_its_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own address wants one; another one may not."""
    monkeypatch.delenv(PROVIDERS[name].key_env)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    model = open_model(f"{name}/tiny")
    if not PROVIDERS[name].service.keyed:
        assert name == "ollama"
        return
    with pytest.raises(Exception, match=f"{PROVIDERS[name].key_env} is not set"):
        asyncio.run(model.generate(ASKED))


def sent_by(name: str, request: Request) -> Payload:
    model = open_model(f"{name}/tiny", base_url="http://127.0.0.1:9/v1")
    assert isinstance(model, OpenAIModel)
    return model._payload(request)


def test_what_differs_from_openai_is_sent_as_the_row_says() -> None:
    drawn = Request(ASKED.prompt, 64, 0.7, seed=7, logprobs=5)
    for name in OPENAI_LIKE:
        row, payload = PROVIDERS[name], sent_by(name, drawn)
        assert payload[row.max_tokens] == 64
        assert not {"max_tokens", "max_completion_tokens"} - {row.max_tokens} & {*payload}
        assert [key for key in payload if key.endswith("seed")] == ([row.seed] if row.seed else [])
    assert sent_by("mistral", drawn)["random_seed"] == 7
    assert sent_by("together", drawn)["logprobs"] == 5
    assert "top_logprobs" not in sent_by("together", drawn)
    assert sent_by("xai", drawn)["top_logprobs"] == 5


def test_a_provider_without_seeds_says_so() -> None:
    model = open_model("deepseek/tiny", base_url="http://127.0.0.1:9/v1")
    assert isinstance(model, OpenAIModel)
    (departure,) = model.departures(Request(ASKED.prompt, 64, 0.7, seed=7))
    assert departure == ("seed", "the endpoint takes no seed: its draws cannot be repeated")
    assert not model.departures(ASKED)


def test_tokens_from_a_cache_and_of_reasoning_are_counted() -> None:
    document = (
        b'{"choices": [{"index": 0, "message": {"content": "8"}, "finish_reason": "stop"}], "usage": '
        b'{"prompt_tokens": 20, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 16}, '
        b'"completion_tokens_details": {"reasoning_tokens": 7}}}'
    )
    found = parse(document, CHAT, 0.0)
    assert found.tokens == (("read from the cache", 16), ("of reasoning", 7))
    deepseek = document.replace(b'"prompt_tokens_details": {"cached_tokens"', b'"x": {"y"').replace(
        b'"prompt_tokens": 20', b'"prompt_tokens": 20, "prompt_cache_hit_tokens": 12'
    )
    assert parse(deepseek, CHAT, 0.0).tokens[0] == ("read from the cache", 12)


@pytest.mark.slow
def test_a_note_says_what_was_read_from_the_cache(tmp_path: Path) -> None:
    with stand_in("anthropic") as server:
        cell = run("anthropic/tiny?cache=on", server, tmp_path / "r.db", task="gsm8k:8-shot-cot")
        plain = run("anthropic/tiny", server, tmp_path / "p.db", task="gsm8k:8-shot-cot")
    (note,) = cell.evidence
    found = re.fullmatch(
        "the endpoint counted among its tokens: (.+) read from the cache, (.+) written to the cache", note
    )
    assert found is not None
    read, written = (int(number.replace(",", "")) for number in found.groups())
    assert read >= written > 0
    assert not plain.evidence
    assert cell.tokens == plain.tokens  # those from the cache among them
    assert cell.signature == plain.signature


@pytest.mark.parametrize(
    ("name", "task", "missing"),
    [
        ("anthropic", "mmlu:5-shot", "completion"),
        ("anthropic", "mmlu:5-shot-chat-logprobs", "logprobs"),
        ("groq", "mmlu:5-shot-chat-logprobs", "logprobs"),
        ("gemini", "mmlu:5-shot", "completion"),
        ("deepseek", "mmmu", "image"),
    ],
)
def test_what_a_provider_does_not_do_is_refused_before_the_first_request(
    name: str, task: str, missing: str
) -> None:
    model = open_model(f"{name}/tiny", base_url="http://127.0.0.1:9")
    with pytest.raises(UsageError, match=f"{name}/tiny does not support .*{missing}") as refused:
        make_plan(model, [task], data=DataOptions(small_sets=True))
    assert "\n" not in str(refused.value)
