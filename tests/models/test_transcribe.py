"""Clips over real HTTP: to the speech routes alone, or as parts of a chat."""

from __future__ import annotations

import asyncio
import io
import json
import math
import struct
import time
import wave
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from evalkit.errors import ProviderError, UsageError
from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.models.http import OPENAI
from evalkit.models.openai import OpenAIModel
from evalkit.models.transcribe import TranscriptionModel
from evalkit.samples import Audio, Message, Speech
from tests.models.asking import asked_of
from tests.openai_server import CHAT, Fault, OpenAIServer, refuse_like_openai
from tests.transcription_server import LARGEST, TRANSCRIBE, TRANSLATE, Clip, TranscriptionServer

KEY = "sk-made-up-0123456789"


def clip(seconds: float = 0.25, rate: int = 16_000) -> Audio:
    """A tone, as the engine sends clips: mono PCM16 WAV."""
    period = struct.pack("<40h", *(round(9_000 * math.sin(math.tau * at / 40)) for at in range(40)))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(period * round(seconds * rate / 40))
    return Audio(file.getvalue())


CLIP = clip()
ASKED = Request(Speech(CLIP), 400)
TRANSLATED = Request(Speech(CLIP, translate=True), 400)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def ask(url: str, *requests: Request) -> list[Response]:
    """The answers of one model to these, one after the other."""
    return asked_of(TranscriptionModel("tiny", url, timeout=30.0), *requests)


def problem(url: str, request: Request = ASKED, timeout: float = 30.0, then: str = "") -> ProviderError:
    """How the request fails; `then`: what the same model answers when it is asked again."""

    async def asking() -> ProviderError:
        model = TranscriptionModel("tiny", url, timeout=timeout)
        try:
            with pytest.raises(ProviderError) as failed:
                await model.generate(request)
            if then:
                assert (await model.generate(request)).text == then
            return failed.value
        finally:
            await model.aclose()

    return asyncio.run(asking())


# What is sent


def test_a_clip_is_sent_as_a_form() -> None:
    with TranscriptionServer() as server:
        said = ask(server.url, ASKED, Request(Speech(CLIP, language="es"), 400, temperature=0.4, seed=7))
    plain, full = server.requests
    file = {"name": "clip.wav", "type": "audio/wav", "data": CLIP.data}
    assert plain.route == full.route == TRANSCRIBE
    assert plain.payload == {"file": file, "model": "tiny", "response_format": "json", "temperature": "0"}
    assert full.payload == plain.payload | {"temperature": "0.4", "language": "es", "seed": "7"}
    assert plain.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert int(plain.headers["Content-Length"]) > len(CLIP.data)  # some servers take no chunks
    assert "Authorization" not in plain.headers
    assert [one.text for one in said] == [
        "0.25 seconds of something, written down.",
        "0.25 seconds of es, written down.",
    ]
    (heard, _) = server.heard
    assert (heard.format, heard.subtype, heard.rate, heard.channels) == ("WAV", "PCM_16", 16_000, 1)
    assert heard.data == CLIP.data


def test_a_translation_goes_to_its_own_route() -> None:
    with TranscriptionServer() as server:
        said = ask(server.url, TRANSLATED, Request(Speech(CLIP, translate=True, language="es"), 400))
    assert [asked.route for asked in server.requests] == [TRANSLATE, TRANSLATE]
    assert [one.text for one in said] == [
        "0.25 seconds of something, translated.",
        "0.25 seconds of es, translated.",
    ]


def test_openai_itself_is_sent_only_what_it_knows() -> None:
    def sent(url: str, translate: bool) -> set[str]:
        form = TranscriptionModel("whisper-1", url, timeout=30.0)._form(Speech(CLIP, translate, "es"), 0.0, 7)
        return {options["name"] for options, _, _ in form._fields}

    everywhere = {"file", "model", "response_format", "temperature"}
    assert sent(OPENAI, False) == everywhere | {"language"}
    assert sent(OPENAI, True) == everywhere
    for translate in (False, True):
        assert sent("http://127.0.0.1:8000/v1", translate) == everywhere | {"language", "seed"}


