"""The backends: how each is named, what it can do, what it needs and which function opens it.

A row is all there is to know of a backend before it is opened; none of them is imported for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from evalkit.errors import UsageError, unknown

if TYPE_CHECKING:
    from evalkit.models.base import Capability, Model

Read: TypeAlias = Callable[[str], Any]
"""What reads an option as it was typed. Raises `ValueError` that says what it is not."""


def whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("is no whole number") from None


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("is not a number") from None


def on_or_off(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError("is neither on nor off")
    return text == "on"


@dataclass(frozen=True, slots=True)
class Named:
    """A model as it was named. `typed`: `backend/name?option=value`, whole; `options`: as they were read.

    `base_url`: "" where none was given. `timeout`: seconds for one answer of an endpoint.
    """

    typed: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    base_url: str = ""
    timeout: float = 600.0


@dataclass(frozen=True, slots=True)
class Backend:
    """A row of `evalkit models`.

    `factory`: `module:function` of what makes the model of a `Named`. `module`: what must be importable;
    `install`: the fix when it is not. `address`: whether it takes `--base-url`. `whole`: whether all that
    stands behind the backend is the name, question marks too; what options it has is then its own business.
    """

    usage: str
    summary: str
    capabilities: tuple[Capability, ...]
    factory: str = ""
    module: str = ""
    install: str = ""
    options: Mapping[str, Read] = field(default_factory=dict)
    address: bool = False
    whole: bool = False

    @property
    def installed(self) -> bool:
        return not self.module or importlib.util.find_spec(self.module) is not None


BACKENDS: dict[str, Backend] = {
    "openai": Backend(
        "openai/NAME [--base-url URL]",
        "any OpenAI-compatible endpoint: vLLM, SGLang, llama.cpp, Ollama, TGI, OpenAI (OPENAI_API_KEY)",
        ("chat", "completion", "image", "audio", "logprobs", "echo", "tools", "prefill"),
        "evalkit.models.openai:open_openai",
        module="aiohttp",
        address=True,
        whole=True,
    ),
    "llama-cpp": Backend(
        "llama-cpp/PATH.gguf or llama-cpp/SmolLM2-135M-Instruct",
        "a GGUF file in this process, on the CPU; the named model is fetched once (98 MB)",
        ("chat", "completion", "logprobs"),
        "evalkit.models.llama_cpp:open_llama_cpp",
        module="xllamacpp",
        install="pip install 'evalkit[llama-cpp]'",
        options={
            "slots": whole_number,
            "prompt_cache": on_or_off,
            "context": whole_number,
            "threads": whole_number,
        },
    ),
    "transcribe": Backend(
        "transcribe/NAME [--base-url URL]",
        "an endpoint with OpenAI's speech routes: OpenAI, vLLM, speaches (OPENAI_API_KEY)",
        ("transcription",),
        "evalkit.models.transcribe:open_transcribe",
        module="aiohttp",
        address=True,
        whole=True,
    ),
    "faster-whisper": Backend(
        "faster-whisper/PATH-OR-NAME",
        "Whisper in this process, on the CPU or a GPU",
        ("transcription",),
        "evalkit.models.faster_whisper:open_faster_whisper",
        module="faster_whisper",
        install="pip install 'evalkit[faster-whisper]'",
        options={
            "device": str,
            "compute_type": str,
            "beam_size": whole_number,
            "threads": whole_number,
            "batch_size": whole_number,
        },
    ),
    "python": Backend(
        "python:FILE.py:NAME[?option=value] [--base-url URL]",
        "a function (prompt) → text, or a model that says what it does, in a Python file of yours, run here",
        ("chat", "image"),
        "evalkit.models.python_file:open_python",
        address=True,
        whole=True,
    ),
    "replay": Backend(
        "replay/RUN.db",
        "the answers of an earlier run; nothing is asked",
        ("chat", "completion", "transcription", "image", "audio", "logprobs", "echo", "tools", "prefill"),
        "evalkit.runfile.replay:open_replay",
    ),
    "fake": Backend(
        "fake/gold, fake/echo, fake/fixed?text=…",
        "scripted answers, with ?wrong=0.3&errors=0.1&delay=0.05",
        ("chat", "completion", "transcription", "image", "audio")
        + ("logprobs", "echo", "likelihood", "tools", "prefill"),
        "evalkit.models.fake:open_fake",
        options={
            "text": str,
            "wrong": number,
            "errors": number,
            "delay": number,
            "seed": whole_number,
            "logprobs": on_or_off,
        },
    ),
}


def capabilities_of(backend: str) -> frozenset[Capability]:
    """What models of `backend` can do, unless an object of it says otherwise."""
    return frozenset(BACKENDS[backend].capabilities)


def open_model(spec: str, *, base_url: str = "", timeout: float = 600.0) -> Model:
    """The model that `backend/name?option=value` names. Raises `UsageError` when it cannot be opened."""
    # What follows python: is a path, with slashes of its own.
    backend, mark, rest = spec.partition(":" if spec.startswith("python:") else "/")
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    row = BACKENDS[backend]
    if not mark or not rest:
        raise UsageError(f"model {spec!r} names no model: {row.usage}")
    if not row.installed:
        raise UsageError(f"{backend} is not installed: {row.install}")
    if base_url and not row.address:
        takers = [re.split(r"[ \[]", other.usage)[0] for other in BACKENDS.values() if other.address]
        raise UsageError(f"--base-url goes with {' and '.join(takers)}, not with {backend}/")
    name, _, query = (rest, "", "") if row.whole else rest.partition("?")
    options = read_options(f"{backend}/{name}", parse_options(query), row.options, backend)
    module, _, function = row.factory.partition(":")
    factory: Callable[[Named], Model] = getattr(importlib.import_module(module), function)
    return factory(Named(spec, name, options, base_url, timeout))


def parse_options(query: str) -> dict[str, str]:
    """The options behind a question mark, as they were typed."""
    return dict(parse_qsl(query, keep_blank_values=True))


def read_options(
    model: str, typed: Mapping[str, str], known: Mapping[str, Read], owner: str
) -> dict[str, Any]:
    """`typed` as `known` reads them. Raises `UsageError` that names the option and what is wrong with it."""
    found = {}
    for key, text in typed.items():
        if key not in known:
            raise unknown(f"option of {owner}", key, known, "" if known else f"{model} has no options")
        try:
            found[key] = known[key](text)
        except ValueError as error:
            raise UsageError(f"{model}: {key}={text} {error}") from None
    return found
