"""The gold self-test: with references as responses a task scores full marks, with spoiled ones none.

It drives the task's own extraction, judge and metric, as the engine does; only the model is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evalkit.data.base import DataOptions
from evalkit.engine.plan import CellPlan, make_plan
from evalkit.engine.score import score
from evalkit.models.base import Response
from evalkit.models.fake import FakeModel
from evalkit.samples import Prompt, Sample

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
        yield asyncio.run(_check(cell))


async def _check(cell: CellPlan) -> CheckResult:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(sample: Sample, response: str) -> tuple[bool, tuple[float, ...]]:
        async with slots:
            return await _respond(cell, sample, response)

    problems: list[str] = []
    gold: list[tuple[float, ...]] = []
    spoiled: list[list[tuple[float, ...]]] = []
    for _, sample in cell.samples():
        wrong = list(cell.task.spoiled(sample, cell.protocol))
        results = await asyncio.gather(
            one(sample, cell.task.gold(sample, cell.protocol)), *(one(sample, text) for text in wrong)
        )
        (gold_right, gold_row), *others = results
        gold.append(gold_row)
        spoiled.append([row for _, row in others])
        if not gold_right:
            problems.append(f"{sample.id}: the reference is judged wrong")
        problems += [
            f"{sample.id}: judged right although spoiled: {text[:60]!r}"
            for text, (right, _) in zip(wrong, others, strict=True)
            if right
        ]
    metric = cell.metrics[0]
    width = len(metric.columns)
    gold_figure = float(metric.finish(np.array(gold)[:, :width].sum(axis=0)))
    columns = [np.array(column)[:, :width].sum(axis=0) for column in zip(*spoiled, strict=True)]
    spoiled_figure = max((float(metric.finish(total)) for total in columns), default=0.0)
    return CheckResult(
        cell.task.name, cell.protocol.name, len(gold), gold_figure, spoiled_figure, tuple(problems)
    )


async def _respond(cell: CellPlan, sample: Sample, response: str) -> tuple[bool, tuple[float, ...]]:
    """(whether it is judged right, statistics) when a model always says `response`."""

    async def ask(prompt: Prompt, *, draw: int = 0) -> Response:
        return Response(response)

    prompt = cell.task.prompt(sample, cell.protocol)
    answer = await cell.protocol.solver(sample, prompt, ask, cell.task.extract(cell.protocol), cell.protocol)
    found = await score(cell.task, cell.metrics, sample, answer)
    return any(found.scored.correct), found.statistics
