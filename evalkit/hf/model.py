"""A model of transformers in this process: `hf/PATH-or-NAME`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from evalkit.errors import ProviderError
from evalkit.hf.kinds import Kind, kind_of
from evalkit.hf.options import Options, read_options
from evalkit.models.base import Capability, Request, Response
from evalkit.models.registry import Named
from evalkit.samples import JSON

if TYPE_CHECKING:
    from evalkit.hf.asked import Answer
    from evalkit.hf.loaded import Loaded
    from evalkit.hf.passes import Wanted
    from evalkit.hf.rows import Row
    from evalkit.hf.speech import Recogniser

_Answers: TypeAlias = dict[int, Response | ProviderError]


class HfModel:
    """A model that answers several requests in one call (`BatchModel`), in a thread of its own.

    It is loaded at the first request. Likelihoods, echoed prompts and answers of one greedy token are
    computed together, what their prompts begin with once; longer answers are generated in batches.
    """

    parallel: int | None = None

    def __init__(self, name: str, options: Options, kind: Kind) -> None:
        self.name, self._options, self._kind = name, options, kind
        self.capabilities: frozenset[Capability] = kind.capabilities
        self.batch_size = options.batch
        self._loaded: Loaded | Recogniser | None = None
        self._thread = _one_thread()

    @property
    def identity(self) -> dict[str, JSON]:
        return {**self._options.identity, **self._kind.identity}

    @property
    def gpus(self) -> Sequence[int]:
        """The numbers of the GPUs on which it computes; empty before it is loaded."""
        return getattr(self._loaded, "gpus", ())

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        (found,) = await self.generate_batch([request], [draw])
        if isinstance(found, ProviderError):
            raise found
        return found

    async def generate_batch(
        self, requests: Sequence[Request], draws: Sequence[int]
    ) -> Sequence[Response | ProviderError]:
        """A sampled request's seed is in it, and differs by draw."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answered, requests)

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._thread, self._loaded = _one_thread(), None

    def _answered(self, requests: Sequence[Request]) -> list[Response | ProviderError]:
        from evalkit.hf.asked import is_scored
        from evalkit.hf.loaded import Loaded, load

        if self._loaded is None:
            self._loaded = load(self._options, self._kind)
        started = time.perf_counter()
        numbered = dict(enumerate(requests))
        found: _Answers
        if isinstance(self._loaded, Loaded):
            one = self._loaded.scores
            scored = {number: it for number, it in numbered.items() if is_scored(it, one_token=one)}
            shown = {number: it for number, it in numbered.items() if it.media}
            written = {number: it for number, it in numbered.items() if number not in scored | shown}
            found = _scored(self._loaded, scored) | _written(self._loaded, written)
            found |= _shown(self._loaded, shown)
        else:
            found = dict(self._loaded.transcribe(numbered))
        seconds = time.perf_counter() - started
        answers = [found[number] for number in numbered]
        return [replace(one, seconds=seconds) if isinstance(one, Response) else one for one in answers]


def _scored(loaded: Loaded, requests: Mapping[int, Request]) -> _Answers:
    """The responses that need no generation."""
    from evalkit.hf.asked import check, scored

    wanted: list[Wanted] = []
    parts: dict[int, tuple[slice, Answer]] = {}
    failed: _Answers = {}
    loaded.texts.encode_ahead(
        (str(one.prompt), one.continuations) for one in requests.values() if one.continuations
    )
    for number, request in requests.items():
        try:
            check(loaded.texts, request)
            own, answer = scored(loaded.texts, request)
        except ProviderError as error:
            failed[number] = error
            continue
        parts[number] = slice(len(wanted), len(wanted) + len(own)), answer
        wanted += own
    found = loaded.compute(wanted) if wanted else []
    return failed | {number: answer(found[part]) for number, (part, answer) in parts.items()}


def _written(loaded: Loaded, requests: Mapping[int, Request]) -> _Answers:
    """The responses that are generated."""
    from evalkit.hf.asked import check, response, row

    found: _Answers = {}
    rows: dict[int, Row] = {}
    for number, request in requests.items():
        try:
            check(loaded.texts, request)
            rows[number] = row(loaded.texts, request)
        except ProviderError as error:
            found[number] = error
    for number, written in loaded.generate(rows):
        found[number] = response(loaded.texts, rows[number], written)
    return found


def _shown(loaded: Loaded, requests: Mapping[int, Request]) -> _Answers:
    """The responses that are generated after pictures and clips."""
    from evalkit.hf.asked import check, response, row

    found: _Answers = {}

    def rows() -> Iterator[tuple[int, Row]]:
        for number, request in requests.items():
            try:
                check(loaded.texts, request)
                yield number, row(loaded.texts, request)
            except ProviderError as error:
                found[number] = error

    for number, read, written in loaded.generate_shown(rows()):
        if isinstance(written, ProviderError):
            found[number] = written
        else:
            found[number] = response(loaded.texts, read, written)
    return found


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="hf")


def open_hf(named: Named) -> HfModel:
    """Opens `hf/PATH-or-NAME?dtype=bfloat16&device=cuda:0`. Raises `UsageError`."""
    options = read_options(named)
    return HfModel(named.typed, options, kind_of(named.typed, options))
