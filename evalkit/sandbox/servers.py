"""A few servers of one kind, at most one for each CPU at work at a time."""

from __future__ import annotations

import asyncio
import os
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from evalkit.errors import SandboxError
from evalkit.sandbox.worker import Died, Worker

Kind = TypeVar("Kind", bound=Worker)
Found = TypeVar("Found")
TWICE = "its sandbox ended with it, and again in a fresh one"
"""What is said of a program with which two servers ended."""


class Servers(Generic[Kind]):
    """Starts servers when they are needed. They may be used from one event loop after another."""

    def __init__(self, start: Callable[[], Kind]) -> None:
        self._start = start
        self._loop: asyncio.AbstractEventLoop | None = None
        self._slots = asyncio.Semaphore(_cpus())
        self._idle: list[Kind] = []
        self.all: set[Kind] = set()
        weakref.finalize(self, _close, self.all)

    async def use(self, work: Callable[[Kind], Awaitable[Found]]) -> Found | None:
        """What `work` makes of a server. Raises `SandboxError` when none can be had.

        A server that ends is blamed on nobody: it is tried once more, in a fresh one, alone. None when that
        ends too.
        """
        async with self._slot():
            for fresh in (False, True):
                try:
                    return await self._used(work, fresh=fresh)
                except Died:
                    pass
                except SandboxError:
                    if fresh:
                        raise
        return None

    def close(self) -> None:
        """Ends the servers at once. A later `use` starts others."""
        self._idle.clear()
        _close(self.all)

    async def _used(self, work: Callable[[Kind], Awaitable[Found]], *, fresh: bool) -> Found:
        worker = None
        while worker is None and self._idle and not fresh:
            worker = self._idle.pop()
            if not worker.alive:
                self._end(worker)
                worker = None
        try:
            if worker is None:
                worker = self._start()
                self.all.add(worker)
                await worker.ready()
            found = await work(worker)
        except BaseException:  # cancelled, too: its answer would be taken for the next program's
            if worker is not None:
                self._end(worker)
            raise
        self._idle.append(worker)
        return found

    def _end(self, worker: Kind) -> None:
        self.all.discard(worker)
        worker.close()

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # a semaphore belongs to the loop that first waited on it
            self._loop, self._slots = loop, asyncio.Semaphore(_cpus())
        return self._slots


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _close(workers: set[Kind]) -> None:
    while workers:
        workers.pop().close()
