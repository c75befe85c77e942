"""`evalkit rescore`: runs readers, scorers and metrics again on stored responses. No request is sent.

The new run file has the responses of the old one, read, scored and measured by the current code. A sample's
transcript is in the file, so prompts, media and solvers are not needed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

import evalkit
from evalkit.benchmark.names import is_lm_eval
from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readable import SPOKEN
from evalkit.benchmark.spec import BY, CellSpec
from evalkit.benchmark.task import ModelScorer, Task, judge_roles
from evalkit.data.base import Records
from evalkit.engine.calibrate import calibrate
from evalkit.engine.cell import CellPlan
from evalkit.engine.context import Call, RunTool
from evalkit.engine.corpus import complete
from evalkit.engine.faults import FAULTS, fault
from evalkit.engine.judging import Judging
from evalkit.engine.provenance import provenance
from evalkit.engine.reading import answers
from evalkit.engine.score import metrics_for, score_of
from evalkit.errors import JudgeError, UsageError
from evalkit.metrics.base import Metric
from evalkit.models.base import Response
from evalkit.runfile.encoding import row_columns
from evalkit.runfile.figures import WHOLE, figures_of
from evalkit.runfile.measured import task_of
from evalkit.runfile.records import FAILED, VALIDATION, Cell, Row
from evalkit.runfile.sample_records import SampleRecord, SampleRecords, known_medium
from evalkit.runfile.store import Store
from evalkit.samples import JSON, JUDGE, Sample
from evalkit.sandbox.hidden import hide_beside
from evalkit.scratch import replacing

_T = TypeVar("_T")
AT_ONCE = 8
"""Number of samples scored at the same time."""
TRIED_AGAIN = ("scorer", "worker", "sandbox", "judge")
"""Boundaries of failures that the current code may not have. A missing response stays missing."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A sample whose verdict changed, with the old and new outcome and answer."""

    sample: str
    outcomes: tuple[str, str]
    answers: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rescored:
    """The result for one cell. `figures`: the old and new headline figure, in `unit`.

    `notes`: how imported samples were matched to those of a task.
    """

    name: str
    metric: str
    unit: str
    samples: int
    figures: tuple[float | None, float | None]
    changed: tuple[Changed, ...]
    notes: tuple[str, ...] = ()


def rescore(
    run: Path, output: Path, *, rule: str = "", task_files: tuple[Path, ...] = ()
) -> Iterator[Rescored]:
    """Writes the run file `output` and yields its cells as they are done.

    `rule`: the protocol whose extractor is used instead of the cell's own. `task_files`: files with those of
    the run's tasks that are not evalkit's. Raises `UsageError` if a task's code is not found, if a slim run
    file has no texts, or if `output` already exists. `output` appears only once all cells are done.
    """
    if output.exists():
        raise UsageError(f"{output} already exists: remove it, or name another file")
    for file in (run, output, *task_files):
        hide_beside(file)
    with Store.open(run, task_files) as old, replacing(output) as part:
        old.needs_texts("rescoring")
        old.check_all()
        tasks = {cell.id: _task(old, cell) for cell in old.cells()}
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(part)) as copy:
                old.connection.backup(copy)  # in the current format, whatever the format of `run`
        except (OSError, sqlite3.Error) as error:
            raise UsageError(f"cannot write {output}: {error}") from None
        with Store.open(part, to_write=True) as new:
            note(old, new)
            for cell in old.cells():
                yield _Cell(old, new, cell, tasks[cell.id], rule).rescore()
            new.commit()


def check_task(store: Store, cell: Cell) -> None:
    """Raises `UsageError` if the code of a cell's task is not found, so that it cannot be scored again."""
    _task(store, cell)


def rescore_cell(old: Store, new: Store, cell: Cell) -> Rescored:
    """Scores one cell of `old` again, and writes it to `new`, a copy of `old`. Raises `UsageError`."""
    return _Cell(old, new, cell, _task(old, cell), "").rescore()


def note(old: Store, new: Store) -> None:
    """Stores which evalkit and packages rescore the run, and which made the original run."""
    made: dict[str, JSON] = {"evalkit": evalkit.__version__, "packages": provenance()["packages"]}
    before: JSON = {key: old.manifest.get(key) for key in made}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    made["rescored"] = {"from": old.path.name, "at": at, "asked": before}
    for key, value in made.items():
        new.set_entry(key, value)


