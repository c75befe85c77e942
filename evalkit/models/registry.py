"""The backends: how each is named, what it can do, what it needs and which function opens it.

A row describes a backend without importing it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.models.options import (
    Read,
    number,
    on_or_off,
    temperatures,
    whole_number,
)
from evalkit.models.providers import PROVIDERS

if TYPE_CHECKING:
    from evalkit.models.base import Capability
    from evalkit.plugins import Plugin

KEY = "OPENAI_API_KEY"
"""The variable of the environment with the key of an endpoint, unless another one is named."""
JUDGE_KEY = "JUDGE_API_KEY"
"""The same for judge models; without it they get the other one."""


@dataclass(frozen=True, slots=True)
class Named:
    """The name of a model, parsed.

    `typed`: all of `backend/name?option=value`. `options`: their parsed values. `base_url`: "" if none was
    given. `timeout`: in seconds, for one response of an endpoint. `key_env`: the variable of the environment
    with the endpoint's key. `ray_address`: of a Ray cluster, for the backend `ray`.
    """

    typed: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    base_url: str = ""
    timeout: float = 600.0
    key_env: str = KEY
    ray_address: str = ""


@dataclass(frozen=True, slots=True)
class Backend:
    """A row of `evalkit models`.

    `factory`: `module:function` of the function that makes the model from a `Named`. `module`: the package
    that must be installed; `install`: the command that installs it. `address`: whether it accepts
    `--base-url`. `key`: whether it sends a key, by default that in the variable `key_env`. `whole`: whether
    all that follows the backend is the model's name, including question marks; the backend then parses any
    options itself. `alone`: whether there can be no copies of a model in further processes although it has no
    key. `plugin`: of an installed package, its entry point; evalkit fills it in.
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
    key: bool = False
    key_env: str = KEY
    alone: bool = False
    plugin: Plugin | None = None

    @property
    def copied(self) -> bool:
        """Whether its models run in this process, so that copies of one can run in others."""
        return not (self.key or self.alone)

    @property
    def option_names(self) -> tuple[str, ...]:
        return (*self.options, *(("copies",) if self.copied else ()))

    @property
    def installed(self) -> bool:
        return not self.module or importlib.util.find_spec(self.module) is not None


_OFFLINE: Mapping[str, Read] = {
    "revision": str,
    "dtype": str,
    "template": str,
    "bos": str,
    "requests": whole_number,
    "trust_remote_code": on_or_off,
    "quantization": str,
    "kv_cache_dtype": str,
}
"""The options of vllm/ and sglang/ alike. Those that are not evalkit's own are arguments of both engines."""


