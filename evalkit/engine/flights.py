"""The requests of a model that are on their way or will be sent again: what a run waits for, until when."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from evalkit.engine.lanes import Lanes
from evalkit.errors import counted
from evalkit.models.base import Request, Response

Sending: TypeAlias = Coroutine[Any, Any, Response]
Charge: TypeAlias = Callable[[Request, Callable[[], Sending]], Awaitable[Sending]]
"""Waits until an attempt may be paid for, and returns what sends it and counts what it cost."""
_SHOWN = 120
"""The characters of an error in a line."""


class Flights:
    """`on_asleep`: is called when a request begins to wait for its next attempt."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._sent: dict[object, float] = {}
        """When each request in flight was sent, the first one first."""
        self._asleep: dict[object, tuple[float, str]] = {}
        """When each waiting request is sent again, and why it waits."""
        self._left: set[asyncio.Task[Any]] = set()
        """Requests on their way whose sample no longer waits for them, because the run ends."""
        self.on_asleep: Callable[[int], None] | None = None
        self.charge: Charge | None = None
        self.timeout = max((float(getattr(lane.model, "timeout", 0.0)) for lane in lanes.all), default=0.0)

    async def send(self, request: Request, work: Callable[[], Sending], *, paid: bool) -> Response:
        """Returns the result of `work`, which sends the request and stores the response.

        `paid`: if the caller is cancelled meanwhile, it goes on until `land`. Raises also what `charge` does.
        """
        return await self._carry(work() if self.charge is None else await self.charge(request, work), paid)

    async def _carry(self, work: Sending, paid: bool) -> Response:
        mark = object()
        self._sent[mark] = time.monotonic()
        try:
            if not paid:
                return await work
            task = asyncio.create_task(work)
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if not task.done():
                    task.add_done_callback(_retrieved)
                    self._left.add(task)
                raise
        finally:
            del self._sent[mark]

    @property
    def left(self) -> int:
        """How many requests are on their way although the run ends."""
        return sum(not task.done() for task in self._left)

    async def land(self, seconds: float) -> None:
        """Lets what is on its way arrive, for at most `seconds`, and cancels the rest."""
        if not self._left:
            return
        try:
            await asyncio.wait(self._left, timeout=seconds)
        finally:
            for task in self._left:
                task.cancel()
            await asyncio.gather(*self._left, return_exceptions=True)
            self._left.clear()

    async def sleep(self, seconds: float, why: str) -> None:
        """Waits for the next attempt of a request."""
        with self._noted(seconds, why):
            await asyncio.sleep(seconds)

    @contextlib.contextmanager
    def _noted(self, seconds: float, why: str) -> Iterator[None]:
        mark = object()
        self._asleep[mark] = time.monotonic() + seconds, why
        if self.on_asleep is not None:
            self.on_asleep(len(self._asleep))
        try:
            yield
        finally:
            del self._asleep[mark]

    def awaited(self) -> str:
        """What is waited for, until when, as `3 requests in flight, the first for 75 s of at most 600 s`."""
        batched = [provider.awaited() for provider in self._lanes.providers]
        found, now = [*filter(None, batched)], time.monotonic()
        if self._sent and not batched:
            first = now - next(iter(self._sent.values()))
            most = f" of at most {self.timeout:g} s" if self.timeout else ""
            found.append(
                f"{counted(len(self._sent), 'request')} in flight, the first for {first:.0f} s{most}"
            )
        if held := min((lane.limiter.held_for for lane in self._lanes.all), default=0.0):
            said = next(filter(None, (lane.use.error for lane in self._lanes.all)), "")
            found.append(f"the next one is sent at {_clock(held)}" + (f": {said[:_SHOWN]}" if said else ""))
        elif self._asleep:
            until, why = min(self._asleep.values())
            count = f"{counted(len(self._asleep), 'request')} failed and will be sent again"
            found.append(f"{count}, the first at {_clock(until - now)}: {why[:_SHOWN]}")
        return " · ".join(found)


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Retrieves the error of a request that nobody waits for, which asyncio would log otherwise."""
    if not task.cancelled():
        task.exception()


def _clock(seconds: float) -> str:
    """The time of the day in so many seconds."""
    return f"{datetime.now().astimezone() + timedelta(seconds=max(0.0, seconds)):%H:%M:%S}"


def until_when(seconds: float) -> str:
    """Such as `until 14:02:31`, and with the date if that is in more than half a day."""
    form = "%Y-%m-%d %H:%M" if seconds > 43200 else "%H:%M:%S"
    most = timedelta(days=3650)
    when = datetime.now().astimezone() + min(timedelta(seconds=min(seconds, 1e9)), most)
    return f"until {when:{form}}"
