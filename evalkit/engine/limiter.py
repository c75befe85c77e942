"""Limits the requests in flight: to a fixed number, or to as many as the endpoint handles well.

While an endpoint allows no request at all (429), nobody is admitted.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections import deque
from collections.abc import Callable

from evalkit.engine.events import emit

MOST = 256
"""The highest limit of `auto`."""
_START = 8
_HOLDS = 1.3
"""Latency counts as unchanged if it is within this factor of the lowest so far."""
_BAD = 2.0
_ENOUGH, _LAST = 12, 32
"""A halved limit is judged after so many requests; at most so many of the last ones are looked at."""
_HALF = 0.5


class Limiter:
    """Admits at most `limit` holders at a time, in the order of their requests."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.most = limit
        self.active = 0
        self.address = ""
        """The endpoint that it is for, in events."""
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
    def held_for(self) -> float:
        """Seconds until somebody is admitted again; 0 if somebody is now."""
        return 0.0 if self._hold is None else max(0.0, self._hold.when() - asyncio.get_running_loop().time())

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
        emit("held", logging.WARNING, replica=self.address or None, seconds=round(seconds, 3))

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

    def throttled(self, retry_after: float | None, *, limited: bool = False) -> None:
        """Notes that the endpoint is overloaded (503), is too slow, or allows fewer requests (`limited`)."""

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

    Some endpoints fail now and then whatever the load is. If 503s and timeouts go on at half the limit, and
    are at most half of what comes back, the load is not the reason: the limit returns to what it was, and
    they no longer lower it as long as they are at most half.
    """

    def __init__(self, most: int = MOST) -> None:
        super().__init__(min(_START, most))
        self.most = most
        self._round: list[float] = []
        self._best = float("inf")
        self._calm_until = 0.0
        self._last: deque[bool] = deque(maxlen=_LAST)
        """Whether each of the last requests was throttled, since the limit was halved."""
        self._before = 0
        """The limit before it was halved last; 0 once the halving was judged."""
        self._steady = False
        """Whether the endpoint fails now and then, whatever the load is."""

    def succeeded(self, seconds: float) -> None:
        self._last.append(False)
        self._judge()
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

    def throttled(self, retry_after: float | None, *, limited: bool = False) -> None:
        if not limited:
            self._last.append(True)
            self._judge()
            if self._steady or self._before:
                return  # the load is not the reason, or the last halving is not judged yet
        now = time.monotonic()
        if now < self._calm_until:
            return  # another request has already reported this overload
        self._calm_until = now + max(1.0, retry_after or 0.0)
        self._round.clear()
        self._last.clear()
        self._before = 0 if limited else self.limit
        self._resize(self.limit // 2)

    def _judge(self) -> None:
        """Decides, once enough requests have come back, whether the load is the reason for the 503s."""
        if len(self._last) < _ENOUGH:
            return
        share = sum(self._last) / len(self._last)
        if share > _HALF:
            self._steady = False
        elif share and self._before:
            self._steady, self._calm_until = True, 0.0
            self._resize(max(self.limit, self._before))
        if self._before and not share:
            self._steady = False
        self._before = 0

    def _resize(self, limit: int) -> None:
        before, self.limit = self.limit, max(1, min(self.most, limit))
        if self.limit != before:
            emit("limit_changed", replica=self.address or None, limit=self.limit, before=before)
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
