"""The workers of a cell: each runs one sample after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from evalkit.engine.client import ModelClient
from evalkit.engine.commits import Commits

_UNKNOWN = 16
"""The most workers that are added before anything was answered."""
Work = Callable[[], Coroutine[Any, Any, None]]


class SampleWorkers:
    """Runs workers until there is nothing left to do.

    A worker whose request waits for its next attempt is not missed: another one is added meanwhile, at most
    `spare` of them. The number of requests in flight does not change.
    """

    def __init__(self, work: Work, clients: Sequence[ModelClient], commits: Commits, spare: int) -> None:
        self._work, self._clients, self._commits = work, clients, commits
        self._spare, self._added = spare, 0
        self._group: asyncio.TaskGroup | None = None

    async def run(self, count: int) -> None:
        """Runs `count` workers, and those that are added. Raises the first error of any."""
        try:
            async with asyncio.TaskGroup() as group:
                failing = group.create_task(self._commits.failure())
                async with asyncio.TaskGroup() as self._group:
                    for one in self._clients:
                        one.flights.on_asleep = self._relieve
                    for _ in range(count):
                        self._group.create_task(self._work())
                failing.cancel()
        except BaseExceptionGroup as failures:  # `except*` would wrap what is raised in it (Python 3.11.2)
            raise _first(failures) from None
        finally:
            for one in self._clients:
                one.flights.on_asleep = None

    def _relieve(self, asleep: int) -> None:
        # The first failures may be those of all requests: few are asked until one is answered.
        known = any(one.lanes.answered for one in self._clients)
        spare = self._spare if known else min(self._spare, _UNKNOWN)
        if self._group is None or self._added >= min(asleep, spare):
            return
        self._added += 1
        work = self._work()
        try:
            self._group.create_task(work)
        except RuntimeError:  # the group ends
            work.close()


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Returns the first error in nested groups that is not a group itself."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
