"""Alignments of transcripts with their references, and the words that are confused most often."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rich.cells import cell_len

from evalkit.errors import UsageError
from evalkit.metrics.error_rate import ErrorRate
from evalkit.metrics.macro import measured as inner_of
from evalkit.metrics.stored import stored_metric
from evalkit.runfile.store import Cell, Store
from evalkit.samples import JSON
from evalkit.scoring.speech import Step, alignment, confusions, normalise, normaliser_for, unit_for

Aligner: TypeAlias = Callable[[str, str, str], tuple[Step, ...]]
_GAP = "*"
"""Shown on the side that has no word, as sclite does."""
_SAID, _HEARD = "    said   ", "    heard  "
_LOOP, _LONGEST_LOOP = 4, 8
"""A loop is folded from this many repetitions on, and has at most this many words or characters."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """One clip: its normalised reference and transcript, step by step."""

    task: str
    protocol: str
    model: str
    sample: str
    group: str
    reason: str
    steps: tuple[Step, ...]

    @property
    def edited(self) -> bool:
        return any(step.op != "equal" for step in self.steps)

    def as_json(self) -> dict[str, JSON]:
        return {
            "task": self.task,
            "protocol": self.protocol,
            "model": self.model,
            "sample": self.sample,
            "group": self.group,
            "reason": self.reason,
            "steps": [list(step) for step in self.steps],
        }

    @property
    def run(self) -> str:
        """The heading above the clips of its run."""
        return f"{self.task}:{self.protocol}  {self.model}"

    def lines(self, width: int) -> Iterator[str]:
        """The sample's heading, then both texts one above the other in `width` columns, edits in brackets."""
        group = f"  {self.group}" if self.group else ""
        yield f"  sample {self.sample}{group}  {self.reason}"
        for columns in _bands([_column(step) for step in _folded(self.steps)], width - len(_SAID)):
            yield (_SAID + " ".join(reference for reference, _ in columns)).rstrip()
            yield (_HEARD + " ".join(heard for _, heard in columns)).rstrip()


def alignments(stores: Sequence[Store]) -> Iterator[Aligned]:
    """Yields the alignment of every transcribed clip of the runs, in the order of the data.

    Raises `UsageError` if no run has any.
    """
    found = False
    for store in stores:
        model = store.manifest["model"]["name"]
        for cell in store.cells():
            steps = aligner(cell)
            if steps is None or cell.role:
                continue
            found = True
            for row in store.samples(cell):
                if row["finals"] and row["target"]:
                    yield _aligned(cell, model, row, steps)
    if not found:
        raise UsageError("--alignments needs a benchmark that transcribes speech: none of these runs has one")


def most_confused(found: Sequence[Aligned], most: int = 20) -> list[tuple[str, str, int]]:
    """The `most` most frequent edits, as (said, heard, count); "" if a side has no word."""
    pairs = [
        (
            " ".join(step.reference for step in clip.steps if step.reference),
            " ".join(step.hypothesis for step in clip.steps if step.hypothesis),
        )
        for clip in found
    ]
    return confusions(pairs, most=most)


def aligner(cell: Cell) -> Aligner | None:
    """A function (language, reference, transcript) → steps; None if the cell has no error rate of speech."""
    metric = _error_rate(cell)
    return None if metric is None else functools.partial(_steps, metric)


def _steps(metric: ErrorRate, language: str, said: str, heard: str) -> tuple[Step, ...]:
    normaliser, unit = normaliser_for(language, metric.normaliser), unit_for(language, metric.units)
    return tuple(alignment(normalise(said, normaliser), normalise(heard, normaliser), unit))


def _error_rate(cell: Cell) -> ErrorRate | None:
    metrics = (inner_of(metric) for spec in cell.spec.metrics if (metric := stored_metric(spec)))
    return next((metric for metric in metrics if isinstance(metric, ErrorRate)), None)


def _aligned(cell: Cell, model: str, row: dict[str, Any], steps: Aligner) -> Aligned:
    final = row["finals"][0]
    return Aligned(
        cell.task, cell.spec.protocol.label, model, row["id"], row["group"], final["reason"],
        steps(str(row["meta"]["language"]), row["target"][0], final["value"] or ""),
    )  # fmt: skip


def text_lines(found: Sequence[Aligned], width: int) -> Iterator[str]:
    """Yields the lines of the clips that have edits. The name of each run comes once, before its clips."""
    run = ""
    for clip in found:
        if clip.edited:
            if clip.run != run:
                run = clip.run
                yield run
            yield from clip.lines(width)


def _folded(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps, with repeated insertions folded into one: `the ship … ×40` for 40 repetitions."""
    at = 0
    while at < len(steps):
        period, times = _loop(steps, at)
        if times:
            unit = " ".join(step.hypothesis for step in steps[at : at + period])
            yield Step("insert", "", f"{unit} … ×{times}")
            at += period * times
        else:
            yield steps[at]
            at += 1


def _loop(steps: Sequence[Step], at: int) -> tuple[int, int]:
    """(length, repetitions) of the loop of insertions that begins at `at`; (0, 0) if there is none."""
    for period in range(1, _LONGEST_LOOP + 1):
        unit, times = steps[at : at + period], 1
        if len(unit) < period or any(step.op != "insert" for step in unit):
            break
        while steps[at + period * times : at + period * (times + 1)] == unit:
            times += 1
        if times >= _LOOP:
            return period, times
    return 0, 0


def _bands(columns: Sequence[tuple[str, str]], width: int) -> Iterator[list[tuple[str, str]]]:
    """Splits the columns into lines of at most `width` cells; a wider column gets a line of its own."""
    band, used = list[tuple[str, str]](), 0
    for column in columns:
        wide = cell_len(column[0])
        if band and used + 1 + wide > width:
            yield band
            band, used = [], 0
        used += wide + bool(band)
        band.append(column)
    if band:
        yield band


def _column(step: Step) -> tuple[str, str]:
    """Both sides of a step, padded to one width. Edits are in brackets, which work in every script."""
    if step.op == "equal":
        return step.reference, step.hypothesis
    said, heard = (f"[{text or _GAP}]" for text in (step.reference, step.hypothesis))
    width = max(cell_len(said), cell_len(heard))
    return said + " " * (width - cell_len(said)), heard + " " * (width - cell_len(heard))
