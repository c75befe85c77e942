"""`faster-whisper/…` with a stand-in for the library: the same names, the same call, the same lazy segments.

The library weighs 300 MB with its weights, so it is no part of the tests; what it is asked, and what becomes
of its answers, is.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Request, Response
from evalkit.models.faster_whisper import FasterWhisperModel, open_faster_whisper
from evalkit.samples import Audio, Message, Speech
from tests.models.test_transcribe import clip

CLIP = clip(0.5)


@dataclass
class Segment:
    text: str


@dataclass
class Library:
    """What was asked of it."""

    opened: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    """faster_whisper 1.2's names: `transcribe` gives a generator, whose work begins when it is read."""
    found = Library()

    class WhisperModel:
        def __init__(self, path: str, *, device: str, compute_type: str, cpu_threads: int) -> None:
            if compute_type == "int3":
                raise ValueError("Invalid compute type: int3")
            found.opened.append({"path": path, "device": device, "threads": cpu_threads})

        def transcribe(self, audio: Any, **settings: Any) -> tuple[Iterator[Segment], object]:
            found.asked.append({"audio": audio, **settings})

            def segments() -> Iterator[Segment]:
                if settings["language"] == "xx":
                    raise ValueError("'xx' is not a valid language code\n(accepted: en, …)")
                yield Segment(" One boat,")
                yield Segment(" and another.")

            return segments(), object()

    class BatchedInferencePipeline:
        def __init__(self, model: WhisperModel) -> None:
            self._model = model

        def transcribe(self, audio: Any, *, batch_size: int, **settings: Any) -> Any:
            return self._model.transcribe(audio, batch=batch_size, **settings)

    module: Any = types.ModuleType("faster_whisper")
    module.WhisperModel, module.BatchedInferencePipeline = WhisperModel, BatchedInferencePipeline
    utils: Any = types.ModuleType("faster_whisper.utils")

    def download_model(name: str) -> str:
        raise OSError(f"Invalid model size '{name}'\nexpected one of: tiny, base")

    utils.download_model = download_model
    numbers: Any = types.ModuleType("ctranslate2")
    numbers.set_random_seed = found.seeds.append
    for name, one in (("faster_whisper", module), ("faster_whisper.utils", utils), ("ctranslate2", numbers)):
        monkeypatch.setitem(sys.modules, name, one)
    real = importlib.metadata.version
    monkeypatch.setattr(
        "evalkit.models.faster_whisper.version",
        lambda name: "1.2.1" if name == "faster-whisper" else real(name),
    )
    return found


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "model.bin").write_bytes(b"weights")
    return tmp_path


def opened(weights: Path, **options: str) -> FasterWhisperModel:
    query = "&".join(f"{key}={value}" for key, value in options.items())
    return open_faster_whisper(f"{weights}?{query}", str(weights), options)


def answer(model: FasterWhisperModel, prompt: Any, **settings: Any) -> Response:
    async def go() -> Response:
        try:
            return await model.generate(Request(prompt, 64, **settings))
        finally:
            await model.aclose()

    return asyncio.run(go())


def test_a_clip_is_written_down(library: Library, weights: Path) -> None:
    response = answer(opened(weights, threads="2", device="cpu"), Speech(CLIP, language="en"))
    assert response.text == "One boat, and another."
    assert library.opened == [{"path": str(weights), "device": "cpu", "threads": 2}]
    (asked,) = library.asked
    samples = asked.pop("audio")
    assert asked == {"task": "transcribe", "language": "en", "beam_size": 5, "temperature": 0.0}
    assert (samples.dtype, len(samples)) == (np.float32, 8_000)
    assert 0 < np.abs(samples).max() <= 1
    assert library.seeds == []


def test_translation_sampling_and_batches(library: Library, weights: Path) -> None:
    model = opened(weights, beam_size="1", batch_size="8")
    answer(model, Speech(CLIP, translate=True), temperature=0.7, seed=5)
    (asked,) = library.asked
    assert (asked["task"], asked["language"], asked["batch"]) == ("translate", None, 8)
    assert (asked["temperature"], asked["beam_size"]) == (0.7, 1)
    assert library.seeds == [5]


def test_its_identity_is_the_weights_and_what_changes_the_text(library: Library, weights: Path) -> None:
    def identity(**options: str) -> Any:
        return opened(weights, **options).identity

    assert identity() == identity(threads="3", device="cpu")
    assert str(weights) not in str(identity())
    different = [identity(), identity(beam_size="1"), identity(compute_type="int8"), identity(batch_size="2")]
    (weights / "model.bin").write_bytes(b"others")
    different.append(identity())
    assert len({str(one) for one in different}) == 5


def test_what_fails_is_said(library: Library, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"'xx' is not a valid language code \(accepted") as failed:
        answer(opened(weights), Speech(CLIP, language="xx"))
    assert not failed.value.fatal
    with pytest.raises(ProviderError, match="clips alone") as failed:
        answer(opened(weights), (Message("user", "Hello"),))
    assert failed.value.fatal
    with pytest.raises(ProviderError, match="ValueError: a WAV of"):
        answer(opened(weights), Speech(Audio(clip(0.1, rate=8_000).data)))
    with pytest.raises(UsageError, match="cannot be loaded: ValueError: Invalid compute type: int3"):
        opened(weights, compute_type="int3")
    with pytest.raises(UsageError, match="beam_size=0 is no number that is possible"):
        opened(weights, beam_size="0")
    with pytest.raises(UsageError, match=r"has no model\.bin"):
        open_faster_whisper("./none", "./none", {})
    with pytest.raises(UsageError, match=r"faster-whisper/huge cannot be fetched: .*expected one of: tiny"):
        open_faster_whisper("huge", "huge", {})
