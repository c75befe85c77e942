"""A model that vLLM or SGLang computes in this process."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import ProviderError, one_line
from evalkit.models.base import Capability, Request, Response
from evalkit.models.registry import Named, capabilities_of
from evalkit.offline.options import Options, read_options
from evalkit.offline.thread import LoopThread
from evalkit.samples import JSON

if TYPE_CHECKING:
    from evalkit.hf.text import Texts
    from evalkit.offline.engine import Engine
    from evalkit.offline.sglang import Quits

_SHOWN = 300


class OfflineModel:
    """A model whose requests go to its engine as they come, which computes them together.

    The engine is loaded at the first request and lives in a thread with an event loop. There are no batches:
    a request joins those that are computed, and its response is there as soon as it ends.
    """

    def __init__(self, name: str, options: Options) -> None:
        self.name, self._options = name, options
        self.capabilities: frozenset[Capability] = capabilities_of(options.backend)
        self.gathers = options.requests
        """More requests are in flight than the engine computes at once, so that it never waits for one."""
        self.parallel: int | None = options.requests
        self._loaded: _Loaded | None = None
        self._quits: Quits | None = None
        self._loading = asyncio.Lock()

    @property
    def identity(self) -> dict[str, JSON]:
        return self._options.identity

    @property
    def gpus(self) -> Sequence[int]:
        """The numbers of the GPUs on which it computes: the first ones; empty before it is loaded."""
        return range(self._options.gpus) if self._loaded is not None else ()

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """A sampled request's seed is in it, and differs by draw. Raises `ProviderError`."""
        async with self._loading:
            if self._loaded is None:
                self._loaded = await self._load()
        started = time.perf_counter()
        found = await self._loaded.thread.run(self._loaded.answer(request))
        return replace(found, seconds=time.perf_counter() - started)

    async def _load(self) -> _Loaded:
        """Loads the engine in its thread. Raises `ProviderError` (fatal)."""
        backend, thread = self._options.backend, LoopThread(self._options.backend)
        if backend == "sglang":
            from evalkit.offline.sglang import Quits

            self._quits = Quits()
        try:
            engine, texts = await thread.run(_made(self._options, self._quits))
        except (Exception, SystemExit) as error:  # noqa: BLE001 — the engines raise whatever they like
            await asyncio.to_thread(thread.end)
            line = one_line(error, _SHOWN)
            raise ProviderError(
                f"{backend}/{self._options.path.name} cannot be loaded: {line}", fatal=True
            ) from None
        return _Loaded(engine, texts, thread)

    async def aclose(self) -> None:
        loaded, self._loaded = self._loaded, None
        if self._quits is not None:
            self._quits.close()
            self._quits = None
        self._loading = asyncio.Lock()  # for another event loop
        if loaded is not None:
            await asyncio.to_thread(loaded.close)


class _Loaded:
    """An engine in its thread, with the tokenizer that turns requests into its tokens."""

    def __init__(self, engine: Engine, texts: Texts, thread: LoopThread) -> None:
        self._engine, self._texts, self.thread = engine, texts, thread

    async def answer(self, request: Request) -> Response:
        from evalkit.hf.asked import check, is_scored, response, row, scored
        from evalkit.offline.engine import HEEDED

        check(self._texts, request, HEEDED)
        changed = request.extra.keys() - {"top_k"}  # with a penalty, another token may be the likeliest
        if is_scored(request) and (request.continuations or request.echo or not changed):
            wanted, answer = scored(self._texts, request, last=True)
            return answer(await asyncio.gather(*map(self._engine.score, wanted)))
        asked = row(self._texts, request)
        return response(self._texts, asked, await self._engine.write(asked, request.extra))

    def close(self) -> None:
        self._engine.close()
        self.thread.end()
        gc.collect()  # vLLM's engine refers to itself, and complains if it is left to the end of the process


async def _made(options: Options, quits: Quits | None) -> tuple[Engine, Texts]:
    """The engine, with its tokenizer, made on the loop that it will live on."""
    texts = _texts(options)
    engine: Engine
    if options.backend == "vllm":
        from evalkit.offline.vllm import VllmEngine

        engine = VllmEngine(options, texts.ends)
    else:
        from evalkit.offline.sglang import SglangEngine

        engine = SglangEngine(options, texts.ends)
        if quits is not None:
            quits.call(engine.die)
    texts.context = engine.context
    return engine, texts


def _texts(options: Options) -> Texts:
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    from evalkit.hf.text import Texts, numbers

    given: dict[str, Any] = {
        "trust_remote_code": options.trust_remote_code,
        "local_files_only": True,
    }
    tokenizer = AutoTokenizer.from_pretrained(options.path, **given)
    if (options.path / "generation_config.json").is_file():
        generation = GenerationConfig.from_pretrained(options.path, local_files_only=True)
    else:
        generation = GenerationConfig.from_model_config(AutoConfig.from_pretrained(options.path, **given))
    template = Path(options.template).read_text("utf-8") if options.template else ""
    ends = numbers(generation.eos_token_id)
    return Texts(tokenizer, template, options.bos, ends=ends, backend=options.backend)


def open_offline(named: Named) -> OfflineModel:
    """Opens `vllm/PATH-or-NAME?dtype=bfloat16&max_model_len=8192`, or `sglang/…`. Raises `UsageError`."""
    return OfflineModel(named.typed, read_options(named))