@pytest.mark.slow
def test_a_long_clip_goes_through() -> None:
    """14 minutes are more than vLLM takes, 12 are not."""
    minutes = [Request(Speech(clip(60 * count)), 400) for count in (12, 14)]
    with TranscriptionServer() as server:
        assert ask(server.url, minutes[0])[0].text == "720.00 seconds of something, written down."
        error = problem(server.url, minutes[1])
    assert len(server.requests[1].payload["file"]["data"]) > LARGEST
    assert "Maximum file size exceeded" in str(error)
    assert not error.retryable
    assert not error.fatal


def test_clips_are_sent_side_by_side() -> None:
    async def asking(url: str) -> list[Response]:
        model = TranscriptionModel("tiny", url, timeout=30.0)
        requests = [Request(Speech(clip(0.25 + at / 100)), 400) for at in range(8)]
        try:
            return await asyncio.gather(*(model.generate(request) for request in requests))
        finally:
            await model.aclose()

    with TranscriptionServer(latency=0.2) as server:
        said = asyncio.run(asking(server.url))
    assert server.max_in_flight == 8
    assert [one.text[:12] for one in said] == [f"{0.25 + at / 100:.2f} seconds" for at in range(8)]


def test_the_key_goes_into_its_header_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeat(asked: Clip) -> web.Response:
        return web.json_response({"error": {"message": f"{KEY} is no key"}}, status=403)

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with TranscriptionServer(api_key=KEY) as server:
        ask(server.url, ASKED)
        assert server.requests[0].headers["Authorization"] == f"Bearer {KEY}"
        assert KEY not in str(server.requests[0].payload)
        server.scribe = repeat
        error = problem(server.url)
        model = TranscriptionModel("tiny", server.url, timeout=30.0)
        assert model.identity == {"backend": "transcribe", "model": "tiny", "endpoint": server.url}
    assert error.fatal
    assert "sk-" not in str(error)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ProviderError, match="OPENAI_API_KEY is not set"):
        ask(OPENAI, ASKED)


def test_what_it_is_and_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = TranscriptionModel("openai/whisper-large-v3?", "http://127.0.0.1:8000/v1/", timeout=30.0)
    assert model.name == "transcribe/openai/whisper-large-v3?"
    assert model.capabilities == {"transcription"}
    assert model.identity["endpoint"] == "http://127.0.0.1:8000/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9000/v1")
    assert TranscriptionModel("tiny", "", timeout=30.0).identity["endpoint"] == "http://127.0.0.1:9000/v1"
    for wrong in ("127.0.0.1:8000", "http://me:secret@127.0.0.1/v1", "file:///tmp"):
        with pytest.raises(UsageError, match="--base-url") as refused:
            TranscriptionModel("tiny", wrong, timeout=30.0)
        assert "secret" not in str(refused.value)


def test_chats_go_elsewhere() -> None:
    with TranscriptionServer() as server:
        error = problem(server.url, Request((Message("user", "Good day"),), 8))
        with pytest.raises(ProviderError, match="send a clip to transcribe/") as refused:
            asked_of(OpenAIModel("tiny", server.url), ASKED)
    assert error.fatal
    assert refused.value.fatal
    assert not server.requests


# What comes back


@pytest.mark.parametrize(
    ("document", "tokens"),
    [
        ({"text": " Guten Tag.\n", "usage": {"type": "duration", "seconds": 1}}, (None, None)),
        ({"text": "", "logprobs": None, "usage": None}, (None, None)),
        ({"text": "Buenos días, señora."}, (None, None)),
        (
            {
                "text": "Good day.",
                "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18},
            },
            (14, 4),
        ),
    ],
    ids=["vllm", "speaches", "bare", "openai"],
)
def test_texts_are_read_as_they_come(document: dict[str, Any], tokens: tuple[int | None, int | None]) -> None:
    with TranscriptionServer(lambda asked: document) as server:
        (said,) = ask(server.url, ASKED)
    assert said.text == document["text"]
    assert (said.prompt_tokens, said.completion_tokens) == tokens
    assert said.finish == "stop"
    assert said.seconds > 0


