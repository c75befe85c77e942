"""`hf/…` with models that hear clips, beside transformers on the same small models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.errors import ProviderError  # noqa: E402
from evalkit.models import open_model  # noqa: E402
from evalkit.models.base import Request  # noqa: E402
from evalkit.samples import Audio, Message, Speech  # noqa: E402
from tests import tiny_shown  # noqa: E402
from tests.cli.conftest import Cli, cli  # noqa: E402
from tests.hf.asking import answers, clip, good, heard, plainly  # noqa: E402

__all__ = ["cli"]

pytestmark = pytest.mark.slow  # transformers takes seconds to import
CHATS = [
    (Message("user", ("Write down the words.", clip(1))),),
    (Message("user", (clip(2, 2.3), "How many apples?")),),
    (Message("user", ("Ann", clip(3), "and", clip(4, 0.4), "How many?")),),
    (Message("user", "Ann has 12 apples and finds 36 more. How many?"),),
]


@pytest.fixture(scope="module")
def hears(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_shown.qwen2_audio(tmp_path_factory.mktemp("models") / "hears")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_shown.whisper(tmp_path_factory.mktemp("models") / "whisper")


def test_chats_with_clips_are_those_of_transformers_one_by_one(hears: Path) -> None:
    found = [good(one) for one in answers(hears, [Request(chat, 9 + n) for n, chat in enumerate(CHATS)])]
    for number, (chat, one) in enumerate(zip(CHATS, found, strict=True)):
        assert (one.text, one.prompt_tokens) == plainly(hears, chat, 9 + number), number
    assert len({one.text for one in found}) == len(CHATS)
    again = [Request(chat, 9, temperature=0.9, seed=n) for n, chat in enumerate(CHATS * 2)]
    together = [good(one).text for one in answers(hears, again)]
    assert together == [good(one).text for one in answers(hears, again, "&rows=1")]


def transcribed(folder: Path, audio: Audio, **asked: Any) -> str:
    """What transformers alone makes of a clip, by its documentation of Whisper."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model = transformers.AutoModelForSpeechSeq2Seq.from_pretrained(folder, dtype="float32").eval()
    given: dict[str, Any] = {}
    if asked.get("return_timestamps"):
        given = {"truncation": False, "padding": "longest"}
    inputs = processor(
        heard(audio), sampling_rate=16_000, return_tensors="pt", return_attention_mask=True, **given
    )
    with torch.no_grad():
        tokens = model.generate(**inputs, **asked)
    return str(processor.batch_decode(tokens, skip_special_tokens=True)[0]).strip()


def test_transcripts_are_those_of_transformers_one_by_one(whisper: Path) -> None:
    cases: list[tuple[Speech, dict[str, Any]]] = [
        (Speech(clip(1)), {"task": "transcribe"}),
        (Speech(clip(2, 3.0), language="de"), {"task": "transcribe", "language": "de"}),
        (Speech(clip(3, 29.0), language="en"), {"task": "transcribe", "language": "en"}),
        (Speech(clip(4), translate=True, language="de"), {"task": "translate", "language": "de"}),
        (Speech(clip(6, 1.5), language="de"), {"task": "transcribe", "language": "de"}),
        (
            Speech(clip(5, 70.0), language="en"),
            {"task": "transcribe", "language": "en", "return_timestamps": True},
        ),
    ]
    found = [good(one) for one in answers(whisper, [Request(speech, 2048) for speech, _ in cases])]
    for one, (speech, asked) in zip(found, cases, strict=True):
        assert one.text == transcribed(whisper, speech.audio, **asked)
    assert len({one.text for one in found}) == len(cases)


def test_a_sampled_transcript_depends_on_its_seed_and_not_on_its_batch(whisper: Path) -> None:
    speech = Speech(clip(1), language="en")
    requests = [Request(speech, 12, temperature=1.0, seed=n) for n in range(6)]
    together = [good(one) for one in answers(whisper, [*requests, Request(speech, 12)])]
    assert [one.text for one in together[:6]] == [
        good(one).text for one in answers(whisper, requests, "&rows=1")
    ]
    assert len({one.text for one in together}) > 3  # timestamps, most of the tokens, are no text
    assert together[6].finish in ("length", "stop")
    assert {one.finish for one in answers(whisper, [Request(speech, 1)])} == {"length"}  # type: ignore[union-attr]


