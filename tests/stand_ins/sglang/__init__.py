"""SGLang's names, as far as evalkit uses them, imported when they are used."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "Engine":
        raise AttributeError(f"module 'sglang' has no attribute {name!r}")
    from .srt.entrypoints.engine import Engine

    return Engine