@pytest.mark.parametrize(
    "body",
    [b"", b"Good day", b"[]", b"[7]", b"7", b"null", b'"text"', b"{}", b'{"text": null}', b'{"text": 7}']
    + [b'{"text": ["a"]}', b'{"text": "a", "usage": [1]}', b'{"text": "a"', b"\xff\xfe", b"[" * 9_000],
)
def test_an_answer_without_a_text_may_be_asked_for_again(body: bytes) -> None:
    with TranscriptionServer(lambda asked: web.Response(body=body)) as server:
        error = problem(server.url)
    assert str(error).startswith("invalid transcription response")
    assert len(str(error)) < 800
    assert error.retryable
    assert not error.fatal


class Told(NamedTuple):
    """What the engine goes by."""

    retryable: bool
    throttled: bool
    fatal: bool
    retry_after: float | None


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
    ("truncated", AGAIN, "invalid transcription response .*JSONDecodeError"),
    ("html", AGAIN, "invalid transcription response .*502 Bad Gateway"),
    ("no choices", AGAIN, "invalid transcription response .*KeyError"),
    ("huge", NEVER_SO, "more than 64 MB"),
]


@pytest.mark.parametrize(("fault", "expected", "said"), FAULTS, ids=[fault for fault, *_ in FAULTS])
@pytest.mark.parametrize("request_", [ASKED, TRANSLATED], ids=["transcribe", "translate"])
def test_a_fault_is_told_and_the_next_request_goes_through(
    fault: Fault, expected: Told, said: str, request_: Request
) -> None:
    with TranscriptionServer(lambda asked: "good day") as server:
        server.fail(fault)
        error = problem(server.url, request_, then="good day")
    assert told(error) == expected
    with pytest.raises(ProviderError, match=said):
        raise error


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up() -> None:
    with TranscriptionServer(lambda asked: "good day") as server:
        server.fail("hang")
        started = time.perf_counter()
        error = problem(server.url, timeout=0.4, then="good day")
        assert time.perf_counter() - started < 60
    assert told(error) == SLOWER
    assert str(error) == "no response within 0.4 s"


def test_how_long_the_server_asks_to_wait() -> None:
    with TranscriptionServer() as server:
        server.fail("429", retry_after="7")
        assert problem(server.url).retry_after == 7.0


def test_money_that_is_spent_does_not_come_back() -> None:
    said = "You exceeded your current quota, please check your plan and billing details."
    refusal = refuse_like_openai(429, said, "insufficient_quota", "insufficient_quota")
    with TranscriptionServer(lambda asked: refusal) as server:
        assert told(problem(server.url)) == NEVER


@pytest.mark.parametrize(
    ("like", "model", "speech", "expected", "said"),
    [
        ("vllm", "other", Speech(CLIP), NEVER, "HTTP 404 .*The model `tiny` does not exist"),
        ("vllm", "tiny", Speech(CLIP, language="xx"), NEVER_SO, "HTTP 400 .*Unsupported language: 'xx'"),
        ("vllm", "tiny", Speech(Audio(b"no clip")), NEVER_SO, "HTTP 400 .*Invalid or unsupported audio"),
        ("vllm", "tiny", Speech(Audio(b"")), NEVER_SO, "HTTP 400 .*Invalid or unsupported audio"),
        ("speaches", "other", Speech(CLIP), NEVER, "HTTP 404 .*Model 'tiny' is not installed locally"),
        ("speaches", "tiny", Speech(Audio(b"no clip")), NEVER_SO, "HTTP 415 .*Failed to decode audio"),
    ],
)
def test_what_servers_refuse(like: Any, model: str, speech: Speech, expected: Told, said: str) -> None:
    with TranscriptionServer(like=like, model=model) as server:
        error = problem(server.url, Request(speech, 400))
    assert told(error) == expected
    with pytest.raises(ProviderError, match=said):
        raise error


def test_a_server_without_the_routes_ends_the_run() -> None:
    with OpenAIServer() as server:
        assert told(problem(server.url)) == NEVER
        error = problem(server.url.removesuffix("/v1"))
    assert "did you mean --base-url http://127.0.0.1:" in str(error)


# In a chat