def _task(store: Store, cell: Cell) -> Task:
    if tool := cell.spec.imported.get("imported"):
        raise UsageError(
            f"{store.path}: {cell.spec.label} was imported from {tool}: name the task of evalkit whose rules "
            "should score its responses, such as -t gsm8k"
        )
    task = task_of(store, cell.spec)
    if task is None:
        if is_lm_eval(cell.spec.source):
            raise UsageError(
                f"{store.path}: tasks of lm-eval ({cell.spec.task}) cannot be scored again from a run file: "
                "their code needs the data. evalkit run with another -o evaluates them with the current code"
            )
        fix = "name its file with --task-file" if cell.spec.source else "it was given from Python, in no file"
        raise UsageError(f"{store.path}: the code of {cell.spec.task} is not found: {fix}")
    return task


class _Cell:
    def __init__(self, old: Store, new: Store, cell: Cell, task: Task, rule: str) -> None:
        self._old, self._new, self._cell = old, new, cell
        if rule:
            extract = task.extract(task.protocol(rule))
            task = dataclasses.replace(task, answer=extract)
        known = {variant.name for variant in cell.spec.variants}
        variants = (v for v in task.variants if v.name in known or not isinstance(v.scorer, ModelScorer))
        self._task = dataclasses.replace(task, variants=tuple(variants))
        self._plan = self._planned(self._task)
        self._judged = bool(self._plan.model_extractor or self._plan.judges)

    def _planned(self, task: Task) -> CellPlan:
        spec = self._cell.spec
        settings = {
            field.name: getattr(spec.protocol, field.name) for field in dataclasses.fields(spec.protocol)
        }
        base = task.protocol(spec.protocol.name)
        protocol = Protocol(**settings, solver=base.solver, reader=base.reader)
        return CellPlan(
            source=spec.source,
            task=task,
            protocol=protocol,
            metrics=metrics_for(task, protocol),
            records=Records(spec.data, spec.records, lambda: iter(())),
            limit=spec.limit,
            model_extractor=spec.model_extractor.rpartition(" ")[0].rpartition(" ")[0],
            judges=dict.fromkeys(judge_roles(task), ""),
            role=self._cell.role,
        )

    def _spec(self) -> CellSpec:
        """Returns the spec with the current identities of readers, scorers and metrics; the rest stays."""
        old, new = self._cell.spec, self._plan.spec()
        fallback = new.fallback
        if fallback and old.fallback:
            fallback = " ".join((*old.fallback.split(" ")[:2], *new.fallback.split(" ")[2:]))
        variants = tuple(
            dataclasses.replace(
                variant, scorer=_asking_the_same(variant.scorer, old.variant(variant.name).scorer)
            )
            for variant in new.variants
        )
        scorer = _asking_the_same(new.scorer, old.scorer)
        return dataclasses.replace(
            new, solver=old.solver, prompt=old.prompt, fallback=fallback, scorer=scorer, variants=variants
        )

    def rescore(self) -> Rescored:
        cell, new = self._cell, self._new
        new.set_spec(cell, self._spec())
        if self._plan.protocol.calibrated and not cell.role:
            (validation,) = (
                one for one in new.cells() if one.role == VALIDATION and one.spec.name == cell.spec.name
            )
            self._plan = calibrate(self._plan, cell, validation, new)
        records = SampleRecords(self._old, cell, whole=True)
        changed = asyncio.run(self._samples(records))
        complete(new, cell, self._plan.metrics)
        data = new.data(cell)
        before = {figure.metric: figure.value for figure in self._old.figures(cell) if figure.group == WHOLE}
        found = figures_of(self._plan.metrics, data)
        new.reopen(cell)
        if cell.finished is not None:
            new.finish(cell, cell.finished, found)
        new.commit()
        headline = self._plan.metrics[0]
        return Rescored(
            cell.spec.label + (f" ({cell.role})" if cell.role else ""),
            headline.name,
            headline.unit,
            len(data.outcomes),
            (before.get(headline.name), next((f.value for f in found if f.metric == headline.name), None)),
            tuple(changed),
        )

    async def _samples(self, records: SampleRecords) -> list[Changed]:
        return await together(list(records.positions.values()), lambda at: self._sample(at, records))

    async def _sample(self, position: int, records: SampleRecords) -> Changed | None:
        asked = records.read(position)
        if asked.outcome == FAILED and asked.boundary not in TRIED_AGAIN:
            return None
        sample = _sample(self._old, asked)
        question, digest = records.digests(position)
        row = Row(sample, position, question, digest, FAILED, links=records.links(position))
        judging = Judging(sample, lambda role: _StoredReplies(asked, role)) if self._judged else None
        row = await read_again(self._task, self._plan.metrics, self._plan.protocol, row, asked, judging)
        self._new.add_sample(self._cell, row)
        return change(asked, row)


