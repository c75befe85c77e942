"""The run: plan → samples in flight → run file. A run resumes from what the file already has."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from evalkit.benchmark.task import judge_for
from evalkit.engine.batching import waiting_at_once
from evalkit.engine.budget import Budget
from evalkit.engine.calibrate import calibrate
from evalkit.engine.cell import CellPlan
from evalkit.engine.channel import Links, SampleChannel
from evalkit.engine.client import ModelClient, Stopped
from evalkit.engine.clients import land, listen, make_client, tell_waits
from evalkit.engine.collector import rare_collections
from evalkit.engine.commits import Commits
from evalkit.engine.context import SampleContext, task_hints
from evalkit.engine.corpus import complete
from evalkit.engine.faults import FAULTS, fault, may_pass
from evalkit.engine.judging import Judging
from evalkit.engine.limiter import MOST
from evalkit.engine.media import MediaCache
from evalkit.engine.moved import note_move
from evalkit.engine.plan import Plan
from evalkit.engine.progress import Progress, Silent
from evalkit.engine.provenance import provenance
from evalkit.engine.reading import answers
from evalkit.engine.repeatability import note_verification
from evalkit.engine.rows import row_of
from evalkit.engine.score import Score, Ungraded, score_of
from evalkit.engine.shards import Shard
from evalkit.engine.waits import RetryPolicy
from evalkit.engine.workers import SampleWorkers
from evalkit.errors import BoundaryError, DataError, ProviderError, SampleError, StorageError, UsageError
from evalkit.models.prices import Prices
from evalkit.models.replicas import Replicas
from evalkit.runfile.encoding import question_digest, unread, unread_id
from evalkit.runfile.evidence import IDS
from evalkit.runfile.figures import figures_of
from evalkit.runfile.opening import remove
from evalkit.runfile.records import FAILED, OUTCOMES, StoredFigure
from evalkit.runfile.runlock import RunLock
from evalkit.runfile.store import ANSWERED, VALIDATION, Cell, Row, Store
from evalkit.runfile.tallies import set_samples_of_all
from evalkit.samples import Sample
from evalkit.sandbox.hidden import hide_beside

_BREATHE = 16
"""Maximum number of samples between two turns of the event loop."""
_DONE = frozenset({*OUTCOMES, ANSWERED} - {FAILED})


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is executed; no option changes what is asked. `concurrency` None: auto.

    `verify`: share of the greedy requests that are sent twice. `batch`: whether requests are sent by the
    provider's batch routes; None: they are not, and a run that has unfinished batches is refused.
    `together`: the most draws of one request. `max_cost`: US dollars at which the run stops.
    """

    concurrency: int | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    verify: float = 0.0
    batch: bool | None = None
    together: int | None = None
    max_cost: float | None = None
    prices: Prices = field(default_factory=Prices)


def open_run(path: Path, plan: Plan, *, afresh: bool = False) -> Store:
    """Creates the run file at `path`, or opens it to resume the same run. It is locked until it is closed.

    `afresh`: remove an existing run file first. Raises `UsageError` if another process writes the file, or
    if it holds another run; the message then names every difference.
    """
    hide_beside(path)
    lock = RunLock.acquire(path)
    try:
        if afresh:
            remove(path)
        new = not path.exists()
        store = Store.create(path, {**plan.manifest(), **provenance()}) if new else _reopened(path)
        try:
            if not store.cells():  # new, or killed before its first cell was written
                _add_cells(store, plan)
            plan.check_resumes(store)
            note_move(store, plan.model, plan.judges)
            if plan.ids is not None and (notes := plan.ids.notes()):
                store.set_entry(IDS, [*notes])
            store.commit()
        except BaseException:
            store.close()
            raise
    except BaseException:
        lock.release()
        raise
    store.lock = lock
    return store


def _reopened(path: Path) -> Store:
    if not os.access(path, os.W_OK):
        raise UsageError(f"{path} cannot be written: name another file with -o")
    store = Store.open(path, to_write=True)
    try:
        store.needs_texts("resuming a run")
    except UsageError:
        store.close()
        raise
    return store


def _add_cells(store: Store, plan: Plan) -> None:
    for cell in plan.cells:
        store.add_cell(cell.spec(), cell.role)
    store.commit()


