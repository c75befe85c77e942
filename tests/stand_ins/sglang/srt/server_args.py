"""The arguments of the engine: some of SGLang's 570, with its defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ServerArgs:
    model_path: str
    tokenizer_path: str | None = None
    skip_tokenizer_init: bool = False
    load_format: str = "auto"
    trust_remote_code: bool = False
    context_length: int | None = None
    revision: str | None = None
    dtype: str = "auto"
    quantization: str | None = None
    kv_cache_dtype: str = "auto"
    mem_fraction_static: float | None = None
    max_running_requests: int | None = None
    chunked_prefill_size: int | None = None
    tp_size: int = 1
    pp_size: int = 1
    dp_size: int = 1
    random_seed: int | None = None
    log_level: str = "info"
    attention_backend: str | None = None
    disable_radix_cache: bool = False
    enable_deterministic_inference: bool = False
    chat_template: str | None = None
    enable_lora: bool | None = None
