"""Limits the requests in flight: to a fixed number, or to as many as the endpoint handles well.

While an endpoint allows no request at all (429), nobody is admitted.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import Callable

MOST = 256
"""The highest limit of `auto`."""
_START = 8
_HOLDS = 1.3
"""Latency counts as unchanged if it is within this factor of the lowest so far."""
_BAD = 2.0


class Limiter:
    """Admits at most `limit` holders at a time, in the order of their requests."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.most = limit
        self.active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._hold: asyncio.TimerHandle | None = None
        self._admit: Callable[[], None] = self._wake
        self._wanted: Callable[[], bool] = lambda: bool(self._waiting)

    def share(self, admit: Callable[[], None], wanted: Callable[[], bool]) -> None:
        """Lets `admit` decide who is admitted whenever there may be room. `wanted`: whether anybody waits."""
        self._admit, self._wanted = admit, wanted

    @property
    def free(self) -> bool:
        """Whether one more holder is admitted now."""
        return not self.held and self.active < self.limit

    @property
    def held(self) -> bool:
        """Whether nobody is admitted now."""
        return self._hold is not None

    def hold(self, seconds: float) -> None:
        """Admits nobody for `seconds`: while an endpoint allows no request, each would only be refused."""
        loop = asyncio.get_running_loop()
        if self._hold is not None:
            if self._hold.when() >= loop.time() + seconds:
                return
            self._hold.cancel()
        self._hold = loop.call_later(seconds, self._release)

    def _release(self) -> None:
        self._hold = None
        self._admit()

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(self, *exc: object) -> None:
        self.leave()

    async def enter(self) -> None:
        """Waits for a turn. `leave` ends it."""
        while not self.free:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # this turn is not used: pass it on
                raise
        self.active += 1

    def leave(self) -> None:
        self.active -= 1
        self._admit()

    def succeeded(self, seconds: float) -> None:
        """Notes that a response came after `seconds`."""

    def throttled(self, retry_after: float | None) -> None:
        """Notes that the endpoint is overloaded (429, 503), or did not answer in time."""

    def _wake(self) -> None:
        free = 0 if self.held else self.limit - self.active
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


class AutoLimiter(Limiter):
    """Raises the limit by half while latency stays the same, and halves it on 429, 503 and timeouts.

    Latency is the median of one round of responses (as many as the limit). It is compared with the lowest
    such median so far; more than twice that median lowers the limit by a quarter.
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
        if median <= _HOLDS * self._best and self._wanted():
            self._resize(self.limit + max(1, self.limit // 2))
        elif median > _BAD * self._best:
            self._resize(self.limit - max(1, self.limit // 4))

    def throttled(self, retry_after: float | None) -> None:
        now = time.monotonic()
        if now < self._calm_until:
            return  # another request has already reported this overload
        self._calm_until = now + max(1.0, retry_after or 0.0)
        self._round.clear()
        self._resize(self.limit // 2)

    def _resize(self, limit: int) -> None:
        self.limit = max(1, min(self.most, limit))
        self._admit()


def make_limiter(concurrency: int | None, parallel: int | None, batch_size: int = 0) -> Limiter:
    """Makes the limiter of a model. `concurrency` None: `auto`, up to `parallel` if the model sets it.

    `batch_size`: for a model that takes batches. The limit then allows one batch to wait while another one
    is computed, because latency says nothing about the load of such a model.
    """
    if concurrency is not None:
        return Limiter(concurrency)
    if batch_size:
        return Limiter(parallel or 2 * batch_size)
    return AutoLimiter(min(MOST, parallel or MOST))
