"""`--dry-run`: counts what a run would ask. Nothing is generated.

The solvers run against a model that answers with the references, so that all their requests are rendered,
also those that follow a response. The tokens of the prompts are estimated from their texts, or counted by a
tokeniser; where an endpoint counts them itself, its counts of a random sample correct the estimate. Responses
are expected to be as long as those of an earlier run, or as the references.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from evalkit.engine.cell import CellPlan
from evalkit.engine.context import Call, RunTool, SampleContext, task_hints
from evalkit.engine.counted import Counting, Estimate, Tally
from evalkit.engine.judging import Judging
from evalkit.engine.media import MediaCache
from evalkit.engine.plan import Plan
from evalkit.engine.reading import answers
from evalkit.engine.score import score_of
from evalkit.engine.stored_as import judge_stored_as
from evalkit.errors import BoundaryError
from evalkit.media.sent import SentFile
from evalkit.models.base import Request, Response
from evalkit.models.fake import GOLD, FakeModel
from evalkit.models.prices import Prices
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import usage
from evalkit.samples import JUDGE, Sample

_GOLD = FakeModel(GOLD)
_SILENT = FakeModel(lambda request, draw: "")


async def estimate(
    plan: Plan, prices: Prices, counting: Counting, store: Store | None = None, *, batch: bool = False
) -> list[Estimate]:
    """What is left to ask of `plan`: for each task the model, and its judge models.

    `store`: the run file that the run would go on with. `batch`: whether the requests, without those to
    judges, would be sent by batch routes. Raises `UsageError` for data that cannot be read, and
    `ProviderError` if an endpoint that is to count does not.
    """
    media = MediaCache(_Unnoted())
    found = list[Estimate]()
    try:
        for cell in plan.cells:
            counted = _Cell(plan, cell, prices, counting, media, store, batch)
            await counted.count()
            found += [await tally.estimate() for tally in counted.tallies if tally]
    finally:
        media.close()
    return found


def lengths(store: Store) -> dict[tuple[str, str], float]:
    """The mean tokens of a response in a run file, by (task, protocol), of the tasks that have them."""
    found = {}
    for cell in store.cells():
        draws, _, output = usage(store, cell)
        if draws and output:
            found[cell.task, cell.protocol] = output / draws
    return found


class _Cell:
    """Counts the requests of one cell."""

    def __init__(
        self,
        plan: Plan,
        cell: CellPlan,
        prices: Prices,
        counting: Counting,
        media: MediaCache,
        store: Store | None,
        batch: bool,
    ) -> None:
        self._plan, self._cell, self._media, self._store = plan, cell, media, store
        expected = counting.like.get((cell.task.name, cell.protocol.name))
        price = prices.of(plan.model)
        price = price.in_batch() if price is not None and batch else price
        self._asked = Tally(cell.name, plan.model, price, counting, expected)
        self._judges = {
            role: Tally(cell.name, judge, prices.of(judge), counting, judge=role)
            for role, judge in plan.judges.items()
            if cell.judges
        }
        self._seen = set[tuple[str, bytes, int]]()

    @property
    def tallies(self) -> tuple[Tally, ...]:
        return (self._asked, *self._judges.values())

    async def count(self) -> None:
        for sample in self._samples():
            try:
                await self._sample(sample)
            except BoundaryError:  # it fails in the run as well
                self._asked.skipped += 1

    def _samples(self) -> Iterator[Sample]:
        shard = self._plan.shard
        for position, found in self._cell.tried():
            if shard is not None and not shard.has(self._cell.task.name, position, found):
                continue
            if isinstance(found, Sample):
                yield found
            else:
                self._asked.skipped += 1

    async def _sample(self, sample: Sample) -> None:
        task, protocol = self._cell.task, self._cell.protocol
        context = SampleContext(
            task,
            sample,
            protocol,
            _Noting(self._send),
            hints=partial(task_hints, task, sample),
            seed=self._plan.seed,
            harness="lm-eval" in self._plan.model.capabilities,
        )
        await context.solve()
        if self._judges:
            judging = Judging(
                sample, lambda role: _Noting(partial(self._judge, role, sample.id)), self._plan.seed
            )
            answer, otherwise = await answers(task, sample, protocol, context.transcript)
            with contextlib.suppress(BoundaryError):  # the replies of the judges are unknown
                await score_of(task, self._cell.metrics, sample, answer, otherwise, judging)

    async def _send(self, call: Call) -> Response:
        assert call.request is not None
        known = None if self._store is None else self._store.response(call.key, call.draw)
        if known is not None:
            self._once("", call, self._asked.add_answered)
            return known
        reply = await self._reply(call.request, call)
        request = await self._media.ready(call.request) if call.request.media else call.request
        self._once("", call, lambda: self._asked.add(call.key, request, reply, follows=call.follows))
        return reply

    async def _reply(self, request: Request, call: Call) -> Response:
        """The reference as a response, or an empty one if the task has none."""
        hints = None if call.hints is None else call.hints()
        try:
            return await _GOLD.generate_hinted(request, hints, draw=call.draw)
        except BoundaryError:
            return await _SILENT.generate_hinted(request, hints, draw=call.draw)

    async def _judge(self, role: str, sample: str, call: Call) -> Response:
        """Counts one request for each question of a sample to a judge, whose reply is unknown."""
        assert call.request is not None
        role = role if role in self._judges else JUDGE
        tally, judge = self._judges[role], self._plan.judges[role]
        key, _ = judge_stored_as(call.body, role, judge.identity)
        if self._store is not None and (known := self._store.response(key, call.draw)) is not None:
            self._once(f"{role} {sample}", call, tally.add_answered)
            return known
        reply = Response("")
        if call.draw == 0:
            request = call.request
            self._once(f"{role} {sample}", call, lambda: tally.add(key, request, reply, follows=True))
        return reply

    def _once(self, asker: str, call: Call, note: Callable[[], None]) -> None:
        """Calls `note` for the first of equal requests of one asker, because the others get its response."""
        place = (asker, call.key, call.draw)
        if place not in self._seen:
            self._seen.add(place)
            note()


class _Noting:
    """A `Channel` that passes requests on to `send`. No tool runs."""

    def __init__(self, send: Callable[[Call], Awaitable[Response]]) -> None:
        self.send = send

    async def run(self, call: Call, tool: RunTool) -> Response:
        return Response("")

    def stored(self, call: Call) -> Response | None:
        return None


class _Unnoted:
    """Keeps nothing of the files that would be sent."""

    def add_media(self, medium: SentFile) -> None:
        pass
