"""The path of one request: look up the stored response → limiter → attempts → model → store the response."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from evalkit.copies.model import Copies, Copy
from evalkit.engine import events
from evalkit.engine.commits import Commits
from evalkit.engine.departures import Departures
from evalkit.engine.doubt import Doubt
from evalkit.engine.evidence import Signs
from evalkit.engine.flights import Flights, until_when
from evalkit.engine.lanes import Lane, Lanes, Turn, Uses, unreachable
from evalkit.engine.limiter import Limiter
from evalkit.engine.media import MediaCache
from evalkit.engine.repeatability import is_verified
from evalkit.engine.shared_draws import SharedDraws, refusal_of
from evalkit.engine.stored_as import Keys
from evalkit.engine.waits import LONGEST_RETRY_AFTER, RetryPolicy, Waits
from evalkit.errors import BoundaryError, EvalkitError, ProviderError, UsageError
from evalkit.models.base import Model, Request, Response, answers_by_id
from evalkit.models.fake import FakeModel, Hints
from evalkit.models.stops import cut
from evalkit.runfile.encoding import checked
from evalkit.runfile.records import AGAIN, OF_JUDGE, OF_MODEL
from evalkit.runfile.store import Cell
from evalkit.runfile.tallies import has_answer

_TOLD_PAUSE = 5.0
"""Seconds from which the progress says that a run waits."""


class Stopped(EvalkitError):
    """The run cannot continue. All responses so far are stored. `usage`: the user must change something."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


Landing: TypeAlias = Callable[[Response], Awaitable[None]]
"""What is done with a response as soon as it is there."""


class Asker(NamedTuple):
    """The sample of a cell that a request is for. `hints`: only for a `FakeModel`."""

    cell: Cell
    sample: str
    hints: Callable[[], Hints] | None = None


