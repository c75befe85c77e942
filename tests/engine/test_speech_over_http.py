"""Clips on their way from a data set to real HTTP endpoints that decode them."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import Iterable
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from aiohttp import web

from evalkit.engine.plan import make_plan
from evalkit.engine.progress import PlainProgress
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.models.base import Model
from evalkit.models.fake import FakeModel
from evalkit.models.openai import OpenAIModel
from evalkit.models.transcribe import TranscriptionModel
from evalkit.report.table import Table, build_table
from evalkit.runfile.slim import write_slim as slim
from evalkit.runfile.store import Store
from tests.media.test_audio_formats import coded
from tests.openai_server import CHAT, OpenAIServer
from tests.transcription_server import Clip, TranscriptionServer

QUICK = RetryPolicy(attempts=1)
LINES = (
    ("one.wav", "One boat.", "en"),
    ("two.flac", "Two red boats.", "en"),
    ("drei.ogg", "Drei Boote.", "de"),
)


def run(model: Model, task: str, path: Path, **settings: str) -> Table:
    plan = make_plan(model, [task], settings=settings)
    store = open_run(path, plan)

    async def go() -> None:
        await execute(plan, store, Options(4, QUICK))
        await model.aclose()

    try:
        asyncio.run(go())
        return build_table([store])
    finally:
        store.close()


def folder(place: Path, lines: Iterable[tuple[str, str, str]] = LINES) -> Path:
    """Clips of a second and more, each of another length, rate and format, beside a list of them."""
    place.mkdir()
    for number, (name, _, _) in enumerate(lines, start=1):
        rate = (16_000, 44_100, 48_000)[number % 3]
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(number * rate) / rate)
        soundfile.write(place / name, tone, rate)
    rows = [dict(zip(("file_name", "transcription", "language"), line, strict=True)) for line in lines]
    (place / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return place


def by_length(clip: Clip) -> str:
    """A recogniser that knows the clips by how long they are, and mishears the second."""
    return ("one boat", "two bread boats", "Drei Boote")[round(clip.heard.seconds) - 1]


def test_an_endpoint_writes_clips_down(tmp_path: Path) -> None:
    """Any format and rate arrives as 16 kHz mono WAV; words and languages are counted as they should be."""
    clips = folder(tmp_path / "clips")
    with TranscriptionServer(by_length) as server:
        model = TranscriptionModel("tiny", server.url)
        table = run(model, "asr", tmp_path / "r.db", dataset=str(clips), language="language")
    names = ("WER", "WER (insertions)", "over 100 %")
    assert [cell.metric for cell in table.cells[1::2]] == [*names], "of all clips, beside the mean"
    wer, pooled, inserted, _, over, _ = table.cells
    assert (wer.protocol.partition("[")[0], wer.metric, wer.unit) == ("0-shot-transcribe", "WER (macro)", "%")
    assert wer.value == pytest.approx((20 + 0) / 2), "the mean of the languages, not of the clips"
    assert pooled.value == pytest.approx(100 * 1 / 7), "of the clips, all words together"
    assert {name: group.value for name, group in wer.groups.items()} == {"de": 0.0, "en": 20.0}
    assert (wer.low, wer.high) == (None, None), "one clip of a language says nothing of its spread"
    assert not wer.higher_is_better
    assert (inserted.value, over.value) == (0.0, 0.0)
    assert wer.outcomes["correct"] == 2
    assert wer.seconds == pytest.approx(6.0)
    assert any("0.0017 hours of speech, 2.0 s per clip" in note for note in table.notes)
    assert "average:macro over groups" in wer.signature.line()
    for heard in server.heard:
        with wave.open(BytesIO(heard.data)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
    store = Store.open(tmp_path / "r.db")
    (sample, *_) = store.samples(store.cells()[0])
    preview = store.preview(sample["media"][0])
    assert preview is not None
    assert preview.startswith(b"OggS")
    store.close()


def test_on_the_way_the_figure_is_the_mean_of_the_languages_too(tmp_path: Path) -> None:
    """Of the English words one of five is wrong; the German clip is answered when the run goes on."""
    clips = folder(tmp_path / "clips")
    spoken: list[str] = []

    def last_line(url: str) -> str:
        said, model = StringIO(), TranscriptionModel("tiny", url)
        plan = make_plan(model, ["asr"], settings={"dataset": str(clips), "language": "language"})
        store = open_run(tmp_path / "r.db", plan)

        async def go() -> None:
            await execute(plan, store, Options(1, QUICK), PlainProgress(said, every=0))
            await model.aclose()

        asyncio.run(go())
        spoken.append(next(note for note in build_table([store]).notes if "of speech" in note))
        store.close()
        return said.getvalue().splitlines()[-1]

    def without_german(clip: Clip) -> str | web.Response:
        german = round(clip.heard.seconds) == 3
        return web.json_response({"error": "no German"}, status=400) if german else by_length(clip)

    with TranscriptionServer(without_german) as server:
        assert last_line(server.url).endswith("WER (macro) 20.0 · answered 2, failed 1")
        server.scribe = by_length
        assert last_line(server.url).endswith("WER (macro) 10.0 · answered 3")
    assert [words.split(", ")[1] for words in spoken] == [
        "1.5 s per clip on average",  # a clip that failed counts on neither side
        "2.0 s per clip on average",
    ]


def test_a_chat_hears_the_same_clips(tmp_path: Path) -> None:
    clips = folder(tmp_path / "clips")
    with OpenAIServer(lambda payload, route: "one boat") as server:
        table = run(OpenAIModel("any", server.url), "asr", tmp_path / "r.db", dataset=str(clips))
    assert {asked.route for asked in server.requests} == {CHAT}
    content = server.requests[0].payload["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "input_audio"]
    assert "Reply with the transcript and nothing else" in content[0]["text"]
    assert sorted(round(heard.seconds) for heard in server.heard) == [1, 2, 3]
    assert table.cells[0].protocol.startswith("0-shot[")
    assert table.cells[0].outcomes["correct"] == 1


def test_the_language_is_told_where_it_is_asked_for(tmp_path: Path) -> None:
    clips = folder(tmp_path / "clips")
    signatures = []
    with TranscriptionServer(by_length) as server:
        for hint in ("off", "on"):
            model = TranscriptionModel("tiny", server.url)
            table = run(
                model, "asr", tmp_path / f"{hint}.db", dataset=str(clips), language="language",
                language_hint=hint,
            )  # fmt: skip
            signatures.append(table.cells[0].signature)
    told = [asked.payload.get("language") for asked in server.requests]
    assert told[:3] == [None] * 3
    assert sorted(map(str, told[3:])) == ["de", "en", "en"]
    assert signatures[0].short != signatures[1].short
    assert any("language_hint" in line for line in signatures[0].differences(signatures[1]))


def test_clips_are_translated(tmp_path: Path) -> None:
    clips = folder(tmp_path / "clips")
    with TranscriptionServer(lambda clip: "Two red boats." if clip.translate else "wrong route") as server:
        table = run(
            TranscriptionModel("tiny", server.url), "ast", tmp_path / "r.db",
            dataset=str(clips), translation="transcription",
        )  # fmt: skip
    bleu, chrf = table.cells
    assert (bleu.metric, chrf.metric) == ("BLEU", "chrF2")
    assert bleu.value is not None
    assert chrf.value is not None
    assert 0 < bleu.value < chrf.value < 100
    assert "BLEU:nrefs:1/case:mixed/eff:no/tok:13a" in bleu.signature.line()


def test_a_clip_that_is_none_fails_its_own_sample_only(tmp_path: Path) -> None:
    clips = folder(tmp_path / "clips")
    whole = (clips / "two.flac").read_bytes()
    (clips / "two.flac").write_bytes(whole[: len(whole) // 2])
    (clips / "drei.ogg").unlink()
    with TranscriptionServer(by_length) as server:
        table = run(TranscriptionModel("tiny", server.url), "asr", tmp_path / "r.db", dataset=str(clips))
    assert len(server.heard) == 1
    assert (table.cells[0].n, table.cells[0].outcomes["failed"]) == (1, 2)
    store = Store.open(tmp_path / "r.db")
    failures = list(store.failures(store.cells()[0]))
    store.close()
    assert {(sample, boundary) for sample, boundary, _ in failures} == {
        ("two.flac", "media"), ("drei.ogg", "media"),
    }  # fmt: skip
    said = {sample: words for sample, _, words in failures}
    assert "has no file 'drei.ogg', which its records name" in said["drei.ogg"]
    assert said["two.flac"].startswith("'two.flac': ")


def test_clips_whose_channels_cancel_out_are_noted(tmp_path: Path) -> None:
    clips = folder(tmp_path / "clips")
    tone = 0.3 * np.sin(np.arange(16_000) / 6)
    soundfile.write(clips / "one.wav", np.stack([tone, -tone], axis=1), 16_000)
    model = FakeModel(lambda request, draw: "one boat")
    table = run(model, "asr", tmp_path / "r.db", dataset=str(clips))
    (note,) = [note for note in table.notes if "cancel" in note]
    assert "the channels of 1 clip cancel out when they are mixed to one" in note
    assert "sox IN.wav OUT.wav remix 1" in note
    slim(tmp_path / "r.db", tmp_path / "slim.db")
    with Store.open(tmp_path / "slim.db") as store:
        assert note in build_table([store]).notes
        assert not [key for key in store.manifest if "channels" in key]


@pytest.mark.slow
def test_clips_that_ffmpeg_decodes_are_heard(tmp_path: Path) -> None:
    """In processes of their own; a broken one fails its sample, under its name."""
    clips = folder(tmp_path / "clips", ())
    whole = coded("ipod", "aac", 16_000, 1, 1.0)
    (clips / "whole.m4a").write_bytes(whole)
    (clips / "cut.m4a").write_bytes(whole[:-9])
    rows = [{"file_name": name, "transcription": "One boat."} for name in ("whole.m4a", "cut.m4a")]
    (clips / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    table = run(FakeModel(lambda request, draw: "one boat"), "asr", tmp_path / "r.db", dataset=str(clips))
    assert (table.cells[0].n, table.cells[0].outcomes["failed"]) == (1, 1)
    assert table.cells[0].seconds == pytest.approx(1.0, abs=0.1)
    with Store.open(tmp_path / "r.db") as store:
        ((sample, boundary, said),) = store.failures(store.cells()[0])
    assert (sample, boundary) == ("cut.m4a", "media")
    assert said.startswith("'cut.m4a': truncated M4A")


def test_who_cannot_hear_is_refused(tmp_path: Path) -> None:
    clips = folder(tmp_path / "clips")
    deaf = FakeModel(lambda request, draw: "", "fake/deaf")
    deaf.capabilities = frozenset({"chat"})
    with pytest.raises(
        UsageError, match=r"fake/deaf does not support audio, .*backends that support audio: openai"
    ):
        make_plan(deaf, ["asr"], settings={"dataset": str(clips)})
    deaf.capabilities = frozenset({"transcription"})
    with pytest.raises(
        UsageError, match=r"does not support chat .*protocols that it can run: asr:0-shot-transcribe"
    ):
        make_plan(deaf, ["asr:0-shot"], settings={"dataset": str(clips)})
    (cell,) = make_plan(deaf, ["asr"], settings={"dataset": str(clips)}).cells
    assert cell.protocol.api == "transcription"