async def execute(
    plan: Plan, store: Store, options: Options | None = None, progress: Progress | None = None
) -> None:
    """Runs and scores the samples that `store`, from `open_run`, does not have yet.

    When it returns, everything is in the run file and has been read back from it. Raises `Stopped` if the
    endpoint is gone for good, and `StorageError` as soon as something cannot be stored. If it is cancelled,
    the run file can be resumed.
    """
    if store.lock is None:
        raise UsageError(f"{store.path} was opened for reading only: open it with open_run to write a run")
    options = options or Options()
    progress = progress or Silent()
    for model in (plan.model, *plan.judges.values()):
        if isinstance(model, Replicas):
            await model.check()
    media = MediaCache(store)
    commits = Commits(store)
    given = commits, options.retry, plan.seed, media
    limit = options.concurrency
    batch = await waiting_at_once(plan, store, options)
    client = make_client(
        plan.model, limit, *given, verify=options.verify, batch=batch, together=options.together
    )
    judges = {role: make_client(model, limit, *given, judge=role) for role, model in plan.judges.items()}
    listen(clients := (client, *judges.values()), progress)
    budget = Budget(plan, options.prices, options.max_cost, commits)
    budget.charge(clients)
    cells = {(cell.task, cell.protocol, cell.role): cell for cell in store.cells()}
    telling = asyncio.create_task(tell_waits(clients, progress, options.retry.second))
    stored = True
    try:
        with rare_collections():
            for planned in plan.cells:
                cell = cells[planned.task.name, planned.protocol.name, planned.role]
                # A shard has a part of the validation samples: the threshold is chosen when it is merged.
                if planned.protocol.calibrated and not planned.role and plan.shard is None:
                    planned = calibrate(planned, cell, cells[cell.task, cell.protocol, VALIDATION], store)
                await _CellRun(planned, cell, client, progress, judges, plan.shard).execute()
                if options.verify and not planned.role:
                    note_verification(store, cell)
    except StorageError:
        stored = False
        raise
    finally:
        telling.cancel()
        await land(clients, progress, stored=stored)
        budget.tell(progress)
        client.evidence.write()
        for one in clients:
            one.close()
        media.close()
        commits.close()
        try:
            # Also after an interrupted run, because the user is told that all responses are in the file.
            store.read_back()
        finally:
            progress.close()