async def together(
    samples: Sequence[_T], score: Callable[[_T], Coroutine[Any, Any, Changed | None]]
) -> list[Changed]:
    """Scores `AT_ONCE` samples at the same time, and returns the changes.

    A million samples thus do not make a million tasks at once.
    """
    found: list[Changed | None] = []
    for start in range(0, len(samples), AT_ONCE):
        found += await asyncio.gather(*(score(sample) for sample in samples[start : start + AT_ONCE]))
    return [change for change in found if change is not None]


async def read_again(
    task: Task,
    metrics: tuple[Metric, ...],
    protocol: Protocol,
    row: Row,
    asked: SampleRecord,
    judging: Judging | None = None,
) -> Row:
    """Returns `row` with the answer and the score that `task` gives the stored responses, or failed."""
    try:
        answer, otherwise = await answers(task, row.sample, protocol, asked.transcript(), judging)
        known = asked.answer.get("detail", {})
        answer.detail.update({key: known[key] for key in ("shots", SPOKEN) if key in known})
        made = await score_of(task, metrics, row.sample, answer, otherwise, judging)
        row = dataclasses.replace(
            row, outcome=made.outcome, statistics=made.statistics, answer=made.as_json()
        )
        row_columns(row)  # raises an error before anything is written
    except FAULTS as error:
        failed = fault(error)
        return dataclasses.replace(
            row, outcome=FAILED, statistics=(), answer=None, boundary=failed.boundary, error=str(failed)
        )
    return row


def change(asked: SampleRecord, row: Row) -> Changed | None:
    """Returns how the verdict of `row` differs from the stored one; None if it does not."""
    after = _values(orjson.loads(orjson.dumps(row.answer, default=str)))
    before = _values(asked.answer)
    if (asked.outcome, [right for _, right in before]) == (row.outcome, [right for _, right in after]):
        return None
    return Changed(row.sample.id, (asked.outcome, row.outcome), (_words(before), _words(after)))


class _StoredReplies:
    """A channel that returns the stored replies of the judge model in `role` and never sends a request."""

    def __init__(self, asked: SampleRecord, role: str) -> None:
        of_judges = [asked_request for asked_request in asked.requests if asked_request.judge]
        own = [asked_request for asked_request in of_judges if asked_request.body.get("role", JUDGE) == role]
        self._replies = {
            (orjson.dumps(asked_request.body["prompt"]), drawn.draw): drawn.response
            for asked_request in own or of_judges  # one model may have been used for every role
            for drawn in asked_request.draws
        }

    def stored(self, call: Call) -> Response | None:
        return self._replies.get((orjson.dumps(orjson.loads(call.body)["prompt"]), call.draw))

    async def send(self, call: Call) -> Response:
        raise JudgeError("the run has no reply of the judge model about this response")

    async def run(self, call: Call, tool: RunTool) -> Response:
        raise AssertionError("a judge model does not use tools")


def _asking_the_same(new: str, old: str) -> str:
    """Returns the identity of the current scorer, with the judge models of the run."""
    return "".join((new.partition(BY)[0], *old.partition(BY)[1:]))


def _sample(store: Store, asked: SampleRecord) -> Sample:
    return Sample(
        id=asked.id,
        input=asked.input,
        target=tuple(asked.target),
        choices=tuple(asked.choices),
        group=asked.group,
        tags=tuple(asked.tags),
        cluster=asked.cluster,
        meta=asked.meta,
        media=tuple(known_medium(store, key) for key in asked.media),
    )


def _values(answer: Mapping[str, object] | None) -> list[tuple[str, object]]:
    finals = (answer or {}).get("finals", [])
    assert isinstance(finals, list)
    return [(str(final.get("value")), final.get("correct")) for final in finals]


def _words(values: Sequence[tuple[str, object]]) -> str:
    return " | ".join(dict.fromkeys(value for value, _ in values))
