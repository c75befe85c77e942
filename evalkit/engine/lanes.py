"""The lanes of a model: one for each endpoint or copy of it, each with a limiter of its own.

A model at one endpoint has one lane, which behaves as its limiter does. With several, a request takes the
least loaded lane. A lane that fails rests, and requests take the others meanwhile. After the rest a single
request tries it: if that fails too, the next rest is twice as long.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import NamedTuple

from evalkit.copies.model import Copy, CopyEnded
from evalkit.engine.batch import Batcher, batches
from evalkit.engine.limiter import Limiter
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import ProviderError
from evalkit.models.base import Model
from evalkit.models.http import Refusal
from evalkit.runfile.replica_use import ReplicaUse, called, replica_uses, set_replica_uses
from evalkit.runfile.store import Store

_IN_A_ROW = 3
"""That many errors in a row from a server that does answer (5xx) make a lane rest.

A single one may be due to the request.
"""

_WRITTEN_EVERY = 5.0
"""Seconds between two times that the counts are written."""


class Lane:
    """One endpoint of a model, or one copy."""

    def __init__(self, model: Model, limiter: Limiter) -> None:
        self.model, self.limiter = model, limiter
        self.copy = model if isinstance(model, Copy) else None
        self.batcher = Batcher(model) if batches(model) else None
        self.address = str(getattr(model, "base_url", ""))
        self.use = ReplicaUse(self.address)
        self.rests = 0
        """How often it has rested since it answered last."""
        self.fatal = False
        """Whether it refused its last request for a reason that waiting does not change."""
        self._answered = False
        self._failed = 0
        self._news = 0
        """The number of responses and rests so far."""
        self._trial: Turn | None = None
        """The one request that is admitted after a rest."""

    @property
    def free(self) -> bool:
        """Whether it admits a request now: after a rest a single one, until that is answered."""
        return not (self.rests and self._trial) and self.limiter.free and not self.held

    @property
    def held(self) -> bool:
        """Whether it admits nobody for now: it rests, or the copy is still being started."""
        return self.limiter.held or (self.copy is not None and not self.copy.ready)

    def load(self) -> tuple[float, int]:
        """What the least loaded lane has least of: the share of its limit, then the requests so far."""
        active = self.limiter.active
        return active / self.limiter.limit, self.use.requests + active

    def enter(self) -> Turn:
        """Admits a request, which the caller has made sure that it may."""
        self.limiter.active += 1
        return self.entered()

    def entered(self) -> Turn:
        turn = Turn(self, self._news)
        if self.rests:
            self._trial = turn
        return turn

    def leave(self, turn: Turn) -> None:
        if self._trial is turn:
            self._trial = None
        self.limiter.leave()

    def succeeded(self, seconds: float) -> bool:
        """Notes a response. Returns whether the lane had failed before."""
        back, self.rests, self._failed = self.rests > 0, 0, 0
        self._news += 1
        self._answered, self.fatal = True, False
        self.use.add(seconds)
        self.limiter.succeeded(seconds)
        return back

    def failed(self, error: ProviderError, sent: int, policy: RetryPolicy) -> float:
        """Notes a failed request. Returns the seconds that the lane rests, 0 if it does not.

        `sent`: as in `Turn`. A request that was sent before the last response or rest brings no news.
        """
        self.use.failures += 1
        self.use.error = str(error)
        refuses_all = error.fatal and not (error.doubtful and self._answered)
        if error.limited or not (error.retryable or refuses_all):
            return 0.0  # the server only asks to wait, or the request itself is refused
        if sent != self._news:
            return 0.0
        self._failed += 1
        answers = isinstance(error, Refusal) or (self.copy is not None and not isinstance(error, CopyEnded))
        if answers and not error.fatal and self._failed < _IN_A_ROW and not self.rests:
            return 0.0
        self.rests += 1
        self._news += 1
        self.fatal = error.fatal
        seconds = policy.pause(self.rests, error.retry_after)
        self.limiter.hold(seconds * policy.second)
        return seconds


class Turn:
    """The right to send one request on `lane`, until the end of `with turn:`.

    `sent`: how many responses and rests the lane had had when it was given.
    """

    def __init__(self, lane: Lane, sent: int) -> None:
        self.lane, self.sent = lane, sent

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lane.leave(self)


class _Waiting(NamedTuple):
    turn: asyncio.Future[Turn]
    avoided: Collection[Lane]


class Lanes:
    """All lanes of a model."""

    def __init__(self, lanes: Sequence[Lane], total: int | None = None) -> None:
        """`total`: the maximum number of requests in flight over all lanes; None: what the lanes allow."""
        self._lanes = tuple(lanes)
        self._total = total
        self._waiting: deque[_Waiting] = deque()
        self.on_news: Callable[[str], None] | None = None
        """Is told of replicas that fail, once until they answer again."""
        if self.several:
            for lane in lanes:
                lane.limiter.share(self._admit, lambda: bool(self._waiting))
                if lane.copy is not None:
                    lane.copy.when_ready(self._admit)

    @property
    def several(self) -> bool:
        return len(self._lanes) > 1

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return self._total or sum(lane.limiter.limit for lane in self._lanes)

    @property
    def most(self) -> int:
        """How many requests may ever be in flight."""
        return self._total or sum(lane.limiter.most for lane in self._lanes)

    @property
    def uses(self) -> list[ReplicaUse]:
        """What was asked of each replica; empty for a model at one endpoint."""
        return [lane.use for lane in self._lanes] if self.several else []

    @property
    def may_come(self) -> bool:
        """Whether a replica may answer later."""
        return not all(lane.fatal for lane in self._lanes)

    def close(self) -> None:
        """Stops sending batches."""
        for lane in self._lanes:
            if lane.batcher is not None:
                lane.batcher.close()

    async def take(self, avoided: Collection[Lane] = ()) -> Turn:
        """Waits for a turn on a lane: on one of `avoided` only if no other one admits requests at all."""
        if not self.several:
            await self._lanes[0].limiter.enter()
            return self._lanes[0].entered()
        if not self._waiting and (lane := self._free(avoided)) is not None:
            return lane.enter()
        waiting = _Waiting(asyncio.get_running_loop().create_future(), avoided)
        self._waiting.append(waiting)
        self._admit()
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.done() and not waiting.turn.cancelled():
                with waiting.turn.result():  # this turn is not used: pass it on
                    pass
            raise

    def others(self, avoided: Collection[Lane]) -> bool:
        """Whether there is a lane besides `avoided` that does not rest."""
        return any(lane not in avoided and not lane.held for lane in self._lanes)

    def failed(self, turn: Turn, error: ProviderError, policy: RetryPolicy) -> None:
        """Notes that a request failed, and tells of it if its lane rests for the first time."""
        lane = turn.lane
        seconds = lane.failed(error, turn.sent, policy)
        if seconds and lane.rests == 1 and self.on_news is not None:
            fatal = f" ({error.hint})" if error.hint and not error.fatal else ""
            self.on_news(f"{called(lane.address)} failed, and the others take its requests: {error}{fatal}")

    def succeeded(self, lane: Lane, seconds: float) -> None:
        if not lane.succeeded(seconds) or not self.several:
            return
        self._admit()
        if self.on_news is not None:
            self.on_news(f"{called(lane.address)} answers again")

    def hopeless(self, lane: Lane, error: ProviderError) -> bool:
        """Whether `error` ends the run although there are other lanes: no copy of the model can be used."""
        return error.fatal and lane.copy is not None and lane.copy.hopeless

    def gone(self, attempts: int) -> str:
        """What each replica said last, if all of them have rested as often as a request is tried; else ""."""
        if not self.several or any(lane.rests < max(2, attempts) for lane in self._lanes):
            return ""
        return "; ".join(f"{lane.address}: {lane.use.error}" for lane in self._lanes)

    @property
    def _full(self) -> bool:
        """Whether as many requests are in flight as there may be over all lanes."""
        return self._total is not None and sum([lane.limiter.active for lane in self._lanes]) >= self._total

    def _free(self, avoided: Collection[Lane]) -> Lane | None:
        """The least loaded lane that admits a request now. It scans all lanes, and that for each request."""
        if self._full:
            return None
        free = [lane for lane in self._lanes if lane.free]
        if avoided and any(lane not in avoided and not lane.held for lane in self._lanes):
            free = [lane for lane in free if lane not in avoided]
        return min(free, key=Lane.load, default=None)

    def _admit(self) -> None:
        """Gives free lanes to the requests that wait, in their order."""
        kept: deque[_Waiting] = deque()
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting.turn.done():
                continue
            if (lane := self._free(waiting.avoided)) is not None:
                waiting.turn.set_result(lane.enter())
                continue
            kept.append(waiting)
            if not waiting.avoided or self._full:
                break  # there is no lane for the others either
        self._waiting.extendleft(reversed(kept))


class Uses:
    """Keeps the counts of the replicas in the run file: those of earlier processes, and those of this one."""

    def __init__(self, store: Store, lanes: Lanes) -> None:
        self._store, self._lanes = store, lanes
        self._known = replica_uses(store)
        self.write()  # the addresses, which a resumed run is recognised by

    def now_and_then(self) -> None:
        """Writes the counts if they were not written for a while, so that a killed run loses few of them."""
        if time.monotonic() - self._written >= _WRITTEN_EVERY:
            self.write()

    def write(self) -> None:
        """Writes the counts. The caller commits."""
        self._written = time.monotonic()
        set_replica_uses(self._store, [*self._known, *self._lanes.uses])
