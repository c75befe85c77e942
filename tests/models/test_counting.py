"""Tokens of prompts by the endpoints' own routes, as responses then report; and by a tokenizer.json."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Literal

import PIL.Image
import pytest
import soundfile

from evalkit.data.base import data_options
from evalkit.engine.plan import make_plan
from evalkit.errors import UsageError
from evalkit.models.anthropic import AnthropicModel
from evalkit.models.base import Model, Request
from evalkit.models.counting import count_at_endpoint, tokenizer_at
from evalkit.models.fake import FakeModel
from evalkit.models.gemini import GeminiModel
from evalkit.models.media_tokens import file_tokens, picture_tokens
from evalkit.models.openai import OpenAIModel
from evalkit.models.request_tokens import input_tokens, most_input_tokens
from evalkit.models.text_tokens import estimated_tokens, most_tokens
from evalkit.samples import Audio, Image, Message
from tests.anthropic_server import AnthropicServer
from tests.gemini_server import GeminiServer
from tests.models.asking import ASKED, asked_of, only_key
from tests.openai_server import OpenAIServer
from tests.tokenizing_server import TokenizingServer, encode, trained

CHAT = Request((Message("system", "Be brief."), Message("user", "How many legs has a spider?")), 64)
TEXT = Request("A spider has as many legs as", 8)


def counted(model: Model, request: Request) -> int:
    async def counting() -> int:
        try:
            return await count_at_endpoint(model, request)
        finally:
            await model.aclose()

    return asyncio.run(counting())


@pytest.mark.parametrize("like", ["vllm", "llama.cpp"])
@pytest.mark.parametrize("request_", [CHAT, TEXT], ids=["chat", "text"])
def test_vllm_and_llama_cpp_count_what_they_then_report(
    like: Literal["vllm", "llama.cpp"], request_: Request
) -> None:
    with TokenizingServer(encode, lambda payload: "8", like=like) as server:
        (response,) = asked_of(OpenAIModel("any", server.url), request_)
        assert counted(OpenAIModel("any", server.url), request_) == response.prompt_tokens
        assert len(server.requests) == 1  # the count generated nothing


def test_pictures_are_added_to_what_vllm_counts(picture: Image) -> None:
    shown = Request((Message("user", ("What is this?", picture)),), 8)
    with TokenizingServer(len, lambda payload: "8") as server:
        model = OpenAIModel("any", server.url)
        texts = counted(model, Request((Message("user", ("What is this?",)),), 8))
        assert counted(model, shown) == texts + picture_tokens("openai/any", 100, 80)


@pytest.fixture
def picture() -> Image:
    out = BytesIO()
    PIL.Image.new("RGB", (100, 80), "red").save(out, "PNG")
    return Image(out.getvalue())


def test_anthropic_counts_what_it_then_reports(monkeypatch: pytest.MonkeyPatch, picture: Image) -> None:
    only_key(monkeypatch, "ANTHROPIC_API_KEY")
    shown = Request((Message("user", ("What is this?", picture)),), 8, stop=("\n\nQ:",))
    with AnthropicServer() as server:
        for request in (CHAT, shown):
            (response,) = asked_of(AnthropicModel("tiny", server.url), request)
            assert counted(AnthropicModel("tiny", server.url), request) == response.prompt_tokens
        assert len(server.requests) == 2


def test_gemini_counts_what_it_then_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    only_key(monkeypatch, "GEMINI_API_KEY")
    with GeminiServer() as server:
        (response,) = asked_of(GeminiModel("tiny", server.url), CHAT)
        assert counted(GeminiModel("tiny", server.url), CHAT) == response.prompt_tokens
        assert len(server.requests) == 1


def test_a_model_that_does_not_count_is_named() -> None:
    with pytest.raises(UsageError, match="fake/callable has no endpoint that counts tokens: leave"):
        counted(FakeModel(lambda request, draw: ""), ASKED)
    with OpenAIServer() as server, pytest.raises(UsageError, match=r"openai/any counts no tokens \(.*404"):
        counted(OpenAIModel("any", server.url), ASKED)


def test_a_tokenizer_json_counts_or_is_named(tmp_path: Path) -> None:
    trained().save(str(tmp_path / "tokenizer.json"))
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        assert tokenizer_at(place)("two words") == encode("two words")
    with pytest.raises(UsageError, match=r"nothing\.json: must be endpoint, a tokenizer\.json or a folder"):
        tokenizer_at(tmp_path / "nothing.json")
    (tmp_path / "broken.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match=r"broken\.json is no tokenizer\.json"):
        tokenizer_at(tmp_path / "broken.json")


@pytest.mark.parametrize(("task", "known"), [("mmlu", 297), ("math", 341), ("humaneval", 1680)])
def test_the_estimate_is_near_what_o200k_base_counts(task: str, known: int) -> None:
    """`known`: the tokens of all questions of the built-in set in OpenAI's encoding."""
    plan = make_plan(FakeModel(lambda request, draw: ""), [task], data=data_options("builtin"), scoring=False)
    texts = [sample.input for _, sample in plan.cells[-1].samples()]
    assert sum(map(estimated_tokens, texts)) == pytest.approx(known, rel=0.03)
    assert sum(map(most_tokens, texts)) > 2 * known


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("Hühner legen im Winter weniger Eier, weil die Tage kürzer werden.", 16),
        ("Петя нашёл в лесу три гриба и положил их в корзину.", 19),
        ("农夫有四十八只母鸡，每只每周下五个蛋。", 17),
        ("ニワトリは冬になると卵をあまり産みません。", 17),
    ],
)
def test_other_scripts_are_within_a_third(text: str, known: int) -> None:
    assert estimated_tokens(text) == pytest.approx(known, rel=0.33)


def test_the_bound_is_above_every_byte_level_tokeniser() -> None:
    for text in ("a b", "1234567890", "ååå", "农夫", "\n\n\n", "🐔"):
        request = Request((Message("user", text),), 8)
        assert encode(text) <= most_tokens(text)
        assert input_tokens(request, "openai/any") < most_input_tokens(request, "openai/any")


@pytest.mark.parametrize(
    ("model", "width", "height", "known"),
    [  # the examples of the providers' pages
        ("openai/gpt-4o", 1024, 1024, 765),
        ("openai/gpt-4o", 2048, 4096, 1105),
        ("openai/gpt-4o-mini", 1024, 1024, 25501),
        ("openai/gpt-4.1-mini", 1024, 1024, 1659),
        ("anthropic/claude-opus-4-5", 1000, 1000, 1334),
        ("anthropic/claude-opus-4-5", 4000, 4000, 1600),
        ("gemini/gemini-2.5-pro", 384, 384, 258),
        ("gemini/gemini-2.5-pro", 960, 540, 6 * 258),
        ("openai/Qwen2.5-VL", 280, 56, 20),
    ],
)
def test_pictures_have_as_many_tokens_as_the_providers_say(
    model: str, width: int, height: int, known: int
) -> None:
    assert picture_tokens(model, width, height) == known


def test_a_clip_has_32_tokens_for_a_second() -> None:
    out = BytesIO()
    soundfile.write(out, [0.0] * 16000, 8000, format="WAV")
    assert file_tokens("gemini/gemini-2.5-pro", Audio(out.getvalue())) == 64
