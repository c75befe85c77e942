"""`evalkit check`: with references as responses a task must score 1, with wrong responses 0.

The check runs the task's own extractor, scorer and metrics as the engine does; only the model is a fake.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import ModelScorer, Task, no_gold
from evalkit.data.base import DataOptions
from evalkit.engine.cell import CellPlan
from evalkit.engine.context import Call, HintsOf, RunTool, SampleContext
from evalkit.engine.corpus import completed
from evalkit.engine.faults import FAULTS, fault, guarded
from evalkit.engine.plan import make_plan
from evalkit.engine.reading import answers
from evalkit.engine.score import Score, score
from evalkit.errors import BoundaryError
from evalkit.metrics.base import merit, traits_of
from evalkit.models.base import Response
from evalkit.models.fake import GOLD, FakeModel, Hints
from evalkit.runfile.encoding import answer_column, unread_id
from evalkit.samples import Sample
from evalkit.stats.aggregates import aggregate_of, counted

AT_ONCE = 8
"""Number of samples scored at the same time."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result for one protocol.

    `problems`: one line for each sample that failed or that a scorer got wrong. Without problems, the check
    passed.
    """

    task: str
    protocol: str
    samples: int
    gold: float
    """The headline figure with the references as responses; NaN without references."""
    wrong: float
    """The best headline figure that any of the wrong responses reached; NaN without wrong responses."""
    unit: str
    others: dict[str, float]
    """The other metrics' figures with the references as responses."""
    units: dict[str, str]
    """The units of the other metrics."""
    problems: tuple[str, ...]
    unheld: tuple[str, ...] = ()
    """Messages about what could not be checked."""

    @property
    def passed(self) -> bool:
        return not self.problems


def check(task: str, data: DataOptions | None = None, limit: int | None = None) -> Iterator[CheckResult]:
    """Yields the result for every protocol of `task`, or for the one protocol in `name:protocol`.

    Raises `UsageError` before the first result if the data or the sandbox is not available.
    """
    from evalkit.benchmark.names import parse_spec
    from evalkit.benchmark.task import load_task

    name, protocol = parse_spec(task)
    found = load_task(name, data=data)
    names = [protocol] if protocol else [p.name for p in found.protocols]
    inside = f":{found.name}" if name.endswith(".py") else ""  # a protocol must follow a task's name
    nobody = FakeModel(lambda request, draw: "")
    tasks = [f"{name}{inside}:{p}" for p in names]
    plan = make_plan(nobody, tasks, data=data, limit=limit, judged=False)
    for cell in plan.cells:
        if not cell.role:
            yield asyncio.run(_check(cell))