class ModelClient:
    """The client that all samples of a run use to reach a model.

    It counts consecutive requests that failed for good. If the endpoint no longer answers, the run stops
    instead of failing every remaining sample.
    """

    def __init__(
        self,
        model: Model,
        commits: Commits,
        lanes: Lanes | Limiter,
        policy: RetryPolicy,
        seed: int,
        media: MediaCache,
        *,
        judge: str = "",
        verify: float = 0.0,
        shared: SharedDraws | None = None,
    ) -> None:
        """`lanes`: those of the model's endpoints, or the limiter of a single one.

        `judge`: the role of a judge model, whose replies are stored apart from the evaluated model's.

        `verify`: share of the greedy requests that are sent a second time (`evalkit.engine.repeatability`).

        `shared`: gathers the draws of one request; None: each is sent by itself.
        """
        self.model, self.policy, self.seed = model, policy, seed
        self.lanes = lanes if isinstance(lanes, Lanes) else Lanes([Lane(model, lanes)])
        self.commits, self.store = commits, commits.store
        self._uses = Uses(self.store, self.lanes) if self.lanes.several and not judge else None
        self._media, self._judge, self._verify = media, judge, verify
        self.evidence = Signs(self.store)
        self.completion_tokens = 0
        self.prompt_tokens = 0
        self._replays = model.identity.get("backend") == "replay"
        self._lacks = {"tools", "prefill"} - model.capabilities
        self._whole = self._replays or "likelihood" in model.capabilities
        """Whether the model takes all continuations in one request."""
        self._failed_in_a_row = self._limited_in_a_row = self._answers = 0
        self._doubt = Doubt(has_answer(self.store, OF_JUDGE if judge else OF_MODEL))
        self.on_wait: Callable[[float, str], None] | None = None
        """Is told of long pauses: the seconds, and why."""
        self.on_sent: Callable[[Model, Request, Asker], None] | None = None
        """Is told of each attempt at a request, after it."""
        self._told_until = 0.0
        self.flights = Flights(self.lanes)
        self._seen = not any(hasattr(lane.model, "reach") for lane in self.lanes.all)
        """Whether somebody is at the model's addresses."""
        self._reached: asyncio.Task[str] | None = None
        self._departures = Departures(model, self.store, judge)
        self._echo_shown: asyncio.Task[None] | None = None
        # Only this exact class gets the hints, because no model of a user's may see the references.
        self._hinted = type(model) is FakeModel or (type(model) is Copies and model.hinted)
        self._by_id = model if answers_by_id(model) and not judge else None
        self.keys = Keys(model, self.store, judge, by_id=self._by_id is not None)
        self._shared = shared

    def close(self) -> None:
        """Stops sending requests."""
        self.lanes.close()
        if self._uses is not None:
            self._uses.write()

    async def send(self, request: Request, key: bytes, body: bytes, draw: int, asker: Asker) -> Response:
        """Returns the stored response, or else the model's.

        `key`, `body`: as `keys.stored_as` returns them. Raises `BoundaryError`, `StorageError` or `Stopped`.
        """
        found = self.store.response(key, draw)
        if found is None:
            found = await self._ask(request, key, body, draw, asker)
        if self._verify and is_verified(request, key, self._verify, self.seed):
            await self._ask_again(request, key, body, asker)
        return found

    async def _ask_again(self, request: Request, key: bytes, body: bytes, asker: Asker) -> None:
        if self.store.response(key, AGAIN) is None:
            with contextlib.suppress(ProviderError):  # it is among the run's errors; the first answer counts
                await self._ask(request, key, body, AGAIN, asker)

    async def _ask(self, request: Request, key: bytes, body: bytes, draw: int, asker: Asker) -> Response:
        if self._lacks and (missing := [one for one in request.needs if one in self._lacks]):
            what = " and ".join(missing)
            raise ProviderError(f"{self.model.name} does not support {what}, which this needs", fatal=True)
        if request.echo:
            await self._echo_is_right(asker)
        if request.media:
            ready = await self._media.ready(request)
            if not self._replays:  # a replay finds a response by the original file, not by the prepared one
                request = ready

        async def sent(request: Request, draws: Sequence[int]) -> Response:
            async def land(response: Response) -> None:
                for number, one in zip(draws, response.draws, strict=False):
                    await self._keep(request, key, body, number, asker, one)

            return await self._attempts(request, max(draws[0], 0), asker, land)

        if request.continuations and not self._whole:
            response = await self._echoed(request, asker)
            await self._keep(request, key, body, draw, asker, response)
        elif self._shared is not None and self._shared.may_share(request, draw):
            response = await self._shared.ask(request, key, draw, sent)
        else:
            response = await sent(request, [draw])
        if response.refused and self._judge:  # not stored: a failure to judge is no answer
            raise ProviderError(f"{self.model.name} refused to answer: {response.reasoning[:200]}")
        return response

    async def _keep(
        self, request: Request, key: bytes, body: bytes, draw: int, asker: Asker, response: Response
    ) -> None:
        """Stores a response."""
        if response.refused and self._judge:
            return
        self.evidence.add(asker.cell, response)
        if response.media:
            await self._media.keep(response.media)
        of = OF_JUDGE if self._judge else OF_MODEL
        self.store.add_response(key, body, draw, asker.cell, asker.sample, response, of)
        self._departures.note(request, asker.cell)
        if self._uses is not None:
            self._uses.now_and_then()
        self.commits.soon()
        self.prompt_tokens += response.prompt_tokens or 0
        self.completion_tokens += response.completion_tokens or 0

    async def _echoed(self, request: Request, asker: Asker) -> Response:
        """Returns the likelihoods of continuations, from one echo request for each of them."""
        from evalkit.models.likelihood import composed, echo_request

        await self._echo_is_right(asker)
        prompt = str(request.prompt)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._attempts(echo_request(prompt, text), 0, asker))
                    for text in request.continuations
                ]
        except ExceptionGroup as failures:  # Python 3.11.2 wraps what except* raises
            raise failures.exceptions[0] from None
        return composed([task.result() for task in tasks], request.continuations)

    async def _echo_is_right(self, asker: Asker) -> None:
        """Checks, once per run, that the model reports a prompt's tokens correctly. Raises `Stopped`."""
        if self._replays or self._hinted:  # checked in the original run; made-up tokens
            return
        if "echo" not in self.model.capabilities:
            raise ProviderError(f"{self.model.name} does not support likelihoods of texts (echo)", fatal=True)
        if self._echo_shown is None:
            self._echo_shown = asyncio.ensure_future(self._show_echo(asker))
        await asyncio.shield(self._echo_shown)

    async def _show_echo(self, asker: Asker) -> None:
        from evalkit.models.likelihood import probe_echo

        try:
            await probe_echo(lambda request: self._attempts(request, 0, asker))
        except (UsageError, ProviderError) as error:
            raise Stopped(str(error), usage=isinstance(error, UsageError)) from None

    async def _is_there(self) -> None:
        """Sees, once per run, whether anybody is at the model's addresses. Raises `Stopped`."""
        if self._reached is None:
            self._reached = asyncio.ensure_future(unreachable(self.lanes))
        if said := await asyncio.shield(self._reached):
            raise Stopped(said, usage=True)
        self._seen = True

    async def _attempts(
        self, request: Request, draw: int, asker: Asker, land: Landing | None = None
    ) -> Response:
        """Returns the model's response, after `land` was called with it."""
        if not self._seen:
            await self._is_there()
        waits = Waits(self.policy, lambda: self._answers)
        tried: set[Lane] = set()
        with self._doubt:
            while True:
                turn = await self.lanes.take(tried)
                turn.request, waits.sent = waits, waits.sent + 1
                try:
                    with turn:
                        response = await self._sent(turn, request, draw, asker, land)
                except ProviderError as error:
                    if error.refused and not self._judge:
                        self._answers += 1
                        self._doubt.answered = True
                        response = refusal_of(request, error)
                        if land is not None:
                            await land(response)
                        return response
                    if self._goes_elsewhere(turn.lane, error, tried):
                        continue
                    await self._stop_if_fatal(error)
                    pause = waits.pause(error, self.lanes.outage)
                    if pause is None or self.lanes.gone(self.policy):
                        # An overlong prompt says nothing about the endpoint, nor does one id of many.
                        if not error.too_long and self._by_id is None:
                            self._count_failure(error)
                        raise
                    self._tell_wait(pause, error)
                    events.retried(waits, asker, draw, pause * self.policy.second)
                    await self.flights.sleep(pause * self.policy.second, str(error))
                else:
                    self._failed_in_a_row = self._limited_in_a_row = 0
                    self._answers += 1
                    self._doubt.answered = True
                    self.lanes.succeeded(turn.lane, response.seconds)
                    return response

    async def _sent(
        self, turn: Turn, request: Request, draw: int, asker: Asker, land: Landing | None
    ) -> Response:
        """Sends the request once. A failure is noted before another request gets the turn."""
        lane = turn.lane

        async def flight() -> Response:
            try:
                response = cut(await self._once(lane, request, draw, asker), request.stop)
            finally:
                if self.on_sent is not None:
                    self.on_sent(lane.model, request, asker)
            if land is not None:
                await land(response)
            return response

        try:
            response = await self.flights.send(request, flight, paid=bool(lane.address))
        except ProviderError as error:
            if self.lanes.several and lane.address not in str(error):
                error.args = (f"{lane.address}: {error.args[0]}",)
            self.lanes.failed(turn, error, self.policy)
            self.store.add_error(asker.cell, asker.sample, draw, error.boundary, str(error))
            self.commits.soon()
            events.failed(turn, asker, draw, self._judge, error)
            self._slow_down(lane, error)
            raise
        events.answered(turn, asker, draw, self._judge, response)
        return response

    def _goes_elsewhere(self, lane: Lane, error: ProviderError, tried: set[Lane]) -> bool:
        """Whether the request is sent to another replica at once. Raises `Stopped` if none is left."""
        gone = self.lanes.gone(self.policy)
        if not self.lanes.several or self.lanes.hopeless(lane, error):
            if gone and not self.lanes.several and not lane.answered:
                waited = f"{self.policy.outage / 60:g} minutes"
                raise Stopped(f"{lane.address} did not answer in {waited}; the last error: {gone}") from None
            return False
        if gone:
            raise Stopped(f"none of the replicas answers: {gone}", usage=error.fatal) from None
        tried.add(lane)
        if (error.retryable or (error.fatal and lane.rests)) and self.lanes.others(tried):
            return True
        tried.clear()  # each was tried, so that this counts as one attempt
        if error.fatal and lane.rests and self.lanes.may_come:
            error.fatal, error.retryable = False, True  # for another replica, which only rests
        return False

    async def _stop_if_fatal(self, error: ProviderError) -> None:
        """Raises `Stopped` if no request can succeed; else the error is no longer fatal."""
        if not error.fatal:
            return
        if not error.doubtful or await self._doubt.concerns_all():
            raise Stopped(str(error), usage=True) from None
        error.fatal = False

    def _slow_down(self, lane: Lane, error: ProviderError) -> None:
        limiter = lane.limiter
        if error.throttled:
            limiter.throttled(error.retry_after, limited=error.limited)
        if error.limited:  # it holds for all requests, so that none is sent only to be refused
            first = not limiter.held
            self._limited_in_a_row += first
            pause = self.policy.pause(self._limited_in_a_row, error.retry_after)
            limiter.hold(pause * self.policy.second)
            if first:
                self._stop_if_too_long(lane, error)
            if not self.lanes.several:
                self._tell_wait(pause, error)

    def _stop_if_too_long(self, lane: Lane, error: ProviderError) -> None:
        """Raises `Stopped` once each endpoint has asked twice, with no answer between, to wait too long."""
        asked = error.retry_after or 0.0
        if asked <= LONGEST_RETRY_AFTER:
            return
        if all(one.asked_long for one in self.lanes.all):
            most = f"{LONGEST_RETRY_AFTER / 60:g} minutes"
            raise Stopped(
                f"the endpoint asks to wait {until_when(asked)}, which is more than {most}: {error}"
            )
        lane.asked_long = True

    def _tell_wait(self, pause: float, error: ProviderError) -> None:
        """Tells of a pause that is long and ends later than the one that was told of last."""
        until = time.monotonic() + pause * self.policy.second
        told = until < self._told_until + _TOLD_PAUSE * self.policy.second
        if self.on_wait is None or pause < _TOLD_PAUSE or told:
            return
        self._told_until = until
        asked = error.retry_after or 0.0
        self.on_wait(pause, f"it asks to wait {until_when(asked)}: {error}" if asked > pause else str(error))

    async def _once(self, lane: Lane, request: Request, draw: int, asker: Asker) -> Response:
        try:
            if self._by_id is not None:
                return checked(await self._by_id.answer_of(asker.sample, draw=draw), request)
            model = lane.model
            if self._hinted and isinstance(model, FakeModel | Copy):
                known = None if asker.hints is None else asker.hints()
                return checked(await model.generate_hinted(request, known, draw=draw), request)
            if lane.batcher is not None:
                return checked(await lane.batcher.generate(request, draw), request)
            return checked(await model.generate(request, draw=draw), request)
        except (BoundaryError, asyncio.CancelledError):
            raise
        except (Exception, SystemExit) as error:
            raise ProviderError(f"{type(error).__name__}: {error}") from error

    def _count_failure(self, error: ProviderError) -> None:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= max(20, 2 * self.lanes.limit):
            raise Stopped(
                f"{self._failed_in_a_row} requests in a row failed, the last one with: {error}"
            ) from None
