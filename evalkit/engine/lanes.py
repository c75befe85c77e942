"""The lanes of a model: one for each endpoint or copy of it, each with a limiter of its own.

A request takes the least loaded lane. A lane that fails rests, and requests take the others meanwhile. After
the rest a single request tries it: if that fails too, the next rest is twice as long. The only lane of a
model at one endpoint rests only in an outage: after `_AWAY` requests in a row to which nobody answered, or
`_HANGS` timeouts. A lane from which nothing came for `RetryPolicy.outage` seconds is given up: it rests no
longer, and what fails there has failed.
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
from evalkit.engine.provider_batches import ProviderBatches
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

_AWAY = 3
"""An outage begins when nobody answered that many requests in a row: fewer may be the reason themselves."""
_HANGS = 2
"""An outage begins after that many timeouts in a row, because each may take ten minutes."""
_WRITTEN_EVERY = 5.0
"""Seconds between two times that the counts are written."""


class Lane:
    """One endpoint of a model, or one copy."""

    def __init__(self, model: Model, limiter: Limiter, provider: ProviderBatches | None = None) -> None:
        """`provider`: sends the requests, if that is done by the provider's batch routes."""
        self.model, self.limiter, self.provider = model, limiter, provider
        self.copy = model if isinstance(model, Copy) else None
        self.batcher = provider or (Batcher(model) if batches(model) else None)
        self.address = str(getattr(model, "base_url", ""))
        limiter.address = self.address
        self.use = ReplicaUse(self.address)
        self.rests = 0
        """How often it has rested since it answered last."""
        self.fatal = False
        """Whether it refused its last request for a reason that waiting does not change."""
        self.away = False
        """Whether there is an outage: nobody answers, whatever is asked."""
        self.patient = True
        """Whether it rests when nobody answers."""
        self._failing: set[object] = set()
        """The requests that failed since it answered last."""
        self.alone = False
        """Whether it is the model's only one."""
        self.answered = False
        """Whether it answered anything in this process."""
        self.silent = 0.0
        """The seconds of its rests and timeouts since it answered last."""
        self.asked_long = False
        """Whether it asked for a longer wait than any since it answered last."""
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
        back = self.rests > 0
        self._is_there()
        self.answered, self.fatal, self.asked_long = True, False, False
        self.use.add(seconds)
        self.limiter.succeeded(seconds)
        return back

    def failed(
        self, error: ProviderError, sent: int, policy: RetryPolicy, request: object | None = None
    ) -> float:
        """Notes a failed attempt. Returns the seconds that the lane rests, 0 if it does not.

        `sent`: as in `Turn`. A request that was sent before the last response or rest brings no news.
        `request`: the request, whose other attempts say nothing more unless the failure cannot be due to it.
        """
        self.use.failures += 1
        self.use.error = str(error)
        if self.alone and isinstance(error, Refusal) and not error.away:
            self._is_there()
        if error.limited or not self._concerns_all(error):
            return 0.0  # the server only asks to wait, or the request itself is refused
        if sent != self._news or not self.patient:
            return 0.0
        if self.alone and policy.attempts == 1:
            return 0.0  # the user wants no waiting
        self._failed += 1
        self._failing.add(request or object())
        known = self._failed if error.unsent or error.waited else len(self._failing)
        self.away = error.away and (self.away or known >= (_HANGS if error.waited else _AWAY))
        if not (self.rests or (self.away if self.alone else self._failed >= self._enough(error))):
            return 0.0
        self._news += 1
        self.silent += error.waited / policy.second
        if self.silent >= policy.outage and self.answered and self.alone:
            self.rests = 0
            return 0.0
        self.rests += 1
        self.fatal = error.fatal
        seconds = policy.pause(self.rests, error.retry_after)
        self.silent += seconds
        self.limiter.hold(seconds * policy.second)
        return seconds

    def _concerns_all(self, error: ProviderError) -> bool:
        if self.alone:
            return error.away
        return error.retryable or (error.fatal and not (error.doubtful and self.answered))

    def _enough(self, error: ProviderError) -> int:
        """How many such failures in a row make one of several lanes rest."""
        answers = isinstance(error, Refusal) or (self.copy is not None and not isinstance(error, CopyEnded))
        return _IN_A_ROW if answers and not error.fatal else 1

    def _is_there(self) -> None:
        """Notes that the endpoint responds."""
        self.rests, self._failed, self.silent, self.away = 0, 0, 0.0, False
        self._failing.clear()
        self._news += 1


