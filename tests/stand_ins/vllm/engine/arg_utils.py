"""The arguments of the engine: some of vLLM's 260, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class EngineArgs:
    model: str = "Qwen/Qwen3-0.6B"
    tokenizer: str | None = None
    skip_tokenizer_init: bool = False
    trust_remote_code: bool = False
    dtype: str = "auto"
    kv_cache_dtype: str = "auto"
    seed: int = 0
    max_model_len: int | None = None
    pipeline_parallel_size: int = 1
    tensor_parallel_size: int = 1
    data_parallel_size: int = 1
    enable_prefix_caching: bool | None = None
    cpu_offload_gb: float = 0
    gpu_memory_utilization: float = 0.92
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    max_logprobs: int = 20
    logprobs_mode: str = "raw_logprobs"
    disable_log_stats: bool = False
    revision: str | None = None
    hf_overrides: Any = None
    quantization: str | None = None
    enforce_eager: bool = False
    block_size: int | None = None
    attention_backend: str | None = None


@dataclass
class AsyncEngineArgs(EngineArgs):
    enable_log_requests: bool = False