@dataclass(slots=True)
class _Found:
    """The results of a cell's samples so far."""

    samples: int = 0
    gold: list[tuple[Sample, Score]] = field(default_factory=list)
    wrong: list[list[tuple[Sample, Score]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def _check(cell: CellPlan) -> CheckResult:
    slots = asyncio.Semaphore(AT_ONCE)
    found = _Found()
    for position, sample in cell.tried():
        found.samples += 1
        if isinstance(sample, BoundaryError):
            found.problems.append(f"{unread_id(position)}: {sample}")
        else:
            await _check_sample(cell, sample, slots, found)
    figures = _figures(cell, found.gold, found.problems)
    # Samples may have different numbers of wrong responses: a shorter list is continued with its last one.
    wrong = found.wrong
    most = max(map(len, wrong), default=0)
    columns = [[scores[min(i, len(scores) - 1)] for scores in wrong if scores] for i in range(most)]
    first = cell.metrics[0]
    worth = functools.partial(merit, higher_is_better=first.higher_is_better, best=traits_of(first).best)
    reached = [_figures(cell, column, found.problems)[first.name] for column in columns]
    wrong_figure = max(reached, key=worth, default=math.nan)
    headline = figures.pop(cell.metrics[0].name)
    return CheckResult(
        cell.task.name,
        cell.protocol.name,
        found.samples,
        headline,
        wrong_figure,
        cell.metrics[0].unit,
        figures,
        {metric.name: metric.unit for metric in cell.metrics[1:]},
        tuple(found.problems),
        tuple(_unheld(cell.task, found)),
    )


def _unheld(task: Task, found: _Found) -> Iterator[str]:
    if isinstance(task.scorer, ModelScorer):
        yield "a judge model scores the answers, and it was not called: only prompts and readers were checked"
        return
    if task.gold is no_gold:
        yield "the task has no right responses, so it is not shown that one scores 1"
    if not any(found.wrong):
        yield "the task has no wrong responses, so it is not shown that one scores 0"
    if variants := [variant.name for variant in task.variants if not variant.takes_gold]:
        yield f"these variants need not accept a right response: {', '.join(variants)}"


async def _check_sample(cell: CellPlan, sample: Sample, slots: asyncio.Semaphore, found: _Found) -> None:
    """Adds the results of `sample` to `found`. Every failure is a problem of this sample alone."""

    async def one(hints: HintsOf) -> Score | BoundaryError | None:
        async with slots:
            try:
                return await _respond(cell, sample, hints)
            except FAULTS as error:
                return fault(error)

    texts: list[str] = []
    try:
        given = list(cell.task.wrong_responses(sample, cell.protocol))
        if not all(isinstance(text, str) for text in given):
            raise TypeError("each must be a text")
        texts = given
    except FAULTS as error:
        found.problems.append(f"{sample.id}: {fault(error, 'wrong_responses')}")
    tried = [None, *range(len(texts))] if cell.task.gold is not no_gold else [*range(len(texts))]
    scores = await asyncio.gather(*(one(_always(cell.task, sample, number)) for number in tried))
    right, wrong = (scores[0], scores[1:]) if cell.task.gold is not no_gold else (None, scores)
    if isinstance(right, BoundaryError):
        found.problems.append(f"{sample.id}: with its reference: {right}")
    elif right is not None:
        found.gold.append((sample, right))
        refused = _refused(right, cell.task)
        found.problems += [f"{sample.id}: the reference is scored wrong{by}" for by in refused]
    found.wrong.append([(sample, score) for score in wrong if isinstance(score, Score)])
    for text, scored in zip(texts, wrong, strict=True):
        if isinstance(scored, BoundaryError):
            found.problems.append(f"{sample.id}: with the wrong response {text[:60]!r}: {scored}")
        elif scored is not None and any(scored.headline.credit):
            found.problems.append(f"{sample.id}: scored right although wrong: {text[:60]!r}")


def _refused(score: Score, task: Task) -> Iterator[str]:
    """Yields the variants that do not accept a reference, "" for the headline."""
    if not any(score.headline.credit):
        yield ""
    held = (variant.name for variant in task.variants if variant.takes_gold)
    yield from (f" by {name}" for name in held if not any(score.variants[name].credit))


def _figures(cell: CellPlan, scores: Sequence[tuple[Sample, Score]], problems: list[str]) -> dict[str, float]:
    """Returns the figures by metric; NaN if no score counts towards the figure."""
    found = {metric.name: math.nan for metric in cell.metrics}
    try:
        matrix, start = np.array(completed(cell.metrics, scores)), 0
    except BoundaryError as error:
        problems.append(str(error))
        return found
    if not scores:
        return found
    for metric in cell.metrics:
        end = start + len(metric.columns)
        part = matrix[:, start:end]
        part = part[counted(metric, part) > 0]
        found[metric.name] = aggregate_of(metric).figure(part) if len(part) else math.nan
        start = end
    return found


def _always(task: Task, sample: Sample, which: int | None) -> HintsOf:
    """Returns the hints of a model whose response is always the reference, or wrong response `which`."""

    def hints(protocol: Protocol) -> Hints:
        def response() -> str:
            if which is None:
                return task.gold(sample, protocol)
            texts = task.wrong_responses(sample, protocol)  # a branch of a routed answer may have fewer
            return texts[which % len(texts)]

        return Hints(guarded("gold" if which is None else "wrong_responses", response), lambda: "")

    return hints


class _Saying:
    """A channel to a model whose response is always the hints' gold. Tools run as usual."""

    def __init__(self) -> None:
        self._model = FakeModel(GOLD)

    async def send(self, call: Call) -> Response:
        assert call.request is not None
        hints = None if call.hints is None else call.hints()
        return await self._model.generate_hinted(call.request, hints, draw=call.draw)

    async def run(self, call: Call, tool: RunTool) -> Response:
        return Response(await tool())

    def stored(self, call: Call) -> Response | None:
        return None


async def _respond(cell: CellPlan, sample: Sample, hints: HintsOf) -> Score | None:
    """Scores the response that `hints` has as gold; returns None if a judge model scores the task."""
    task, protocol = cell.task, cell.protocol
    context = SampleContext(task, sample, protocol, _Saying(), hints=hints)
    await context.solve()
    answer, read_otherwise = await answers(task, sample, context.protocol, context.transcript)
    if isinstance(task.scorer, ModelScorer):
        return None
    found = await score(task, cell.metrics, sample, answer, read_otherwise)
    answer_column(found.as_json())  # raises an error if a run could not store it
    return found