class Turn:
    """The right to send one request on `lane`, until the end of `with turn:`.

    `sent`: how many responses and rests the lane had had when it was given. `request`: what tells the request
    from others, whichever attempt it is.
    """

    def __init__(self, lane: Lane, sent: int) -> None:
        self.lane, self.sent = lane, sent
        self.request: object | None = None

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
        for lane in lanes:
            lane.alone = not self.several
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
    def answered(self) -> bool:
        """Whether any of them answered anything in this process."""
        return any(lane.answered for lane in self._lanes)

    @property
    def all(self) -> tuple[Lane, ...]:
        return self._lanes

    @property
    def providers(self) -> list[ProviderBatches]:
        """What sends the requests of the lanes by batch routes."""
        return [lane.provider for lane in self._lanes if lane.provider is not None]

    @property
    def outage(self) -> bool:
        """Whether nobody answers, whatever is asked."""
        return all(lane.away for lane in self._lanes)

    def be_patient(self, patient: bool) -> None:
        """Says whether lanes rest in an outage; not when all requests that are left failed before."""
        for lane in self._lanes:
            lane.patient, lane.away, lane.rests, lane.silent = patient, False, 0, 0.0

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
        seconds = lane.failed(error, turn.sent, policy, turn.request)
        if not seconds or lane.rests != 1 or self.on_news is None:
            return
        if self.several:
            fatal = f" ({error.hint})" if error.hint and not error.fatal else ""
            self.on_news(f"{called(lane.address)} failed, and the others take its requests: {error}{fatal}")
        else:
            minutes = policy.outage / 60
            self.on_news(
                f"{lane.address} does not answer: {error}. One request at a time tries it; after "
                f"{minutes:g} minutes without an answer it is given up"
            )

    def succeeded(self, lane: Lane, seconds: float) -> None:
        if not lane.succeeded(seconds):
            return
        self._admit()
        if self.on_news is not None:
            self.on_news(f"{called(lane.address) if self.several else lane.address} answers again")

    def hopeless(self, lane: Lane, error: ProviderError) -> bool:
        """Whether `error` ends the run although there are other lanes: no copy of the model can be used."""
        return error.fatal and lane.copy is not None and lane.copy.hopeless

    def gone(self, policy: RetryPolicy) -> str:
        """What each endpoint said last, if all of them are given up; else "".

        Replicas are given up once each has rested as often as a request is tried, if none of them answered in
        this process: then nothing says that the addresses are right. Otherwise the limit is the outage's.
        """
        new = self.several and not self.answered
        if new and all(lane.rests >= max(2, policy.attempts) for lane in self._lanes):
            return self._said()
        return self._said() if all(lane.silent >= policy.outage for lane in self._lanes) else ""

    def _said(self) -> str:
        if not self.several:
            return self._lanes[0].use.error
        return "; ".join(f"{lane.address}: {lane.use.error}" for lane in self._lanes)

    @property
    def _full(self) -> bool:
        """Whether as many requests are in flight as there may be over all lanes."""
        return self._total is not None and sum([lane.limiter.active for lane in self._lanes]) >= self._total

    def _free(self, avoided: Collection[Lane]) -> Lane | None:
        """The least loaded lane that admits a request now. It scans all lanes, and that for each request."""
        if self._full:
            return None
        if len(self._lanes) == 1:
            return self._lanes[0] if self._lanes[0].free else None
        free = [lane for lane in self._lanes if lane.free]
        if avoided and any(lane not in avoided and not lane.held for lane in self._lanes):
            free = [lane for lane in free if lane not in avoided]
        return min(free, key=Lane.load, default=None)

    def _admit(self) -> None:
        """Gives free lanes to the requests that wait, in their order."""
        if not self._waiting:
            return
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


async def unreachable(lanes: Lanes) -> str:
    """Why nobody is at any of the model's addresses; "" if somebody may be at one of them."""
    checks = [reach for lane in lanes.all if (reach := getattr(lane.model, "reach", None)) is not None]
    found = await asyncio.gather(*(check() for check in checks), return_exceptions=True)
    failed = [str(error) for error in found if isinstance(error, ProviderError)]
    if len(failed) < len(lanes.all):
        return ""
    return ("none of the replicas answers: " if lanes.several else "") + "; ".join(failed)


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
