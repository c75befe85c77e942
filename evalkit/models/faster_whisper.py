"""Whisper in this process, on the CPU or a GPU: `faster-whisper/PATH-OR-NAME` (CTranslate2).

A path is a folder with `model.bin`, as `ct2-transformers-converter` writes it; for a name ("base",
"large-v3", "owner/name"), faster-whisper downloads the weights from the Hub once. Options: `device` (cpu,
cuda, auto), `compute_type` (such as int8, float16), `beam_size` (5), `threads` (of the CPU), `batch_size`
(above 1, a long clip is cut at its silences and the pieces are decoded together, which gives another text
than one window after the other).

Whisper's own ways of decoding are options too, each of which is part of the model's identity where it is not
at its default:

- `fallback=on` tries higher temperatures, in steps of 0.2 up to 1, if the text of a window is improbable or
  repetitive, and keeps the best of five samples, as OpenAI's program and the library do by default. It keeps
  a silent clip from becoming a loop of hundreds of words, which may be most of a word error rate. Off by
  default: the protocol's temperature alone is used, and above 0 a transcript is a single sample.
  `fallback=0,0.2,0.4` tries these temperatures; the first must be the protocol's. The library tries none
  with `batch_size`, so that the two are refused together.
- `vad_filter=on` leaves out what the library's detector takes for silence (default: off, and always on with
  `batch_size`).
- `condition_on_previous_text=off` decodes each window without the text of the one before (default: on; with
  `batch_size` no window has it).
- `initial_prompt`: a text that stands before the first window's.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import wave
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Capability, Request, Response
from evalkit.models.registry import Named, capabilities_of
from evalkit.samples import JSON, Speech

RATE = 16_000
WEIGHTS = "model.bin"
_STEP = 0.2
"""`temperature_increment_on_fallback` of OpenAI's program (openai/whisper at c0d2f62, transcribe.py)."""
_BEST_OF = 5
_Switch: TypeAlias = bool | str | tuple[float, ...]
_SWITCHES: Mapping[str, _Switch] = {
    "fallback": False,
    "vad_filter": False,
    "condition_on_previous_text": True,
    "initial_prompt": "",
}
"""Whisper's ways of decoding, with their defaults here."""
_NUMBERS = {"beam_size": 5, "threads": 0, "batch_size": 1}
_SHOWN = 300
"""The most characters of an error of the library that are shown."""


class FasterWhisperModel:
    """A Whisper model that handles one clip at a time, in a thread; CTranslate2 uses all cores or the GPU."""

    capabilities: frozenset[Capability] = capabilities_of("faster-whisper")
    parallel: int | None = 1

    def __init__(
        self,
        name: str,
        folder: Path,
        device: str,
        compute_type: str,
        switches: Mapping[str, _Switch],
        **numbers: int,
    ) -> None:
        """`folder`: the weights. `switches`: of `_SWITCHES`, those that are not at their defaults.

        `numbers`: `beam_size`, `threads`, `batch_size`. Raises `UsageError`.
        """
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
            **{key: list(value) if isinstance(value, tuple) else value for key, value in switches.items()},
        }
        self._switches = {**switches}
        self._fallback = self._switches.pop("fallback", False)
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
        if isinstance(self._fallback, tuple) and self._fallback[0] != request.temperature:
            raise ProviderError(
                f"{self.name}: fallback begins with {self._fallback[0]:g}, and the protocol asks for the "
                f"temperature {request.temperature:g}: begin with that, or add --set "
                f"temperature={self._fallback[0]:g}",
                fatal=True,
            )
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._written, request.prompt, request)

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._thread = _one_thread()

    def _written(self, speech: Speech, request: Request) -> Response:
        started = time.perf_counter()
        settings: dict[str, Any] = dict(self._switches)
        if self._batch > 1:
            settings["batch_size"] = self._batch
        if request.seed is not None or self._fallback:
            import ctranslate2

            # With a fallback even a greedy request may sample, and has no seed of its own.
            ctranslate2.set_random_seed(request.seed or 0)
        try:
            segments, _ = self._model.transcribe(
                _samples(speech.audio.data),
                task="translate" if speech.translate else "transcribe",
                language=speech.language or None,
                beam_size=self._beams,
                temperature=self._tried(request.temperature),
                best_of=_BEST_OF if self._fallback else 1,
                **settings,
            )
            heard = list(segments)  # the work is done here
        except Exception as error:
            raise ProviderError(f"faster-whisper: {_line(error)}") from error
        text = "".join(segment.text for segment in heard).strip()
        spoken = tuple((one.text.strip(), float(one.start), float(one.end)) for one in heard)
        return Response(text, seconds=time.perf_counter() - started, spoken=spoken)

    def _tried(self, temperature: float) -> float | tuple[float, ...]:
        if isinstance(self._fallback, tuple):
            return self._fallback
        return _temperatures(temperature) if self._fallback else temperature


def open_faster_whisper(named: Named) -> FasterWhisperModel:
    """The model that `named` names. Raises `UsageError` if the weights cannot be downloaded or loaded."""
    options = dict(named.options)
    numbers = {key: options.pop(key, default) for key, default in _NUMBERS.items()}
    for key, value in numbers.items():
        if value < (key != "threads"):
            least = 0 if key == "threads" else 1
            raise UsageError(f"{named.typed}: {key} must be at least {least}, not {value}")
    given = {key: options.pop(key, default) for key, default in _SWITCHES.items()}
    steps = given["fallback"]
    if isinstance(steps, tuple) and steps == _temperatures(steps[0]):
        given["fallback"] = True  # the same by another name
    switches = {key: value for key, value in given.items() if value != _SWITCHES[key]}
    for key in ("condition_on_previous_text", "fallback"):
        if numbers["batch_size"] > 1 and key in switches:
            raise UsageError(
                f"{named.typed}: {key} has no effect with batch_size above 1, where pieces are decoded "
                "together: leave out one of them"
            )
    chosen = {"device": "auto", "compute_type": "default", **options}
    return FasterWhisperModel(named.typed, _folder(named.name), **chosen, switches=switches, **numbers)


def _temperatures(first: float) -> tuple[float, ...]:
    """`first`, and the higher ones that are tried if a text is improbable or repetitive."""
    steps = round((1 - first) / _STEP) if first < 1 else 0
    return (first, *(round(first + _STEP * step, 6) for step in range(1, steps + 1)))


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
