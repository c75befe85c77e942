"""The copies of a model as one model: the engine sends each request to the least loaded one."""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, final

from evalkit.copies.life import ALONE, CopyEnded, Group, Launch, Life
from evalkit.copies.serving import Asked, Opened, said
from evalkit.errors import EvalkitError, ProviderError, UsageError
from evalkit.models.base import Capability, Request, Response
from evalkit.models.fake import Hints
from evalkit.processes.pool import Ended
from evalkit.samples import JSON

__all__ = ["Copies", "Copy", "CopyEnded"]

_PATIENCE = 10.0
"""Seconds without any open copy after which the user is told what is waited for."""


class Copy:
    """One copy of a model that answers one request in each call; several calls are made at a time."""

    def __init__(self, life: Life, opened: Opened) -> None:
        self._life = life
        self.name, self.base_url = opened.name, life.name
        self.capabilities: frozenset[Capability] = opened.capabilities
        self.parallel = opened.parallel
        self.gathers = opened.gathers
        self.identity: dict[str, JSON] = opened.identity

    @property
    def ready(self) -> bool:
        """Whether a request need not wait until the copy is started."""
        return self._life.ready

    @property
    def hopeless(self) -> bool:
        """Whether an error for which no request can succeed concerns all copies: none has answered yet."""
        return not self._life.group.answered

    def when_ready(self, tell: Any) -> None:
        self._life.when_ready(tell)

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        return await self._one(Asked(request, draw))

    async def generate_hinted(self, request: Request, hints: Hints | None, *, draw: int = 0) -> Response:
        """Only for copies of `FakeModel`; see there."""
        told = None if hints is None else (said(hints.gold), said(hints.wrong))
        return await self._one(Asked(request, draw, told))

    async def _one(self, asked: Asked) -> Response:
        (found,) = await self._life.ask([asked])
        if isinstance(found, ProviderError):
            raise found
        return found

    async def aclose(self) -> None:
        self._life.close()


class BatchCopy(Copy):
    """One copy of a `BatchModel`."""

    def __init__(self, life: Life, opened: Opened) -> None:
        super().__init__(life, opened)
        self.batch_size = opened.batch_size

    async def generate_batch(
        self, requests: Sequence[Request], draws: Sequence[int]
    ) -> Sequence[Response | ProviderError]:
        """As `BatchModel`; requests in whose company copies ended before are asked one by one."""
        deaths = self._life.group.deaths
        asked = [Asked(request, draw) for request, draw in zip(requests, draws, strict=True)]
        if not deaths:
            return await self._life.ask(asked)
        alone = [deaths[one.request.encoded()[0], one.draw] >= ALONE for one in asked]
        found: dict[int, Response | ProviderError] = {}
        together = [at for at, by_itself in enumerate(alone) if not by_itself]
        for part in (together, *([at] for at, by_itself in enumerate(alone) if by_itself)):
            if part:
                answers = await self._life.ask([asked[at] for at in part])
                found |= dict(zip(part, answers, strict=True))
        return [found[at] for at in range(len(asked))]


@final
class Copies:
    """A model in several processes. Its name and identity are the model's, so that a plain run resumes it.

    `hinted`: whether it is a `FakeModel`, which gets the hints of a sample.
    """

    parallel: int | None = None

    def __init__(
        self, count: int, launch: Launch, *, timeout: float, hinted: bool = False, waits_for: str = ""
    ) -> None:
        """Starts `count` copies and waits for the first one, which says what the model is.

        `timeout`: seconds for one call of the model. `waits_for`: what the user is told if that takes long.
        Raises `UsageError` if the first copy to say anything cannot open the model.
        """
        self._group = Group(launch, timeout)
        self.hinted = hinted
        self._lives = [Life(number, self._group) for number in range(count)]
        weakref.finalize(self, _close, self._lives)
        try:
            opened = self._first(waits_for)
        except BaseException:
            _close(self._lives)
            raise
        self.name, self.identity, self.capabilities = opened.name, opened.identity, opened.capabilities
        kind = BatchCopy if opened.batch_size else Copy
        self.members: tuple[Copy, ...] = tuple(kind(life, opened) for life in self._lives)
        self._turns: Iterator[Copy] = itertools.cycle(self.members)

    def _first(self, waits_for: str) -> Opened:
        openings: list[Future[Any]] = [life.opening for life in self._lives if life.opening is not None]
        done, _ = wait(openings, _PATIENCE if waits_for else None, FIRST_COMPLETED)
        if not done:
            sys.stderr.write(f"{waits_for}\n")
            sys.stderr.flush()
            done, _ = wait(openings, None, FIRST_COMPLETED)
        for error in (one.exception() for one in done):
            if isinstance(error, Ended):
                raise UsageError(f"a copy ended while it was started ({error})")
            if isinstance(error, EvalkitError):
                raise error if isinstance(error, UsageError) else UsageError(str(error))
            if error is not None:
                raise error
        assert self._group.opened is not None
        return self._group.opened

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """Sends the request to the next copy in turn. The engine chooses among `members` itself.

        Raises `ProviderError`.
        """
        return await next(self._turns).generate(request, draw=draw)

    async def aclose(self) -> None:
        for member in self.members:
            await member.aclose()


def _close(lives: Sequence[Life]) -> None:
    for life in lives:
        life.close()
