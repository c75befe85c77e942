"""What goes over the wire to Gemini, and what is read from its answers."""

from __future__ import annotations

import asyncio
import math
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import soundfile
from aiohttp import web

from evalkit.data.base import DataOptions
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.errors import ProviderError
from evalkit.models import open_model
from evalkit.models.base import Finish, Request, Response
from evalkit.models.gemini import GeminiModel
from evalkit.report.table import build_table
from evalkit.samples import Audio, Image, Message
from tests.gemini_server import GeminiServer, blocked, out_of_quota, refuse, said
from tests.models.asking import ASKED, KEY, asked_of, error_of, only_key
from tests.openai_server import Payload


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    only_key(monkeypatch, "GEMINI_API_KEY")


def ask(server: GeminiServer, *requests: Request) -> list[Response]:
    return asked_of(GeminiModel("tiny", server.url), *requests)


def read(document: Payload, request: Request = ASKED) -> Response:
    with GeminiServer(lambda payload, route: document) as server:
        return ask(server, request)[0]


def problem(server: GeminiServer, request: Request = ASKED) -> ProviderError:
    return error_of(lambda: ask(server, request))


def picture(colour: str) -> Image:
    file = BytesIO()
    PIL.Image.new("RGB", (8, 6), colour).save(file, "PNG")
    return Image(file.getvalue())


def clip() -> Audio:
    file = BytesIO()
    soundfile.write(file, [0.0] * 160, 16_000, format="WAV")
    return Audio(file.getvalue())


