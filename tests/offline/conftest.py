"""The stand-ins for vLLM and SGLang, on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import cli

__all__ = ["cli"]

_FOLDER = Path(__file__).parents[1] / "stand_ins"
_SET = (
    "VLLM_LOGGING_LEVEL", "VLLM_LOGGING_STREAM", "VLLM_NO_USAGE_STATS", "VLLM_WORKER_MULTIPROC_METHOD",
    "SGLANG_RETURN_ORIGINAL_LOGPROB",
)  # fmt: skip


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("vllm", "sglang")]:
        del sys.modules[name]


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within it, `import vllm` and `import sglang` find the stand-ins."""
    monkeypatch.syspath_prepend(str(_FOLDER))
    for name in _SET:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    _forget()
    yield
    _forget()
