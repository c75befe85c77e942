"""The gold self-test: with references as responses a task scores full marks, with spoiled ones none.

It drives the task's own extraction, judge and metric, as the engine does; only the model is missing.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.data.base import DataOptions
from evalkit.engine.asking import Asking, Hints
from evalkit.engine.cell import CellPlan
from evalkit.engine.plan import make_plan
from evalkit.engine.score import Score, answers, score
from evalkit.metrics.base import merit, traits_of
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel
from evalkit.protocol import Protocol
from evalkit.samples import Sample
from evalkit.task import Task

AT_ONCE = 8
"""Samples judged together."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`problems`: a line for each sample that a scorer got wrong; none is a pass."""

    task: str
    protocol: str
    samples: int
    gold: float
    """The headline figure with the references as responses."""
    spoiled: float
    """The best headline figure that any of the spoiled responses reached."""
    unit: str
    others: dict[str, float]
    """The further metrics' figures with the references as responses."""
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.problems


def check(task: str, data: DataOptions | None = None, limit: int | None = None) -> Iterator[CheckResult]:
    """Checks every protocol of `task`, or the one that `name:protocol` names, one after the other.

    Raises `UsageError` before the first when the data or the sandbox cannot be had.
    """
    from evalkit.task import load_task, parse_spec

    name, protocol = parse_spec(task)
    found = load_task(name)
    names = [protocol] if protocol else [p.name for p in found.protocols]
    inside = f":{found.name}" if name.endswith(".py") else ""  # a protocol comes after the task's name
    nobody = FakeModel(lambda request, draw: "")
    plan = make_plan(nobody, [f"{name}{inside}:{p}" for p in names], data=data, limit=limit)
    for cell in plan.cells:
        if not cell.role:
            yield asyncio.run(_check(cell))


async def _check(cell: CellPlan) -> CheckResult:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(sample: Sample, hints: Hints) -> Score:
        async with slots:
            return await _respond(cell, sample, hints)

    problems: list[str] = []
    gold: list[Score] = []
    spoiled: list[list[Score]] = []
    for _, sample in cell.samples():
        texts = list(cell.task.spoiled(sample, cell.protocol))
        right, *wrong = await asyncio.gather(
            one(sample, _always(cell.task, sample, None)),
            *(one(sample, _always(cell.task, sample, i)) for i in range(len(texts))),
        )
        gold.append(right)
        spoiled.append(wrong)
        problems += [f"{sample.id}: the reference is judged wrong{by}" for by in _refused(right)]
        problems += [
            f"{sample.id}: judged right although spoiled: {text[:60]!r}"
            for text, score in zip(texts, wrong, strict=True)
            if any(score.headline.credit)
        ]
    figures = {m.name: _figure(cell, i, gold) for i, m in enumerate(cell.metrics)}
    # Samples may have spoiled responses of different number: the last one of the shorter stands in.
    most = max(map(len, spoiled), default=0)
    columns = [[scores[min(i, len(scores) - 1)] for scores in spoiled if scores] for i in range(most)]
    first = cell.metrics[0]
    worth = functools.partial(merit, higher_is_better=first.higher_is_better, best=traits_of(first).best)
    spoiled_figure = max((_figure(cell, 0, column) for column in columns), key=worth, default=0.0)
    headline = figures.pop(cell.metrics[0].name)
    return CheckResult(
        cell.task.name,
        cell.protocol.name,
        len(gold),
        headline,
        spoiled_figure,
        cell.metrics[0].unit,
        figures,
        tuple(problems),
    )


def _refused(score: Score) -> Iterator[str]:
    """The views that do not take a reference, "" for the headline."""
    if not any(score.headline.credit):
        yield ""
    yield from (f" by {name}" for name, judged in score.views.items() if not any(judged.credit))


def _figure(cell: CellPlan, metric: int, scores: Sequence[Score]) -> float:
    start = sum(len(m.columns) for m in cell.metrics[:metric])
    end = start + len(cell.metrics[metric].columns)
    totals = np.array([score.statistics[start:end] for score in scores]).sum(axis=0)
    return float(cell.metrics[metric].finish(totals))


def _always(task: Task, sample: Sample, spoiled: int | None) -> Hints:
    """A model that always gives the reference, or the spoiled response of that number."""

    def hints(protocol: Protocol) -> tuple[str, str]:
        if spoiled is None:
            return task.gold(sample, protocol), ""
        texts = task.spoiled(sample, protocol)  # a leg of a routed answer may have fewer
        return texts[spoiled % len(texts)], ""

    return hints


async def _respond(cell: CellPlan, sample: Sample, hints: Hints) -> Score:
    """What is made of a model that always says what `hints` has."""
    model = FakeModel(lambda request, draw: request.gold)

    async def send(request: Request, key: bytes, body: bytes, draw: int) -> Response:
        return await model.generate(request, draw=draw)

    asking = Asking(cell.task, sample, cell.protocol, send, hints=hints)
    answer, read_otherwise = await answers(asking, cell.task)
    return await score(cell.task, cell.metrics, sample, answer, read_otherwise)