def test_what_a_recogniser_does_not_do(whisper: Path, hears: Path, tmp_path: Path) -> None:
    assert open_model(f"hf/{whisper}").capabilities == {"transcription"}
    assert "audio" in open_model(f"hf/{hears}").capabilities
    assert not {"image", "transcription"} & open_model(f"hf/{hears}").capabilities
    english = tiny_shown.whisper(tmp_path / "english", many=False)
    speech = Speech(clip(1))
    for folder, request, message in (
        (whisper, Request("Ann", 5), "only transcribes clips"),
        (whisper, Request(speech, 5, extra={"top_k": 3}), "does not heed top_k"),
        (english, Request(Speech(clip(1), translate=True), 5), "does not translate"),
        (english, Request(Speech(clip(1), language="de"), 5), "reads English only"),
        (hears, Request(speech, 5), "not clips to transcribe"),
    ):
        (found,) = answers(folder, [request])
        assert isinstance(found, ProviderError)
        assert found.fatal
        assert message in str(found)
    plain, hinted = answers(english, [Request(speech, 99), Request(Speech(clip(1), language="en"), 99)])
    assert good(plain).text == good(hinted).text == transcribed(english, clip(1))


def test_a_damaged_clip_and_an_unknown_language_fail_only_their_samples(whisper: Path, hears: Path) -> None:
    damaged = Audio(clip(1).data[:30])
    requests = [
        Request(Speech(clip(1), language="en"), 5),
        Request(Speech(damaged), 5),
        Request(Speech(clip(2), language="xx"), 5),
        Request(Speech(clip(3), language="en"), 5),
    ]
    first, second, third, fourth = answers(whisper, requests)
    assert good(first).text != good(fourth).text
    for found in (second, third, *answers(hears, [Request((Message("user", (damaged, "?")),), 5)])):
        assert isinstance(found, ProviderError)
        assert not found.fatal


def test_memory_that_runs_out_halves_the_clips(whisper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.hf.speech import Recogniser

    requests = [Request(Speech(clip(n), language="en"), 8) for n in range(1, 6)]
    expected = [good(one).text for one in answers(whisper, requests)]
    plain, sizes = Recogniser._whisper, []

    def little(self: Any, batch: Any) -> Any:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, batch)

    monkeypatch.setattr(Recogniser, "_whisper", little)
    assert [good(one).text for one in answers(whisper, requests)] == expected
    assert sizes[:2] == [5, 2]
    assert max(sizes[1:]) == 2  # clips of which some have more windows are transcribed alone after that


def test_a_recogniser_of_another_kind_reads_a_clip_whole(tmp_path: Path) -> None:
    folder = tiny_shown.moonshine(tmp_path / "moonshine")
    assert open_model(f"hf/{folder}").capabilities == {"transcription"}
    clips = [clip(1), clip(2, 2.5), clip(3, 0.7)]
    found = answers(folder, [Request(Speech(one, language="en"), 12) for one in clips])
    assert [good(one).text for one in found] == [transcribed(folder, one, max_new_tokens=12) for one in clips]
    (refused,) = answers(folder, [Request(Speech(clip(1), translate=True), 12)])
    assert isinstance(refused, ProviderError)
    assert refused.fatal


def test_runs_of_speech_from_the_command_line(whisper: Path, tmp_path: Path, cli: Cli) -> None:
    hears = tiny_shown.qwen2_audio(tmp_path / "long", positions=4096)
    for folder, hint in ((whisper, "off"), (whisper, "on"), (hears, "off")):
        command = ("run", "-m", f"hf/{folder}?dtype=float32", "-t", "librispeech", "--limit", 3)
        settings = ("--data", "builtin", "--set", "max_tokens=8", "--set", f"language_hint={hint}")
        done = cli(*command, *settings, "-o", tmp_path / f"{folder.name}-{hint}.db")
        assert done.code == 0, done.err
        assert ("transcribe" in done.out) == (folder == whisper)
    wrong = cli("run", "-m", f"hf/{whisper}", "-t", "vqav2", "--data", "builtin", "-o", tmp_path / "no.db")
    assert (wrong.code, "does not support" in wrong.err) == (2, True)
