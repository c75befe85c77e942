"""Gathers concurrent calls into batches for a function that blocks, which runs in a thread of its own.

For models that are fastest with many requests at once and whose code is not asynchronous. A call has a key,
and only calls with equal keys share a batch: the kind of the request and its settings.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

from evalkit.errors import BoundaryError, ProviderError, counted, one_line

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")

_QUIET = 0.01
"""Seconds without a new call after which a batch is complete; a call to a model takes longer by far."""
_LONGEST = 0.25
"""The most seconds that a batch waits for further calls."""


class _Waiting(NamedTuple, Generic[K, T, R]):
    key: K
    item: T
    result: asyncio.Future[R]


class Batches(Generic[K, T, R]):
    """Collects calls while the thread is busy and passes them on as batches, one after the other.

    A batch has the key of the call that has waited longest, and at most `most` calls, in the order in which
    they came, but sorted by length before they are passed on: longest first, as lm-eval's `Collator` sorts
    (models/utils.py at 0.4.13), so that texts of similar length stand next to each other and a lack of memory
    shows at the beginning. A batch starts when the thread is free and either `most` calls wait, or none came
    for 10 ms, or 0.25 s have passed, so that the first batch is not a single call.
    """

    def __init__(
        self,
        work: Callable[[K, Sequence[T]], Sequence[R | Exception]],
        *,
        most: int,
        length: Callable[[T], int],
        name: str,
        quiet: float = _QUIET,
    ) -> None:
        """`work`: (key, items) → a result or an error for each item, in order; it runs in the thread.

        An exception that it raises is the error of every item of that batch and of no other. `length`: of an
        item, in any unit. `name`: what errors call the function, and the name of the thread. `quiet`: seconds
        without a new call after which a batch starts.
        """
        self._work, self._most, self._length, self._name, self._quiet = work, most, length, name, quiet
        self._waiting: deque[_Waiting[K, T, R]] = deque()
        self._arrived = asyncio.Event()
        self._passing: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def ask(self, key: K, item: T) -> R:
        """Returns the result for `item`. Raises `BoundaryError`; a caller that is cancelled leaves its batch.

        An exception of the function that is no `BoundaryError` becomes a `ProviderError` with its message.
        """
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(key, item, result))
        if self._passing is None or self._passing.done():
            self._arrived = asyncio.Event()  # the last one may belong to another event loop
            self._passing = asyncio.create_task(self._pass())
        self._arrived.set()
        return await result

    async def aclose(self) -> None:
        """Drops the calls that wait and ends the thread, after the batch in it; a later call starts anew."""
        passing, self._passing = self._passing, None
        if passing is not None and not passing.done():
            passing.cancel()
            await asyncio.wait([passing])
        for one in self._waiting:
            one.result.cancel()
        self._waiting.clear()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown)

    async def _pass(self) -> None:
        while self._waiting:
            await self._gathered()
            batch = self._next()
            if batch:
                await self._answer(batch)

    async def _gathered(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + _LONGEST
        while len(self._waiting) < self._most and (left := end - loop.time()) > 0:
            self._arrived.clear()
            try:
                async with asyncio.timeout(min(self._quiet, left)):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _next(self) -> list[_Waiting[K, T, R]]:
        """Takes the next batch from the waiting calls, longest first; empty if all of them were cancelled."""
        batch: list[_Waiting[K, T, R]] = []
        rest: deque[_Waiting[K, T, R]] = deque()
        for one in self._waiting:
            if one.result.done():  # its caller was cancelled
                continue
            same = not batch or one.key == batch[0].key
            (batch if same and len(batch) < self._most else rest).append(one)
        self._waiting = rest
        return sorted(batch, key=lambda one: -self._length(one.item))

    async def _answer(self, batch: Sequence[_Waiting[K, T, R]]) -> None:
        """Sets the result or the error of each call of `batch`. Raises only that this task is cancelled."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        loop = asyncio.get_running_loop()
        found: Sequence[R | Exception]
        try:
            found = await loop.run_in_executor(
                self._thread, self._called, batch[0].key, [one.item for one in batch]
            )
        except asyncio.CancelledError:
            for one in batch:
                one.result.cancel()
            raise
        for one, result in zip(batch, found, strict=True):
            if one.result.done():
                continue
            if isinstance(result, Exception):
                one.result.set_exception(self._failure(result))
            else:
                one.result.set_result(result)

    def _called(self, key: K, items: Sequence[T]) -> Sequence[R | Exception]:
        """The function's results. An exception is returned for each item: `StopIteration` fits no future."""
        try:
            found = self._work(key, items)
        except (Exception, SystemExit) as error:  # noqa: BLE001 — code of others may raise anything
            return [self._failure(error)] * len(items)
        if len(found) != len(items):
            gave = f"{counted(len(found), 'result')} for {counted(len(items), 'request')}"
            wrong = ProviderError(f"{self._name} gave {gave}")
            return [wrong] * len(items)
        return found

    def _failure(self, error: Exception | SystemExit) -> BoundaryError:
        """The error of one call: each has its own, because the engine changes what is raised."""
        if isinstance(error, BoundaryError):
            return copy.copy(error)
        return ProviderError(f"{self._name}: {one_line(error, 500)}")
