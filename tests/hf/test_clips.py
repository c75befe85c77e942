"""`hf/…` with models that hear clips, beside transformers on the same small models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.errors import ProviderError, UsageError  # noqa: E402
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