def test_a_request_is_sent_as_the_reference_says() -> None:
    shots = (
        Message("system", "Be brief."),
        Message("user", "How many legs has a dog?"),
        Message("assistant", "4"),
        Message("user", "How many legs has a spider?"),
    )
    drawn = Request(shots, 64, 0.8, 0.95, ("\n\n", "Q:"), seed=7, logprobs=5, extra={"top_k": 20})
    with GeminiServer(api_key=KEY, model="tiny") as server:
        ask(server, ASKED, drawn)
    plain, full = server.requests
    assert plain.payload == {
        "contents": [{"role": "user", "parts": [{"text": "How many legs has a spider?"}]}],
        "generationConfig": {"maxOutputTokens": 64, "temperature": 0.0},
    }
    assert full.payload == {
        "contents": [
            {"role": "user", "parts": [{"text": "How many legs has a dog?"}]},
            {"role": "model", "parts": [{"text": "4"}]},
            {"role": "user", "parts": [{"text": "How many legs has a spider?"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "maxOutputTokens": 64,
            "temperature": 0.8,
            "topP": 0.95,
            "stopSequences": ["\n\n", "Q:"],
            "seed": 7,
            "responseLogprobs": True,
            "logprobs": 5,
            "topK": 20,
        },
    }
    assert plain.headers["x-goog-api-key"] == KEY
    assert "Authorization" not in plain.headers


def test_texts_pictures_and_clips_are_sent_in_order() -> None:
    red, blue, sound = picture("red"), picture("blue"), clip()
    content = ("Which is red?", red, "or", blue, "", sound)
    with GeminiServer() as server:
        ask(server, Request((Message("user", content), Message("user", "Say it.")), 64))
    (turn,) = server.requests[0].payload["contents"]  # the roles alternate
    kinds = [part.get("text") or part["inlineData"]["mimeType"] for part in turn["parts"]]
    assert kinds == ["Which is red?", "image/png", "or", "image/png", "audio/wav", "Say it."]
    assert [seen.data for seen in server.seen] == [red.data, blue.data]
    assert server.heard[0].data == sound.data
    assert turn["parts"][1]["inlineData"]["data"] == b64encode(red.data).decode()


def test_a_file_that_is_too_large_or_unreadable_fails_alone() -> None:
    """Neither ends the run: the next request may be smaller."""
    asked = Request((Message("user", (Image(b"\x89PNG no picture"),)),), 64)
    with GeminiServer() as server:
        error = problem(server, asked)
        assert "Unable to process input image" in str(error)
        assert (error.fatal, error.retryable) == (False, False)
        server.script = lambda payload, route: refuse(400, "Request payload size exceeds the limit.")
        error = problem(server)
        assert (error.fatal, error.retryable) == (False, False)


def test_thoughts_are_reasoning_and_counted() -> None:
    document = said(
        {"text": "Spiders are arachnids. The answer is 6.", "thought": True},
        {"text": "The answer "},
        {"text": "is 8.", "thoughtSignature": "c2lnbmVk"},
    )
    document["usageMetadata"] = {
        "promptTokenCount": 20,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 40,
        "cachedContentTokenCount": 16,
        "totalTokenCount": 65,
    }
    found = read(document)
    assert found.text == "The answer is 8."
    assert found.reasoning == "Spiders are arachnids. The answer is 6."
    assert (found.prompt_tokens, found.completion_tokens) == (20, 45)
    assert found.tokens == (("read from the cache", 16), ("of reasoning", 40))
    assert ("model", "tiny") in found.signs


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("OTHER", "other"),
        ("MALFORMED_FUNCTION_CALL", "other"),
        *((reason, "filter") for reason in ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST")),
        *((reason, "filter") for reason in ("PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY")),
    ],
)
def test_finish_reasons(reason: str, finish: Finish) -> None:
    found = read(said({"text": "Half of it"}, finish=reason))
    assert found.finish == finish
    assert found.text == ("" if finish == "filter" else "Half of it")
    assert found.reasoning == (f"Half of it\n{reason}" if finish == "filter" else "")


def test_a_response_without_a_text() -> None:
    """Thoughts may use up all tokens, a filter may leave nothing, and a model may say nothing."""
    cut = said(finish="MAX_TOKENS")
    cut["candidates"][0]["content"] = {"role": "model"}
    cut["usageMetadata"] = {"promptTokenCount": 9, "thoughtsTokenCount": 64}
    assert (read(cut).finish, read(cut).text, read(cut).completion_tokens) == ("length", "", 64)
    bare: Payload = {"candidates": [{"finishReason": "SAFETY", "index": 0}]}
    assert read(bare).refused
    assert read(said()).finish == "stop"


@pytest.mark.parametrize("reason", ["SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT"])
def test_a_blocked_prompt_is_refused(reason: str) -> None:
    found = read(blocked(reason))
    assert (found.refused, found.text, found.reasoning, found.prompt_tokens) == (True, "", reason, 9)


@pytest.mark.parametrize(
    "body",
    [
        {}, [], {"candidates": []}, {"candidates": [{}]}, {"candidates": [{"content": {"parts": [1]}}]},
        {"candidates": "none"}, {"promptFeedback": {}}, {"candidates": [{"index": 0, "content": {}}]},
    ],
)  # fmt: skip
def test_what_is_no_response_is_asked_for_again(body: Any) -> None:
    with GeminiServer(lambda payload, route: web.json_response(body)) as server:
        error = problem(server)
    assert error.retryable
    assert "invalid Gemini response" in str(error)


def test_an_error_in_a_200_is_that_error() -> None:
    body = [{"error": {"code": 429, "message": "Slower, please.", "status": "RESOURCE_EXHAUSTED"}}]
    with GeminiServer(lambda payload, route: web.json_response(body)) as server:
        error = problem(server)
    assert error.limited
    assert "Slower, please." in str(error)


def test_what_a_quota_says() -> None:
    """A minute's is waited for as long as the server asks, a day's is not."""
    with GeminiServer(lambda *_: out_of_quota("GenerateContentPerMinutePerProject", "37s")) as server:
        error = problem(server)
    assert (error.retryable, error.limited, error.retry_after, error.fatal) == (True, True, 37.0, False)
    quota = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    with GeminiServer(lambda *_: out_of_quota(quota, "37s")) as server:
        error = problem(server)
    assert (error.retryable, error.fatal, error.doubtful) == (False, True, False)
    assert "the quota of a day is used up: run the command again tomorrow" in str(error)


def test_other_refusals() -> None:
    with GeminiServer(lambda *_: refuse(503, "Overloaded.", "UNAVAILABLE")) as server:
        error = problem(server)
        assert (error.retryable, error.throttled, error.away) == (True, True, True)
        words = "User location is not supported for the API use."
        server.script = lambda payload, route: refuse(400, words, "FAILED_PRECONDITION")
        assert problem(server).fatal
        words = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
        server.script = lambda payload, route: refuse(400, words)
        error = problem(server)
        assert (error.too_long, error.fatal, error.retryable) == (True, False, False)
    with GeminiServer(model="large") as server:
        error = problem(server)
        assert error.fatal
        assert str(error).endswith("models/tiny is not found for API version v1beta.")  # and no hint at /v1


def test_the_key_is_googles_other_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    with GeminiServer(api_key=KEY) as server:
        model = open_model("gemini/tiny", base_url=server.url)
        assert asked_of(model, ASKED)[0].text == "How many legs has a spider?"
        assert KEY not in str(server.requests[0].payload)


def test_log_probabilities_are_those_of_the_chosen_tokens() -> None:
    with GeminiServer(lambda payload, route: "The Elm") as server:
        found = ask(server, Request(ASKED.prompt, 64, logprobs=3), Request(ASKED.prompt, 64, logprobs=40))
    first, second = found[0].logprobs
    assert (first.token, second.token) == ("The", " Elm")
    assert first.logprob == pytest.approx(-math.log(2))
    assert first.top == pytest.approx(
        {"The": -math.log(2), " other1": -2 * math.log(2), " other2": -3 * math.log(2)}
    )
    assert len(found[1].logprobs[0].top) == 20  # the API has no more
    assert ("alternatives", "20") in found[1].signs


@pytest.mark.slow
def test_letters_are_chosen_by_likelihood(tmp_path: Path) -> None:
    async def go(server: GeminiServer) -> Any:
        model = open_model("gemini/tiny", base_url=server.url)
        plan = make_plan(model, ["mmlu:5-shot-chat-logprobs"], data=DataOptions(small_sets=True), limit=4)
        store = open_run(tmp_path / "r.db", plan)
        try:
            await execute(plan, store, Options(2))
            return build_table([store]).cells[0]
        finally:
            store.close()
            await model.aclose()

    with GeminiServer(lambda payload, route: "B") as server:
        cell = asyncio.run(go(server))
        config = server.requests[0].payload["generationConfig"]
    assert config["responseLogprobs"] is True
    assert (cell.n, cell.outcomes["failed"], cell.outcomes["unparsable"]) == (4, 0, 0)
    assert cell.outcomes["correct"] + cell.outcomes["wrong"] == 4


def test_a_model_without_log_probabilities_ends_the_run() -> None:
    with GeminiServer(enabled=("system", "thinking")) as server:
        error = problem(server, Request(ASKED.prompt, 1, logprobs=5))
    assert error.fatal
    assert str(error).startswith("the model returns no log-probabilities: use a protocol that does not")


def test_a_model_without_system_instructions_gets_their_text() -> None:
    asked = Request((Message("system", "Be brief."), Message("user", "2 + 2?")), 64)
    with GeminiServer(enabled=()) as server:
        model = GeminiModel("tiny", server.url)
        asked_of(model, asked, asked)
    parts = [{"text": "Be brief."}, {"text": "2 + 2?"}]
    assert [one.payload.get("systemInstruction") is None for one in server.requests] == [False, True, True]
    assert server.requests[-1].payload["contents"] == [{"role": "user", "parts": parts}]
    assert [name for name, _ in model.departures(asked)] == ["system"]
    assert not model.departures(ASKED)


def test_more_stop_sequences_than_the_api_takes() -> None:
    many = Request(ASKED.prompt, 64, stop=("a", "b", "c", "d", "e", "f"))
    with GeminiServer() as server:
        ask(server, many)
        model = GeminiModel("tiny", server.url)
    assert server.requests[0].payload["generationConfig"]["stopSequences"] == ["a", "b", "c", "d", "e"]
    (departure,) = model.departures(many)
    assert departure == (
        "stop",
        "the endpoint takes at most 5 stop sequences: evalkit cut the responses itself",
    )


def test_thinking_is_set_as_the_api_names_it() -> None:
    thinking: Payload = {"thinkingConfig": {"thinkingBudget": 512, "includeThoughts": True}}
    extra: Payload = {"generationConfig": thinking}
    asked = Request(ASKED.prompt, 64, extra=extra)
    with GeminiServer() as server:
        ask(server, asked)
        config = server.requests[0].payload["generationConfig"]
        assert config == {"maxOutputTokens": 64, "temperature": 0.0, **thinking}
    with GeminiServer(enabled=("system",)) as server:
        error = problem(server, asked)
    assert error.fatal
    assert "does not take what --set asks for" in str(error)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"generationConfig": {"temperature": 1}}, "--set extra.generationConfig.temperature is decided by"),
        ({"contents": []}, "--set extra.contents is decided by the protocol"),
        ({"min_p": 0.1}, 'does not take what --set asks for: HTTP 400 .* Unknown name "min_p"'),
    ],
)
def test_what_must_not_be_set(extra: Payload, words: str) -> None:
    with GeminiServer() as server, pytest.raises(ProviderError, match=words) as refused:
        ask(server, Request(ASKED.prompt, 64, extra=extra))
    assert refused.value.fatal


def test_what_is_no_chat_of_two_is_refused() -> None:
    turns = (Message("user", "2 + 2?"), Message("system", "Be brief."), Message("user", "Now."))
    with GeminiServer() as server:
        assert "cannot send a message of the role system after the first" in str(
            problem(server, Request(turns, 64))
        )
        assert "accepts chats" in str(problem(server, Request("A spider has", 64)))
    assert not server.requests


def test_the_name_is_part_of_the_path_and_nothing_else() -> None:
    with GeminiServer() as server:
        for name in ("tiny", "models/tiny", "../tiny?key=x#y", "a b", ".."):
            asked_of(GeminiModel(name, server.url), ASKED)
            assert server.asked_model == name.removeprefix("models/")
