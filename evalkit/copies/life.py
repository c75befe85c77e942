"""The life of one copy: it is started, answers, is ended if it dies or hangs, and is started again."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeAlias

import evalkit
from evalkit.copies.serving import Answers, Asked, Opened
from evalkit.errors import BoundaryError, ProviderError, UsageError
from evalkit.models.base import Response
from evalkit.processes.pool import Ended

_FIRST = 10
"""How many times the time limit the first answer of a copy may take: most models are loaded then."""
_DEATHS = 3
"""A copy that ends as often without an answer in between is not started again by itself."""
ALONE = 2
"""A request that was in flight in as many copies that ended is sent alone from then on."""
_POISON = 4
"""A request that was in flight in as many copies that ended fails for good."""


class Transport(Protocol):
    """One start of a copy. `opening`: its result is what the copy says of its model. `where`: for errors."""

    where: str
    opening: Future[Opened]

    async def answer(self, asked: Sequence[Asked]) -> Answers:
        """Raises `Ended`, and the `EvalkitError` of a call that failed as a whole."""
        ...

    def close(self) -> None:
        """Ends the process at once, whatever it does."""
        ...


Launch: TypeAlias = Callable[[int], Transport]
"""Starts the copy with this number, from 0 on, without waiting for it."""


class CopyEnded(ProviderError):
    """The copy that worked at the request ended, or was ended because it did not answer in time."""


class Group:
    """What the copies of one model know of each other."""

    def __init__(self, launch: Launch, timeout: float) -> None:
        self.launch, self.timeout = launch, timeout
        self.answered = False
        """Whether any copy has returned a response."""
        self.opened: Opened | None = None
        self.deaths: Counter[tuple[bytes, int]] = Counter()
        """How many copies ended while they worked at a request, by its key and draw."""
        self._lock = threading.Lock()

    def check(self, opened: Opened, where: str) -> None:
        """Raises `UsageError` if a copy has another model than the first one."""
        if opened.version != evalkit.__version__:
            raise UsageError(
                f"{where} has evalkit {opened.version}, and this process has {evalkit.__version__}"
            )
        with self._lock:
            first = self.opened = self.opened or opened
        keys = sorted({*opened.identity, *first.identity})
        unlike = [key for key in keys if opened.identity.get(key) != first.identity.get(key)]
        if unlike:
            told = "; ".join(
                f"{key}: {opened.identity.get(key)} and {first.identity.get(key)}" for key in unlike
            )
            raise UsageError(f"{where} has another model than the first copy ({told[:300]})")


class Life:
    """One copy. It is started at once, and again by the first request after `close`."""

    def __init__(self, number: int, group: Group) -> None:
        self.name = f"copy {number + 1}"
        self.group = group
        self._number = number
        self._lock = threading.Lock()
        self._transport: Transport | None = None
        self._opening: Future[Transport] | None = None
        self._answered = False
        self._unanswered = 0
        """How often it ended since it answered last."""
        self._last = ""
        """Why it ended last."""
        self._told: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []
        self.start()

    @property
    def opening(self) -> Future[Transport] | None:
        """Done when it is open; None if it is not being started."""
        return self._opening

    @property
    def ready(self) -> bool:
        """Whether a request need not wait for its start."""
        return self._opening is None or self._opening.done()

    def when_ready(self, tell: Callable[[], None]) -> None:
        """Has `tell` called in the running event loop whenever the copy becomes ready."""
        self._told.append((asyncio.get_running_loop(), tell))

    def start(self) -> None:
        """Starts it in a thread, after the process of its last start has ended."""
        opening: Future[Transport] = Future()
        opening.set_running_or_notify_cancel()  # a caller that is cancelled does not cancel the start
        with self._lock:
            previous, self._transport, self._opening = self._transport, None, opening
        self._answered = False
        threading.Thread(target=self._start, args=(opening, previous), daemon=True).start()

    def _start(self, opening: Future[Transport], previous: Transport | None) -> None:
        try:
            if previous is not None:
                previous.close()
            with self._lock:
                if self._opening is not opening:
                    raise Ended("closed")
                self._transport = transport = self.group.launch(self._number)
            self.group.check(transport.opening.result(), transport.where)
        except BaseException as error:  # noqa: BLE001 — raised again where it is waited for
            opening.set_exception(error)
        else:
            opening.set_result(transport)
        for loop, tell in [*self._told]:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(tell)

    async def ask(self, asked: Sequence[Asked]) -> Answers:
        """The answers to requests that the model takes in one call, or an error for each if the copy ends.

        Raises the `BoundaryError` of a call that failed as a whole.
        """
        try:
            transport = await self._open()
        except ProviderError as error:
            return [_again(error) for _ in asked]
        seconds = self.group.timeout * (1 if self._answered else _FIRST)
        try:
            async with asyncio.timeout(seconds):
                found = await transport.answer(asked)
        except TimeoutError:
            why = f"did not answer within {seconds:g} s (--timeout) and was ended"
        except Ended as ended:
            why = f"ended ({ended})"
        except BoundaryError:
            self._answered, self._unanswered = True, 0
            raise
        else:
            self._answered, self._unanswered = True, 0
            self.group.answered |= any(isinstance(one, Response) for one in found)
            return found
        self._end(transport)
        return [self._died(one, f"{self.name} on {transport.where} {why}") for one in asked]

    async def _open(self) -> Transport:
        """Waits until it is open. Raises `ProviderError`: a fatal one if no copy has answered yet."""
        if self._unanswered >= _DEATHS and not self.group.answered:
            raise self._gone(self._last)
        if self._opening is None:
            self.start()
        opening = self._opening
        assert opening is not None
        try:
            return await asyncio.wrap_future(opening)
        except Ended as ended:
            if self._opening is opening:  # the first of those that wait for it
                self._opening = None
                self._unanswered += 1
            raise self._gone(f"{self.name} ended while it was started ({ended})") from None
        except (UsageError, BoundaryError) as error:
            if self._opening is opening:
                self._opening = None
            never = not self.group.answered
            raise ProviderError(f"{self.name}: {error}", fatal=never, retryable=not never) from None

    def _gone(self, why: str) -> ProviderError:
        self._last = why
        if self._unanswered < _DEATHS:
            return CopyEnded(why, retryable=True)
        why = f"{why}, {self._unanswered} times in a row"
        return CopyEnded(why, retryable=True) if self.group.answered else ProviderError(why, fatal=True)

    def _end(self, transport: Transport) -> None:
        """Ends this start of the copy, and starts it again unless it has ended too often."""
        if self._transport is not transport:
            return  # another request of it has seen it first
        self._unanswered += 1
        if self._unanswered < _DEATHS:
            self.start()
        else:
            self._stop()

    def _died(self, asked: Asked, why: str) -> ProviderError:
        key = asked.request.encoded()[0], asked.draw
        self.group.deaths[key] += 1
        if self.group.deaths[key] < _POISON:
            return self._gone(why)
        return CopyEnded(f"{why}; {_POISON} copies ended while they worked at this request")

    def close(self) -> None:
        """Ends the process, and tells nobody any longer when it is ready. A later request starts it again."""
        self._told.clear()
        self._unanswered = 0
        self._stop()

    def _stop(self) -> None:
        with self._lock:
            transport, self._transport, self._opening = self._transport, None, None
        if transport is not None:
            transport.close()


def _again(error: ProviderError) -> ProviderError:
    return type(error)(str(error.args[0]), retryable=error.retryable, fatal=error.fatal)
