"""Backends. A name resolves without importing any of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from evalkit.errors import UsageError, unknown
from evalkit.models.base import Model, Request, Response, TokenLogprob

if TYPE_CHECKING:
    from evalkit.models.base import Capability

__all__ = ["BACKENDS", "Backend", "Model", "Request", "Response", "TokenLogprob", "open_model"]


@dataclass(frozen=True, slots=True)
class Backend:
    """A row of `evalkit models`. `module`: what must be importable; `install`: the mend when it is not."""

    usage: str
    summary: str
    capabilities: tuple[Capability, ...]
    module: str = ""
    install: str = ""
    options: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        return not self.module or importlib.util.find_spec(self.module) is not None


BACKENDS: dict[str, Backend] = {
    "openai": Backend(
        "openai/NAME [--base-url URL]",
        "any OpenAI-compatible endpoint: vLLM, SGLang, llama.cpp, Ollama, TGI, OpenAI (OPENAI_API_KEY)",
        ("chat", "completion", "image", "audio", "logprobs", "echo"),
        module="aiohttp",
    ),
    "llama-cpp": Backend(
        "llama-cpp/PATH.gguf or llama-cpp/SmolLM2-135M-Instruct",
        "a GGUF file in this process, on the CPU; the named model is fetched once (98 MB)",
        ("chat", "completion", "logprobs"),
        module="xllamacpp",
        install="pip install 'evalkit[llama-cpp]'",
        options=("slots", "prompt_cache", "context", "threads"),
    ),
    "transcribe": Backend(
        "transcribe/NAME [--base-url URL]",
        "an endpoint with OpenAI's speech routes: OpenAI, vLLM, speaches (OPENAI_API_KEY)",
        ("transcription",),
        module="aiohttp",
    ),
    "faster-whisper": Backend(
        "faster-whisper/PATH-OR-NAME",
        "Whisper in this process, on the CPU or a GPU",
        ("transcription",),
        module="faster_whisper",
        install="pip install 'evalkit[faster-whisper]'",
        options=("device", "compute_type", "beam_size", "threads", "batch_size"),
    ),
    "python": Backend(
        "python:FILE.py:NAME",
        "a function (prompt) → text, or a model, in a Python file of yours, run in this process",
        ("chat", "image"),
    ),
    "replay": Backend(
        "replay/RUN.db",
        "the answers of an earlier run; nothing is asked",
        ("chat", "completion", "transcription", "image", "audio", "logprobs", "echo"),
    ),
    "fake": Backend(
        "fake/gold, fake/echo, fake/fixed?text=…",
        "scripted answers, with ?wrong=0.3&errors=0.1&delay=0.05",
        ("chat", "completion", "transcription", "image", "audio", "logprobs", "echo", "likelihood"),
        options=("text", "wrong", "errors", "delay", "seed", "logprobs"),
    ),
}


_WITH_ADDRESS = ("openai", "transcribe")


def open_model(spec: str, *, base_url: str = "", timeout: float = 600.0) -> Model:
    """The model that `backend/name?option=value` names. Raises `UsageError` when it cannot be opened."""
    # What follows python: is a path, with slashes of its own.
    backend, mark, rest = spec.partition(":" if spec.startswith("python:") else "/")
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    if not mark or not rest:
        raise UsageError(f"model {spec!r} names no model: {BACKENDS[backend].usage}")
    if not BACKENDS[backend].installed:
        raise UsageError(f"{backend} is not installed: {BACKENDS[backend].install}")
    if base_url and backend not in _WITH_ADDRESS:
        takers = " and ".join(f"{name}/NAME" for name in _WITH_ADDRESS)
        raise UsageError(f"--base-url goes with {takers}, not with {backend}/")
    if backend in _WITH_ADDRESS or backend == "python":  # their names may hold a question mark
        return _open_whole(backend, rest, base_url, timeout)
    name, _, query = rest.partition("?")
    return _open_with_options(
        backend, rest, name, dict(parse_qsl(query, keep_blank_values=True)), timeout=timeout
    )


def _open_whole(backend: str, name: str, base_url: str, timeout: float) -> Model:
    if backend == "openai":
        from evalkit.models.openai import OpenAIModel

        return OpenAIModel(name, base_url, timeout=timeout)
    if backend == "transcribe":
        from evalkit.models.transcribe import open_transcribe

        return open_transcribe(name, base_url, timeout)
    from evalkit.models.python_file import open_python

    return open_python(name)


def _open_with_options(
    backend: str, typed: str, name: str, options: dict[str, str], *, timeout: float
) -> Model:
    if backend == "fake":
        from evalkit.models.fake import open_fake

        return open_fake(typed, name, options)
    for option in options:
        if option not in BACKENDS[backend].options:
            raise unknown(f"option of {backend}", option, BACKENDS[backend].options)
    if backend == "replay":
        from evalkit.models.replay import ReplayModel

        return ReplayModel(name)
    if backend == "faster-whisper":
        from evalkit.models.faster_whisper import open_faster_whisper

        return open_faster_whisper(typed, name, options)
    from evalkit.models.llama_cpp import open_llama_cpp

    return open_llama_cpp(typed, name, options, timeout=timeout)
