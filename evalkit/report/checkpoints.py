"""Which runs are checkpoints of one model, by their names, and their figures over the steps.

A run is a checkpoint if its name says so: a number beside a word of training (`step-1000`, `ckpt_2000`,
`checkpoint-500`, `epoch 3`; tokens in billions, as in `300B tokens`), or, in a name that was given to its
column (`RUN=NAME`), a number in thousands at the end (`300k`, `Acme 8B, 300k`). Any other number may be the
size of a model, its version, a seed or a context length, and is never taken for a step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.report.charts.marks import NamedCell, headlines, held, named_cells, rows_of
from evalkit.report.charts.progress import Point, lines
from evalkit.report.layout import runs_of

if TYPE_CHECKING:
    from evalkit.report.grid import Grid
    from evalkit.report.table import Table
    from evalkit.runfile.cells import TableCell
    from evalkit.runfile.store import Store

_WORDS = {
    "step": "training step",
    "ckpt": "checkpoint",
    "checkpoint": "checkpoint",
    "iter": "iteration",
    "iteration": "iteration",
    "update": "update",
    "epoch": "epoch",
    "token": "training tokens",
}
"""The words of training, without an s at their end, and what the axis then says."""
_SIZES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_LEAST_TOKENS = 1e9
"""Fewer tokens are those of a context or a response, not of a training."""
_NUMBER = r"(?P<number>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?) ?(?P<size>[kmbt]?)"
_WORD = rf"(?P<word>{'|'.join(_WORDS)})s?"
_STEPS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![a-z]){_WORD}[-_ :#]?{_NUMBER}(?![a-z\d])",
        rf"(?<![a-z\d.]){_NUMBER}[-_ ]?{_WORD}(?![a-z]|[-_ :#]?\d)",
    )
)
"""A word before its number, or behind it."""
_THOUSANDS = re.compile(r"(?<![a-z\d.])(?P<number>\d+(?:\.\d+)?) ?(?P<size>k)$", re.IGNORECASE)
_ENDS = " ,;:-_/@()[]"
"""Signs that are left at the ends of a model's name if the step is taken out of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """A checkpoint: its `number`, what that counts, as the axis says it, and its model's name."""

    number: float
    counts: str
    model: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The figures of one benchmark by checkpoint. `cell`: one of them. `counts`: what the steps count.

    `others`: runs of the benchmark that are no such checkpoints.
    """

    cell: TableCell
    counts: str
    points: tuple[Point, ...]
    others: tuple[str, ...]


def step_of(name: str, *, given: bool = False) -> Step | None:
    """The checkpoint that a name means; None if it means none. `given`: whether a user gave the name."""
    found = (match for pattern in _STEPS for match in pattern.finditer(name))
    phrases = sorted(filter(_trained, found), key=lambda match: match.start())
    if phrases:
        model = name
        for match in reversed(phrases):
            model = model[: match.start()] + model[match.end() :]
        return Step(_number(phrases[0]), _WORDS[phrases[0]["word"].lower()], model.strip(_ENDS))
    last = _THOUSANDS.search(name) if given else None
    if last is None:
        return None
    return Step(_number(last), "number in the name of the run", name[: last.start()].strip(_ENDS))


def _trained(match: re.Match[str]) -> bool:
    """Whether a phrase is about a training."""
    return match["word"].lower() != "token" or _number(match) >= _LEAST_TOKENS


def _number(match: re.Match[str]) -> float:
    return float(match["number"].replace(",", "")) * _SIZES[match["size"].lower()]


def progresses(stores: Sequence[Store], table: Table, grids: Sequence[Grid] = ()) -> tuple[Progress, ...]:
    """The headline figures of the table's checkpoints, of each benchmark that two or more of a model have.

    Runs that are not checkpoints are in none. Steps of different kinds are never on one axis: the first kind
    of a benchmark is taken.
    """
    columns = zip(runs_of(stores, table), table.sources, strict=True)
    given = {column.name for column, source in columns if source.name}
    found = []
    for row in rows_of(headlines(named_cells(table, grids))).values():
        steps = [(run, step) for run in row if (step := step_of(run.name, given=run.name in given))]
        alike = [(run, step) for run, step in steps if step.counts == steps[0][1].counts]
        points = tuple(_points(alike))
        if any(len({one.x for one in line}) > 1 for line in lines(points)):
            drawn = {point.label for point in points}
            others = tuple(run.name for run in row if run.name not in drawn)
            found.append(Progress(alike[0][0].cell, alike[0][1].counts, points, others))
    return tuple(found)


def _points(steps: Sequence[tuple[NamedCell, Step]]) -> Iterator[Point]:
    together, _ = held([run for run, _ in steps])
    for run, step in steps:
        cell = run.cell
        if cell.value is not None:
            signature = "" if run in together else cell.signature.short
            yield Point(run.name, step.number, cell.value, cell.low, cell.high, step.model, signature)