BACKENDS: dict[str, Backend] = {
    "openai": Backend(
        "openai/NAME [--base-url URL]",
        "any OpenAI-compatible endpoint: vLLM, SGLang, llama.cpp, Ollama, TGI, OpenAI (OPENAI_API_KEY)",
        ("chat", "completion", "image", "audio", "logprobs", "echo", "tools", "prefill", "extra"),
        "evalkit.models.openai:open_openai",
        module="aiohttp",
        address=True,
        whole=True,
        key=True,
    ),
    "llama-cpp": Backend(
        "llama-cpp/PATH.gguf or llama-cpp/SmolLM2-135M-Instruct",
        "a GGUF file, run in this process on the CPU; a model given by name is downloaded once (98 MB)",
        ("chat", "completion", "logprobs", "extra"),
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
    "hf": Backend(
        "hf/PATH-or-NAME",
        "a model of transformers, run in this process on a GPU or the CPU: a folder, a GGUF file or a name; "
        "image, audio and transcription if its processor has them",
        ("chat", "completion", "transcription", "image", "audio")
        + ("logprobs", "echo", "likelihood", "prefill", "extra"),
        "evalkit.hf.model:open_hf",
        module="transformers",
        install="pip install 'evalkit[hf]'",
        options={
            "revision": str,
            "dtype": str,
            "device": str,
            "attention": str,
            "adapter": str,
            "template": str,
            "bos": str,
            "bits": whole_number,
            "batch": whole_number,
            "rows": whole_number,
            "tokens": whole_number,
            "compile": on_or_off,
            "trust_remote_code": on_or_off,
        },
    ),
    "vllm": Backend(
        "vllm/PATH-or-NAME",
        "a model in vLLM's engine, in this process: for a GPU, and for many requests at once",
        ("chat", "completion", "logprobs", "echo", "likelihood", "prefill", "extra"),
        "evalkit.offline.model:open_offline",
        module="vllm",
        install="pip install 'evalkit[vllm]'",
        options={
            **_OFFLINE,
            "max_model_len": whole_number,
            "gpu_memory_utilization": number,
            "tensor_parallel_size": whole_number,
            "pipeline_parallel_size": whole_number,
            "data_parallel_size": whole_number,
            "max_num_seqs": whole_number,
            "max_num_batched_tokens": whole_number,
            "enforce_eager": on_or_off,
            "enable_prefix_caching": on_or_off,
        },
        whole=True,
    ),
    "sglang": Backend(
        "sglang/PATH-or-NAME",
        "a model in SGLang's engine, in this process: for a GPU, and for many requests at once",
        ("chat", "completion", "logprobs", "echo", "likelihood", "prefill", "extra"),
        "evalkit.offline.model:open_offline",
        module="sglang",
        install="pip install 'evalkit[sglang]'",
        options={
            **_OFFLINE,
            "context_length": whole_number,
            "mem_fraction_static": number,
            "tp_size": whole_number,
            "pp_size": whole_number,
            "dp_size": whole_number,
            "max_running_requests": whole_number,
            "chunked_prefill_size": whole_number,
            "attention_backend": str,
            "disable_radix_cache": on_or_off,
            "enable_deterministic_inference": on_or_off,
        },
        whole=True,
    ),
    "transcribe": Backend(
        "transcribe/NAME[?prompt=…] [--base-url URL]",
        "an endpoint with OpenAI's speech routes: OpenAI, vLLM, speaches (OPENAI_API_KEY)",
        ("transcription",),
        "evalkit.models.transcribe:open_transcribe",
        module="aiohttp",
        address=True,
        whole=True,
        key=True,
    ),
    "faster-whisper": Backend(
        "faster-whisper/PATH-OR-NAME",
        "Whisper, run in this process on the CPU or a GPU",
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
            "fallback": temperatures,
            "vad_filter": on_or_off,
            "condition_on_previous_text": on_or_off,
            "initial_prompt": str,
        },
    ),
    "lm-eval": Backend(
        "lm-eval/TYPE?pretrained=PATH,dtype=…",
        "any model class of lm-eval (hf, vllm, sglang, local-completions, …), with its arguments",
        ("chat", "completion", "image", "likelihood", "prefill", "extra", "lm-eval"),
        "evalkit.models.lm_eval:open_lm_eval",
        module="lm_eval",
        install="pip install 'lm-eval>=0.4.13'",
        whole=True,
    ),
    "python": Backend(
        "python:FILE.py:NAME[?option=value] [--base-url URL]",
        "a function (prompt) → text, or a class with its capabilities, from a Python file of your own",
        ("chat", "image"),
        "evalkit.models.python_file:open_python",
        address=True,
        whole=True,
    ),
    "command": Backend(
        "command:PROGRAM [ARGUMENT …][?processes=2]",
        "a program of your own in any language, which reads and writes JSON lines (docs/command.md)",
        ("chat", "completion", "transcription", "image", "audio")
        + ("logprobs", "echo", "likelihood", "tools", "prefill", "extra"),
        "evalkit.models.command:open_command",
        options={"processes": whole_number, "start": number, "keys": str},
        whole=True,
        alone=True,
    ),
    "ray": Backend(
        "ray/BACKEND/NAME?replicas=8&gpus=1",
        "copies of a model of another backend in actors of a Ray cluster",
        ("chat", "completion", "transcription", "image", "audio")
        + ("logprobs", "echo", "likelihood", "tools", "prefill", "extra"),
        "evalkit.copies.opening:open_ray",
        module="ray",
        install="pip install 'evalkit[ray]'",
        options={"replicas": whole_number, "gpus": number, "cpus": number},
        whole=True,
        alone=True,
    ),
    "replay": Backend(
        "replay/RUN.db or replay/TEXTS.trn, .stm, .ctm, .tsv, .jsonl",
        "the responses of an earlier run, or texts by the id of the sample, without any request",
        ("chat", "completion", "transcription", "image", "audio")
        + ("logprobs", "echo", "tools", "prefill", "extra"),
        "evalkit.runfile.replay:open_replay",
        alone=True,
    ),
    "fake": Backend(
        "fake/gold, fake/echo, fake/fixed?text=…",
        "scripted responses, with options such as ?wrong=0.3&errors=0.1&delay=0.05",
        ("chat", "completion", "transcription", "image", "audio")
        + ("logprobs", "echo", "likelihood", "tools", "prefill", "extra"),
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
BACKENDS |= {
    name: Backend(
        f"{name}/NAME{provider.usage} [--base-url URL]",
        f"{provider.title} ({provider.key_env})",
        provider.capabilities,
        provider.factory,
        module="aiohttp",
        options=provider.options,
        address=True,
        whole=not provider.options,
        key=True,
        key_env=provider.key_env,
    )
    for name, provider in PROVIDERS.items()
}


def capabilities_of(backend: str) -> frozenset[Capability]:
    """The capabilities of the models of `backend`; a single model may override them."""
    return frozenset(BACKENDS[backend].capabilities)


def judge_key(spec: str) -> str:
    """The variable with the key of the judge model `spec`: `JUDGE_KEY` if it is set and of use, else ""."""
    row = BACKENDS.get(spec.partition("/")[0])
    return JUDGE_KEY if row is not None and row.key and os.environ.get(JUDGE_KEY, "").strip() else ""