class _CellRun:
    def __init__(
        self,
        planned: CellPlan,
        cell: Cell,
        client: ModelClient,
        progress: Progress,
        judges: Mapping[str, ModelClient],
        shard: Shard | None = None,
    ) -> None:
        self._planned, self._cell, self._client, self._progress = planned, cell, client, progress
        self._judges = judges if planned.model_extractor or planned.judges else {}
        self._samples: Iterator[tuple[int, Sample | BoundaryError]] = iter(())
        self._shard = shard
        self._seen = 0
        """How many samples the cell has, including those of other shards."""
        self._fresh = True
        self._again: set[int] = set()
        """The positions of samples that failed and may succeed later; they are asked again at the end."""
        self._last = False
        """Whether these are asked again now."""
        self._dealt = False
        """Whether any sample was written, so that the stored figures are out of date."""
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._store = client.store

    async def execute(self) -> None:
        self._progress.start(self._planned, self._cell, self._client, self._store)
        self._samples = self._planned.tried()
        self._fresh = not any(self._store.outcomes(self._cell).values())
        try:
            await self._all()
            if self._again and not self._client.lanes.gone(self._client.policy):
                await self._all_again()
        finally:
            self._reader.shutdown()
        # After a few samples alone, the run is as unfinished as it was before.
        whole = self._planned.only is None or self._cell.finished is not None
        if whole and (self._cell.finished is None or self._dealt or not self._store.figures(self._cell)):
            self._finish()

    async def _all(self) -> None:
        """Runs all of `_samples`."""
        most = self._client.lanes.most
        # A sample has `draws` requests in flight, so fewer samples keep the model busy. One worker more
        # keeps it busy while a sample is scored.
        count = -(-most // self._planned.protocol.draws) + 1
        if (known := self._planned.records.count) is not None:
            count = min(count, max(1, known))
        clients = self._client, *self._judges.values()
        # A sample with pictures holds megabytes.
        spare = min(MOST, most) if self._planned.task.media else MOST
        await SampleWorkers(self._work, clients, self._client.commits, spare).run(count)

    async def _all_again(self) -> None:
        """Runs the samples that failed once more, so that independent faults lose none."""
        if (tell := self._client.lanes.on_news) is not None:
            count = "1 sample" if len(self._again) == 1 else f"{len(self._again)} samples"
            tell(f"{self._planned.name}: {count} failed for reasons that may have passed; asking once more")
        self._last, self._fresh = True, False
        self._samples = (found for found in self._planned.tried() if found[0] in self._again)
        self._client.lanes.be_patient(False)
        try:
            await self._all()
        finally:
            self._client.lanes.be_patient(True)

    async def _next(self) -> tuple[int, Sample | BoundaryError] | None:
        """Returns the next sample to run, or None. All workers take from one iterator.

        Pictures are read in a thread, because a row group of a parquet file full of them takes a tenth of a
        second. Raises `Stopped` if the data cannot be read any further.
        """
        while True:
            try:
                if self._planned.task.media:
                    loop = asyncio.get_running_loop()
                    found = await loop.run_in_executor(self._reader, next, self._samples, None)
                else:
                    found = next(self._samples, None)
            except DataError as error:
                raise Stopped(str(error), usage=True) from error
            self._seen += found is not None and not self._last
            if found is None or self._wanted(*found):
                return found

    def _wanted(self, position: int, sample: Sample | BoundaryError) -> bool:
        """Whether the sample is this shard's, and not in the run file, or failed.

        Raises `DataError` if the data changed.
        """
        if self._shard is not None and not self._shard.has(self._cell.task, position, sample):
            return False
        state = None if self._fresh else self._store.state(self._cell, position)
        if state is None:
            return True
        name, outcome, question = state
        if (name, outcome) == (unread_id(position), FAILED):  # the record gave no sample then
            return True
        if isinstance(sample, Sample):
            if name != sample.id:
                self._changed(f"sample {position} was {name} and is now {sample.id}")
            if outcome in _DONE and question != question_digest(sample):
                self._changed(f"the text, references or further data of sample {name} are different")
        return outcome not in _DONE

    def _changed(self, what: str) -> NoReturn:
        self._samples = iter(())  # so that no other worker continues with the remaining samples
        raise DataError(
            f"{self._cell.task}: the data changed since {self._store.path} was started: {what}. "
            "Name another file with -o"
        )

    async def _work(self) -> None:
        while (found := await self._next()) is not None:
            position, sample = found
            await self._sample(position, sample)
            # Responses that need no waiting (stored ones, a replay's) never yield. Without this, the event
            # loop would neither commit nor handle Ctrl-C before the last sample.
            if position % _BREATHE == 0:
                await asyncio.sleep(0)

    async def _sample(self, position: int, sample: Sample | BoundaryError) -> None:
        if isinstance(sample, BoundaryError):
            row = unread(position, sample)
            self._note(row)
        else:
            links = Links()
            context = self._context(sample, links)
            result = await self._result(context, links)
            if may_pass(result) and not self._last and self._client.policy.attempts > 1:
                self._again.add(position)
            row = row_of(position, sample, context.asked, result, links.found())
            # A provider's errors are already stored, as they happen.
            if row.boundary not in ("", "provider"):
                self._note(row)
        try:
            self._store.add_sample(self._cell, row, fresh=self._fresh)
        except BoundaryError as error:  # nothing was written, because a value cannot be stored
            failed = unread(position, error)
            if not isinstance(error, SampleError):  # the value is in the answer, not in the sample
                failed = dataclasses.replace(failed, sample=row.sample, question=row.question)
            row = failed
            self._note(row)
            self._store.add_sample(self._cell, row)
        if not self._dealt:
            self._dealt = True
            self._store.reopen(self._cell)
        self._client.commits.soon()
        if position not in self._again or self._last:
            self._progress.sample(row)

    async def _result(self, context: SampleContext, links: Links) -> Score | Ungraded | BoundaryError:
        """Returns the sample's score, or the error that failed it. Raises what ends the run."""
        task, sample = self._planned.task, context.sample
        judging = self._judging(sample, links)
        try:
            await context.solve()
            answer, otherwise = await answers(task, sample, context.protocol, context.transcript, judging)
            if context.protocol.shots < self._planned.protocol.shots:
                answer.detail["shots"] = context.protocol.shots
            return await score_of(task, self._planned.metrics, sample, answer, otherwise, judging)
        except FAULTS as error:
            failed = fault(error)
            if isinstance(failed, ProviderError) and failed.fatal:
                raise Stopped(str(failed), usage=True) from None
            return failed

    def _note(self, row: Row) -> None:
        self._store.add_error(self._cell, row.sample.id, 0, row.boundary, row.error)

    def _context(self, sample: Sample, links: Links) -> SampleContext:
        task = self._planned.task
        return SampleContext(
            task,
            sample,
            self._planned.protocol,
            SampleChannel(self._client, self._cell, sample.id, links),
            hints=lambda protocol: task_hints(task, sample, protocol),
            seed=self._client.seed,
            harness="lm-eval" in self._client.model.capabilities,
        )

    def _judging(self, sample: Sample, links: Links) -> Judging | None:
        if not self._judges:
            return None

        def channel(role: str) -> SampleChannel:
            client = judge_for(role, self._judges)
            assert client is not None  # the plan refused a role without a model
            return SampleChannel(client, self._cell, sample.id, links)

        return Judging(sample, channel, self._client.seed)

    def _finish(self) -> None:
        """Stores the figures, once all samples are done."""
        data = self._store.data(self._cell)
        figures: Sequence[StoredFigure] = ()
        try:
            if complete(self._store, self._cell, self._planned.metrics):
                data = self._store.data(self._cell)
            figures = figures_of(self._planned.metrics, data)
        finally:  # also if a metric of the user's fails
            if self._shard is not None:
                set_samples_of_all(self._store, self._cell, self._seen)
            self._store.finish(self._cell, len(data.outcomes), figures)
