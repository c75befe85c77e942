"""Batches the requests that wait for a model in this process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias, TypeGuard

from evalkit.errors import BoundaryError, ProviderError, UsageError, counted
from evalkit.models.base import BatchModel, Model, Request, Response

_Waiting: TypeAlias = tuple[Request, int, asyncio.Future[Response]]


def batches(model: Model) -> TypeGuard[BatchModel]:
    """Whether a model takes several requests in one call. Raises `UsageError` for an invalid batch_size."""
    if not callable(getattr(model, "generate_batch", None)):
        return False
    size = getattr(model, "batch_size", None)
    if type(size) is not int or size < 1:
        raise UsageError(f"{model.name}: batch_size must be an integer of at least 1, not {size!r}")
    return True


def taken_at_once(model: Model) -> int:
    """The most requests for one call of a model that takes or gathers several; else 0."""
    return model.batch_size if batches(model) else getattr(model, "gathers", 0)


class Batcher:
    """Collects concurrent requests into calls of `BatchModel.generate_batch`, one call after the other.

    While a call runs, requests for the next one are collected. A request fails alone: if a whole call fails,
    each of its requests is sent again by itself.
    """

    def __init__(self, model: BatchModel) -> None:
        self._model = model
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def generate(self, request: Request, draw: int) -> Response:
        """Returns the model's response to one request. Raises what the model raises."""
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, draw, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await answer

    def close(self) -> None:
        """Stops sending requests, including those that wait."""
        if self._working is not None:
            self._working.cancel()

    async def _work(self) -> None:
        while self._waiting:
            await self._gathered()
            batch: list[_Waiting] = []
            while self._waiting and len(batch) < self._model.batch_size:
                one = self._waiting.popleft()
                if not one[2].done():  # its sample was cancelled
                    batch.append(one)
            if batch:
                await self._answer(batch)

    async def _gathered(self) -> None:
        """Waits while each turn of the event loop brings more requests and the batch has room for them."""
        seen = -1
        while seen < len(self._waiting) < self._model.batch_size:
            seen = len(self._waiting)
            await asyncio.sleep(0)

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Sets the result or error of each request in `batch`. Raises nothing."""
        found: Sequence[Response | BaseException]
        try:
            found = await self._model.generate_batch([one[0] for one in batch], [one[1] for one in batch])
            if len(found) != len(batch):
                raise ProviderError(
                    f"{self._model.name} returned {counted(len(found), 'response')} to "
                    f"{counted(len(batch), 'request')}",
                    fatal=True,
                )
        except (Exception, SystemExit) as error:  # noqa: BLE001 — a user's model may raise anything
            if len(batch) > 1 and not (isinstance(error, ProviderError) and error.fatal):
                for one in batch:
                    await self._answer([one])
                return
            found = [error] * len(batch)
        for (_, _, future), result in zip(batch, found, strict=True):
            if future.done():
                continue
            if isinstance(result, BaseException):
                future.set_exception(_failure(result))
            else:
                future.set_result(result)


def _failure(error: BaseException) -> BoundaryError:
    """Returns a new error for each request, because each one is raised separately."""
    if isinstance(error, BoundaryError):
        return error
    return ProviderError(f"{type(error).__name__}: {error}")
