"""How many requests are in flight: a fixed number, or as many as the endpoint takes well."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque

MOST = 256
"""The highest that `auto` goes."""
_START = 8
_HOLDS = 1.3
"""Latency still holds when it is within this factor of the best seen."""
_BAD = 2.0


class Limiter:
    """At most `limit` holders at a time, first come first served."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.most = limit
        self.active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        while self.active >= self.limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # this turn was given and is not used: pass it on
                raise
        self.active += 1

    async def __aexit__(self, *exc: object) -> None:
        self.active -= 1
        self._wake()

    def succeeded(self, seconds: float) -> None:
        """An answer came after `seconds`."""

    def throttled(self, retry_after: float | None) -> None:
        """The endpoint said it has too much to do (429, 503), or did not answer in time."""

    def _wake(self) -> None:
        free = self.limit - self.active
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


class AutoLimiter(Limiter):
    """Grows by half while latency holds, shrinks by half on 429, 503 and timeouts.

    Latency is judged by the median of one round of answers (as many as may be in flight), against the
    lowest such median so far; twice that takes a quarter back.
    """

    def __init__(self, most: int = MOST) -> None:
        super().__init__(min(_START, most))
        self.most = most
        self._round: list[float] = []
        self._best = float("inf")
        self._calm_until = 0.0

    def succeeded(self, seconds: float) -> None:
        self._round.append(seconds)
        if len(self._round) < max(self.limit, 4):
            return
        median = statistics.median(self._round)
        self._round.clear()
        self._best = min(self._best, median)
        if time.monotonic() < self._calm_until:
            return
        if median <= _HOLDS * self._best and self._waiting:
            self._resize(self.limit + max(1, self.limit // 2))
        elif median > _BAD * self._best:
            self._resize(self.limit - max(1, self.limit // 4))

    def throttled(self, retry_after: float | None) -> None:
        now = time.monotonic()
        if now < self._calm_until:
            return  # the same overload, told by another request
        self._calm_until = now + max(1.0, retry_after or 0.0)
        self._round.clear()
        self._resize(self.limit // 2)

    def _resize(self, limit: int) -> None:
        self.limit = max(1, min(self.most, limit))
        self._wake()


def make_limiter(concurrency: int | None, parallel: int | None, batch_size: int = 0) -> Limiter:
    """`concurrency` None: `auto`, at most `parallel` where the model knows what it can use.

    `batch_size`: of a model that answers together; one batch then waits while another is answered, and
    nothing is to be found out from how long that takes.
    """
    if concurrency is not None:
        return Limiter(concurrency)
    if batch_size:
        return Limiter(parallel or 2 * batch_size)
    return AutoLimiter(min(MOST, parallel or MOST))