def test_a_clip_in_a_chat_is_sent_as_it_is() -> None:
    other = clip(0.5)
    asked = Request((Message("user", ("Write down:", CLIP, other, "Only words.")),), 64)
    with OpenAIServer(lambda payload, route: "good day") as server:
        assert asked_of(OpenAIModel("tiny", server.url), asked)[0].text == "good day"
    assert server.requests[0].route == CHAT
    parts = server.requests[0].payload["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "input_audio", "input_audio", "text"]
    assert set(parts[1]["input_audio"]) == {"data", "format"}
    assert [heard.data for heard in server.heard] == [CLIP.data, other.data]
    assert [(heard.said, heard.format, heard.seconds) for heard in server.heard] == [
        ("wav", "WAV", 0.25),
        ("wav", "WAV", 0.5),
    ]


@pytest.mark.parametrize(
    ("clips", "audio", "said"),
    [
        (1, CLIP, r"HTTP 400 .*At most 1 audio\(s\) may be provided in one prompt"),
        (2, Audio(b"no clip"), "HTTP 400 .*Invalid or unsupported audio"),
    ],
)
def test_a_clip_in_a_chat_that_is_refused(clips: int, audio: Audio, said: str) -> None:
    asked = Request((Message("user", (audio, CLIP)),), 64)
    with OpenAIServer(clips=clips) as server, pytest.raises(ProviderError, match=said) as failed:
        asked_of(OpenAIModel("tiny", server.url), asked)
    assert told(failed.value) == NEVER_SO


def test_the_stand_in_logs_clips_without_their_bytes(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with TranscriptionServer(log=log) as server:
        ask(server.url, ASKED)
    asked = json.loads(log.read_text("utf-8"))
    assert asked["payload"]["file"]["data"] == f"{len(CLIP.data)} bytes"


@pytest.mark.parametrize(
    ("document", "spoken"),
    [
        (
            {"words": [{"word": " a", "start": 0, "end": 0.25}, {"word": "b", "start": 0.3, "end": 0.5}]},
            (("a", 0.0, 0.25), ("b", 0.3, 0.5)),
        ),
        (
            {"words": [], "segments": [{"id": 0, "text": " a b", "start": 0, "end": 0.5}]},
            (("a b", 0.0, 0.5),),
        ),
        ({"words": [{"word": "a", "start": None, "end": 1}]}, ()),
        ({"words": [{"word": "a", "start": 2, "end": 1}]}, ()),
        ({"words": 5}, ()),
        ({}, ()),
    ],
)
def test_times_of_words_are_asked_for_and_kept(
    document: dict[str, Any], spoken: tuple[tuple[str, float, float], ...]
) -> None:
    asked: list[dict[str, str]] = []

    def scribe(clip: Clip) -> dict[str, Any]:
        asked.append(clip.fields)
        return {"text": "a b", **document}

    with TranscriptionServer(scribe) as server:
        (timed,) = asked_of(open_model("transcribe/tiny?words=on", base_url=server.url), ASKED)
        (plain,) = asked_of(open_model("transcribe/tiny", base_url=server.url), ASKED)
    assert (timed.text, timed.spoken) == ("a b", spoken)
    assert asked[0]["response_format"] == "verbose_json"
    assert asked[0]["timestamp_granularities[]"] == "word"
    assert asked[1]["response_format"] == "json"
    assert "words" not in {**asked[0], **asked[1]}
    assert plain.text == "a b"


def test_fields_given_with_the_name_are_sent_and_are_part_of_the_identity() -> None:
    with TranscriptionServer(lambda clip: json.dumps(clip.fields)) as server:
        model = open_model("transcribe/tiny?prompt=Boats, mainly.&language=de", base_url=server.url)
        plain = open_model("transcribe/tiny", base_url=server.url)
        assert dict(model.identity) == {**plain.identity, "prompt": "Boats, mainly.", "language": "de"}
        assert model.name == "transcribe/tiny?prompt=Boats, mainly.&language=de"
        hinted = Request(Speech(CLIP, language="fr"), 400)
        first, second = (json.loads(answer.text) for answer in asked_of(model, ASKED, hinted))
    assert (first["prompt"], first["language"], first["model"]) == ("Boats, mainly.", "de", "tiny")
    assert second["language"] == "fr"
    with pytest.raises(UsageError, match="unknown option of transcribe 'promt'"):
        open_model("transcribe/tiny?promt=x")
    assert open_model("transcribe/what?").name == "transcribe/what?"
