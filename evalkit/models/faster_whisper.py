"""Whisper in this process, on the CPU or a GPU: `faster-whisper/PATH-OR-NAME` (CTranslate2).

A path is a folder with `model.bin`, as `ct2-transformers-converter` writes it; for a name ("base",
"large-v3", "owner/name"), faster-whisper downloads the weights from the Hub once. Options: `device` (cpu,
cuda, auto), `compute_type` (such as int8, float16), `beam_size` (5), `threads` (of the CPU), `batch_size`
(above 1, a long clip is cut at its silences and the pieces are decoded together, which gives another text
than one window after the other).

OpenAI's own program starts at temperature 0 and tries higher ones if the text of a window is improbable or
repetitive, so its transcripts may vary. Here the protocol's temperature is used, and at 0 a transcript is
reproducible. Above 0 a transcript is a single sample, while OpenAI's program and the library by default keep
the best of five.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Capability, Request, Response
from evalkit.models.registry import Named, capabilities_of
from evalkit.samples import JSON, Speech

RATE = 16_000
WEIGHTS = "model.bin"
_NUMBERS = {"beam_size": 5, "threads": 0, "batch_size": 1}
_SHOWN = 300
"""The most characters of an error of the library that are shown."""


class FasterWhisperModel:
    """A Whisper model that handles one clip at a time, in a thread; CTranslate2 uses all cores or the GPU."""

    capabilities: frozenset[Capability] = capabilities_of("faster-whisper")
    parallel: int | None = 1

    def __init__(self, name: str, folder: Path, device: str, compute_type: str, **numbers: int) -> None:
        """`folder`: the weights. `numbers`: `beam_size`, `threads`, `batch_size`. Raises `UsageError`."""
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        self.name = name
        self._beams, self._batch = numbers["beam_size"], numbers["batch_size"]
        with (folder / WEIGHTS).open("rb") as weights:
            digest = hashlib.file_digest(weights, "sha256").hexdigest()
        self._decides: dict[str, JSON] = {
            "backend": "faster-whisper",
            "weights": digest,
            "compute_type": compute_type,
            "beam_size": self._beams,
            "batch_size": self._batch,
            "version": version("faster-whisper"),
        }
        try:
            model = WhisperModel(
                str(folder), device=device, compute_type=compute_type, cpu_threads=numbers["threads"]
            )
        except (ValueError, RuntimeError) as error:
            raise UsageError(f"{name} cannot be loaded: {_line(error)}") from error
        self._model: Any = BatchedInferencePipeline(model) if self._batch > 1 else model
        self._thread = _one_thread()

    @property
    def identity(self) -> dict[str, JSON]:
        return self._decides

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """Raises `ProviderError`."""
        if not isinstance(request.prompt, Speech):
            raise ProviderError("faster-whisper/ accepts only clips, not chats or texts", fatal=True)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._written, request.prompt, request)

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._thread = _one_thread()

    def _written(self, speech: Speech, request: Request) -> Response:
        started = time.perf_counter()
        settings: dict[str, Any] = {"batch_size": self._batch} if self._batch > 1 else {}
        if request.seed is not None:
            import ctranslate2

            ctranslate2.set_random_seed(request.seed)
        try:
            segments, _ = self._model.transcribe(
                _samples(speech.audio.data),
                task="translate" if speech.translate else "transcribe",
                language=speech.language or None,
                beam_size=self._beams,
                temperature=request.temperature,
                best_of=1,
                **settings,
            )
            text = "".join(segment.text for segment in segments)  # the work is done here
        except Exception as error:
            raise ProviderError(f"faster-whisper: {_line(error)}") from error
        return Response(text.strip(), seconds=time.perf_counter() - started)


def open_faster_whisper(named: Named) -> FasterWhisperModel:
    """The model that `named` names. Raises `UsageError` if the weights cannot be downloaded or loaded."""
    options = dict(named.options)
    numbers = {key: options.pop(key, default) for key, default in _NUMBERS.items()}
    for key, value in numbers.items():
        if value < (key != "threads"):
            least = 0 if key == "threads" else 1
            raise UsageError(f"{named.typed}: {key} must be at least {least}, not {value}")
    chosen = {"device": "auto", "compute_type": "default", **options}
    return FasterWhisperModel(named.typed, _folder(named.name), **chosen, **numbers)


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="faster-whisper")


def _folder(name: str) -> Path:
    """The folder of the weights, which are downloaded if `name` is not a path. Raises `UsageError`."""
    folder = Path(name).expanduser()
    if folder.is_dir() or name.startswith((".", "/", "~")):
        if not (folder / WEIGHTS).is_file():
            raise UsageError(
                f"{name} has no {WEIGHTS}: faster-whisper/ needs a folder with weights for CTranslate2"
            )
        return folder
    from faster_whisper.utils import download_model

    try:
        return Path(download_model(name))
    except Exception as error:
        raise UsageError(f"faster-whisper/{name} cannot be downloaded: {_line(error)}") from error


def _samples(wav: bytes) -> Any:
    """The samples, float32 in -1..1, of the WAV that evalkit makes from every clip."""
    import numpy as np

    with wave.open(BytesIO(wav)) as file:
        shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
        if shape != (1, 2, RATE):
            raise ValueError(f"a WAV of (channels, bytes, rate) {shape}, not (1, 2, {RATE})")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float32) / 32768


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN]
