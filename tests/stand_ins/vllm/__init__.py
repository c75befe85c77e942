"""vLLM's names, as far as evalkit uses them, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

_ATTRIBUTES = {
    "AsyncEngineArgs": "vllm.engine.arg_utils",
    "AsyncLLMEngine": "vllm.engine.async_llm_engine",
    "SamplingParams": "vllm.sampling_params",
}


def __getattr__(name: str) -> Any:
    if name not in _ATTRIBUTES:
        raise AttributeError(f"module 'vllm' has no attribute {name!r}")
    return getattr(importlib.import_module(_ATTRIBUTES[name]), name)
