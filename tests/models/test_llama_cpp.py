"""A real model in this process: SmolLM2-135M-Instruct, fetched once (98 MB) into evalkit's cache."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest

from evalkit.errors import ProviderError, UsageError
from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.models.llama_cpp import LlamaCppModel
from evalkit.models.openai import OpenAIModel
from evalkit.models.weights import SMOLLM2, fetch, sha256
from evalkit.samples import Message

T = TypeVar("T")
CHAT = Request((Message("user", "What colour is the sky on a clear day?"),), 12, logprobs=3)
TEXT = Request("The capital of France is", 6, logprobs=3)
QUESTIONS = [
    CHAT,
    Request((Message("user", "Name a fruit."),), 10),
    TEXT,
    Request("One, two, three,", 10, stop=("six",)),
]


@pytest.fixture(scope="module")
def weights() -> Path:
    return fetch(SMOLLM2)


async def slots(model: LlamaCppModel) -> int:
    """How many requests llama.cpp works on at once, as it says."""
    root = (await model.start()).base_url.removesuffix("/v1")
    async with aiohttp.ClientSession() as session, session.get(f"{root}/props") as answer:
        return int((await answer.json())["total_slots"])


def using(model: LlamaCppModel, work: Callable[[LlamaCppModel], Awaitable[T]]) -> T:
    """What `work` makes of the model, which is closed afterwards."""

    async def run() -> T:
        try:
            return await work(model)
        finally:
            await model.aclose()

    return asyncio.run(run())


def said(responses: Sequence[Response]) -> list[tuple[object, ...]]:
    """All of the answers but their durations."""
    return [(r.text, r.finish, r.prompt_tokens, r.completion_tokens, r.logprobs) for r in responses]


@pytest.mark.slow
def test_it_answers_and_beside_others_it_answers_the_same(weights: Path) -> None:
    async def work(model: LlamaCppModel) -> tuple[list[Response], list[Response], list[Response]]:
        alone = [await model.generate(request) for request in QUESTIONS]
        together = await asyncio.gather(*(model.generate(request) for request in reversed(QUESTIONS)))
        client = OpenAIModel("any", (await model.start()).base_url)
        over_http = [await client.generate(request) for request in QUESTIONS]
        await client.aclose()
        assert await slots(model) == 1
        return alone, together[::-1], over_http

    model = open_model("llama-cpp/SmolLM2-135M-Instruct?context=512&threads=1")
    assert isinstance(model, LlamaCppModel)
    assert model.name == "llama-cpp/SmolLM2-135M-Instruct?context=512&threads=1"
    alone, together, over_http = using(model, work)
    assert said(together) == said(alone)
    assert said(over_http) == said(alone)

    chat, _, text, counted = alone
    assert "sky" in chat.text.lower()
    assert (chat.finish, chat.completion_tokens) == ("length", 12)
    assert text.text.startswith(" Paris")
    assert (text.prompt_tokens, text.completion_tokens) == (5, 6)
    assert (counted.text, counted.finish) == (" four, five, ", "stop")
    for answer in (chat, text):
        assert "".join(one.token for one in answer.logprobs) == answer.text
        for one in answer.logprobs:  # greedy: each token is the likeliest
            assert len(one.top) == 3
            assert one.logprob == max(one.top.values()) == one.top[one.token]
            assert one.logprob <= 0
    assert counted.logprobs == ()


@pytest.mark.slow
def test_a_prompt_longer_than_the_context_fails_for_itself_alone(weights: Path) -> None:
    async def work(model: LlamaCppModel) -> tuple[ProviderError, Response, Response]:
        with pytest.raises(ProviderError) as failed:
            await model.generate(Request("many words " * 200, 4))
        cut = await model.generate(Request("word" + " word" * 249, 100))
        return failed.value, cut, await model.generate(TEXT)

    error, cut, after = using(LlamaCppModel(weights, "tiny", context=256, threads=1), work)
    assert "exceeds the available context size (256 tokens)" in str(error)
    assert not error.retryable
    assert not error.fatal
    assert cut.truncated
    assert cut.completion_tokens is not None
    assert cut.completion_tokens < 100
    assert after.text.startswith(" Paris")


@pytest.mark.slow
def test_a_model_that_was_closed_starts_again(weights: Path) -> None:
    async def work(model: LlamaCppModel) -> list[Response]:
        first = await model.generate(TEXT)
        address = (await model.start()).base_url
        await model.aclose()
        with pytest.raises(ProviderError, match="Cannot connect"):
            await OpenAIModel("any", address).generate(TEXT)
        return [first, await model.generate(TEXT)]

    first, second = using(LlamaCppModel(weights, "tiny", context=256, threads=1), work)
    assert said([first]) == said([second])


@pytest.mark.slow
def test_what_decides_the_answers_is_the_identity(weights: Path) -> None:
    plain = LlamaCppModel(weights, "a-name")
    assert plain.identity == {
        "backend": "llama-cpp",
        "weights": SMOLLM2.sha256,
        "slots": 1,
        "prompt_cache": False,
        "context": 4096,
    }
    assert sha256(weights) == SMOLLM2.sha256
    assert LlamaCppModel(weights, "another").identity == plain.identity
    for options in ("slots=2", "prompt_cache=on", "context=512", "threads=1"):
        assert open_model(f"llama-cpp/{weights}?{options}").identity != plain.identity
    assert plain.parallel == 2
    assert open_model(f"llama-cpp/{weights}?slots=4").parallel == 5


@pytest.mark.parametrize("broken", ["empty", "text", "header", "cut short", "garbled"])
def test_a_file_that_is_no_model_stops_the_run_and_not_the_process(
    broken: str, weights: Path, tmp_path: Path
) -> None:
    with weights.open("rb") as whole:
        head = whole.read(4 << 20)
    content = {
        "empty": b"",
        "text": b"These are notes on a model.\n" * 99,
        "header": head[:24],
        "cut short": head,
        "garbled": head[:64] + b"\xff" * 4096 + head[64 + 4096 :],
    }
    path = tmp_path / "broken.gguf"
    path.write_bytes(content[broken])

    async def work(model: LlamaCppModel) -> ProviderError:
        with pytest.raises(ProviderError, match=f"llama.cpp cannot load {path}") as failed:
            await model.generate(TEXT)
        return failed.value

    error = using(LlamaCppModel(path, "broken.gguf"), work)
    assert error.fatal
    assert not error.retryable


def test_a_file_that_is_not_there_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(UsageError, match="needs a GGUF file, or SmolLM2-135M-Instruct"):
            open_model(f"llama-cpp/{path}")
