"""A GGUF file in this process: llama.cpp's own server, built for the CPU by xllamacpp, over loopback.

By default it has one slot and no prompt cache, because only then does a response not depend on earlier and
concurrent requests: with four slots, 4 of 16 greedy HumanEval responses of SmolLM2 differed, with a prompt
cache 2 of 10 GSM8K responses. `?slots=4` is about 15 % faster, `?prompt_cache=on` up to three times as fast
with long shared prompts; both are part of the model's identity.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from pathlib import Path
from typing import Any

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Capability, Request, Response
from evalkit.models.openai import OpenAIModel
from evalkit.models.registry import Named, capabilities_of
from evalkit.models.weights import NAMED, fetch, sha256
from evalkit.samples import JSON

_CONTEXT_STEP = 256


class LlamaCppModel:
    """The model `llama-cpp/PATH.gguf`. The file is loaded at the first request."""

    capabilities: frozenset[Capability] = capabilities_of("llama-cpp")

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        slots: int = 1,
        prompt_cache: bool = False,
        context: int = 4096,
        threads: int = 0,
        timeout: float = 600.0,
    ) -> None:
        """`slots`: the number of concurrent requests. `context`: the tokens of prompt and response, per slot.

        `threads`: 0 means one thread per core, which is fastest if nothing else runs on the machine. Beside
        other work the threads wait for each other, and a single thread can be five times as fast. Raises
        `UsageError` if there is no such file.
        """
        if not path.is_file():
            raise UsageError(f"no file {str(path)!r}: llama-cpp/ needs a GGUF file, or {' or '.join(NAMED)}")
        self.name = f"llama-cpp/{name}"
        # One more than the slots, so that a slot never waits for the next request.
        self.parallel: int | None = slots + 1
        self._path, self._slots, self._prompt_cache, self._context = path, slots, prompt_cache, context
        self._threads = threads
        self._timeout = timeout
        self._server: Any = None
        self._client: OpenAIModel | None = None
        self._starting = asyncio.Lock()

    @cached_property
    def _weights(self) -> str:
        return sha256(self._path)

    @property
    def identity(self) -> dict[str, JSON]:
        identity: dict[str, JSON] = {
            "backend": "llama-cpp",
            "weights": self._weights,
            "slots": self._slots,
            "prompt_cache": self._prompt_cache,
            "context": self._context,
        }
        if self._threads:
            identity["threads"] = self._threads  # it changes the last bits of the probabilities
        return identity

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        return await (await self.start()).generate(request, draw=draw)

    async def start(self) -> OpenAIModel:
        """Loads the file and starts the server on a loopback port, once; returns the server's client."""
        async with self._starting:
            if self._client is None:
                self._server = await asyncio.to_thread(self._load)
                self._client = OpenAIModel(
                    self._path.name, f"{self._server.listening_address}/v1", timeout=self._timeout
                )
            return self._client

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        self._client = self._server = None  # its destructor ends the server
        self._starting = asyncio.Lock()  # for another event loop

    def _load(self) -> Any:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self._path)
        params.n_parallel = self._slots
        params.n_ctx = self._slots * self._context
        if self._threads:
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._threads
        params.cache_prompt = self._prompt_cache
        params.cache_ram_mib = 0
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.verbosity = -1
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise ProviderError(f"llama.cpp cannot load {self._path}: {error}", fatal=True) from None


def open_llama_cpp(named: Named) -> LlamaCppModel:
    """Opens `llama-cpp/NAME?slots=4&prompt_cache=on&context=8192&threads=2`.

    NAME is a path or one of `NAMED`. Raises `UsageError`.
    """
    name = named.name
    options: dict[str, Any] = {"slots": 1, "context": 4096, "threads": 0, **named.options}
    for key, least in (("slots", 1), ("threads", 0)):
        if options[key] < least:
            raise UsageError(f"llama-cpp/{name}: {key} must be at least {least}, not {options[key]}")
    if options["context"] < 1 or options["context"] % _CONTEXT_STEP:
        raise UsageError(
            f"llama-cpp/{name}: context must be a multiple of {_CONTEXT_STEP}, not {options['context']}"
        )
    path = fetch(NAMED[name]) if name in NAMED else Path(name)
    return LlamaCppModel(path, named.typed.removeprefix("llama-cpp/"), timeout=named.timeout, **options)
