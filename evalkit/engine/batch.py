"""Requests that wait for a model in this process, handed to it together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias, TypeGuard

from evalkit.errors import BoundaryError, ProviderError, UsageError
from evalkit.models.base import BatchModel, Model, Request, Response

_Waiting: TypeAlias = tuple[Request, int, asyncio.Future[Response]]


def batches(model: Model) -> TypeGuard[BatchModel]:
    """Whether a model takes several requests in one call. Raises `UsageError` where it says not how many."""
    if not callable(getattr(model, "generate_batch", None)):
        return False
    size = getattr(model, "batch_size", None)
    if type(size) is not int or size < 1:
        raise UsageError(
            f"{model.name}: batch_size is {size!r}, not the number of requests that it takes at once"
        )
    return True


class Batcher:
    """Collects what is asked at the same time into calls of `BatchModel.generate_batch`, one after the other.

    While a call runs, the next one fills. A request that fails, fails alone: where a whole call fails, each
    of its requests is asked again by itself.
    """

    def __init__(self, model: BatchModel) -> None:
        self._model = model
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def generate(self, request: Request, draw: int) -> Response:
        """As the model alone would answer. Raises what it raises."""
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, draw, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await answer

    def close(self) -> None:
        """Nothing more is asked, also of what waits."""
        if self._working is not None:
            self._working.cancel()

    async def _work(self) -> None:
        while self._waiting:
            await self._gathered()
            batch: list[_Waiting] = []
            while self._waiting and len(batch) < self._model.batch_size:
                one = self._waiting.popleft()
                if not one[2].done():  # whoever asked was cancelled
                    batch.append(one)
            if batch:
                await self._answer(batch)

    async def _gathered(self) -> None:
        """Waits as long as each round of the event loop brings more, and there is room for it."""
        seen = -1
        while seen < len(self._waiting) < self._model.batch_size:
            seen = len(self._waiting)
            await asyncio.sleep(0)

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Settles what is asked in `batch`. Raises nothing."""
        found: Sequence[Response | BaseException]
        try:
            found = await self._model.generate_batch([one[0] for one in batch], [one[1] for one in batch])
            if len(found) != len(batch):
                raise ProviderError(
                    f"{self._model.name} returned {len(found)} answers to {len(batch)} requests", fatal=True
                )
        except (Exception, SystemExit) as error:  # noqa: BLE001 — of a user's model, for whoever asked
            if len(batch) > 1 and not (isinstance(error, ProviderError) and error.fatal):
                for one in batch:
                    await self._answer([one])
                return
            found = [error] * len(batch)
        for (_, _, answer), said in zip(batch, found, strict=True):
            if answer.done():
                continue
            if isinstance(said, BaseException):
                answer.set_exception(_failure(said))
            else:
                answer.set_result(said)


def _failure(error: BaseException) -> BoundaryError:
    """An error of its own for each request: it is raised where that was asked."""
    if isinstance(error, BoundaryError):
        return error
    return ProviderError(f"{type(error).__name__}: {error}")
