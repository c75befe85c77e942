"""What the page's list knows of a sample: the columns by which it is filtered and sorted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.runfile.records import AGAIN, told_outcomes
from evalkit.runfile.sample_records import SampleRecord

_QUESTION, _VALUE, _ERROR = 96, 40, 120
"""The number of characters that the list has of a question, of an answer and of an error."""


@dataclass(frozen=True, slots=True)
class SampleFigure:
    """A sample's figure by a headline metric that is not just right or wrong; empty if it was not scored.

    `merit`: greater is better. `score`: the figure itself.
    """

    text: str = ""
    score: float | None = None
    merit: float | None = None


SampleFigures = Mapping[int, SampleFigure]
"""The figures of samples by position."""


@dataclass(frozen=True, slots=True)
class RunEntry:
    """A sample in one run; empty if the run does not have it. `value`: the beginning of its answer.

    `tokens`: the completion tokens of its responses; None if the endpoint did not count them. `seconds`: how
    long these took. `error`: where and why it failed.
    """

    outcome: str = ""
    value: str = ""
    figure: SampleFigure = SampleFigure()
    tokens: int | None = None
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A sample in the list. `part`: the number of its benchmark. `runs`: by run.

    `disputed`: whether the extractors or judges of a run disagree about it.
    """

    part: int
    id: str
    groups: tuple[str, ...]
    question: str
    disputed: bool
    runs: tuple[RunEntry, ...]


def list_entry(
    part: int, name: str, samples: Sequence[SampleRecord | None], figures: Sequence[SampleFigure | None]
) -> ListEntry:
    """The entry of one sample. `figures`: None for a run whose answers are right or wrong."""
    first = next(sample for sample in samples if sample is not None)
    return ListEntry(
        part=part,
        id=name,
        groups=tuple(group for group in (first.group, *first.tags) if group),
        question=_short(first.input, _QUESTION),
        disputed=any(_disputed(sample) for sample in samples if sample),
        runs=tuple(
            _run_entry(sample, figure) if sample else RunEntry()
            for sample, figure in zip(samples, figures, strict=True)
        ),
    )


def told(sample: SampleRecord, figure: SampleFigure | None) -> str:
    """The sample's outcome as the page shows it."""
    return next(iter(told_outcomes({sample.outcome: 1}, right_or_wrong=figure is None)))


def _run_entry(sample: SampleRecord, figure: SampleFigure | None) -> RunEntry:
    outcome = told(sample, figure)
    if figure is None:
        right = None if outcome == "failed" else float(outcome == "correct")
        figure = SampleFigure("", right, right)
    responses = [
        draw.response
        for request in sample.requests
        if not request.judge and not request.tool
        for draw in request.draws
        if draw.draw != AGAIN
    ]
    counted = [response.completion_tokens for response in responses]
    known = [count for count in counted if count is not None]
    return RunEntry(
        outcome=outcome,
        value=_value(sample),
        figure=figure,
        tokens=sum(known) if known else None,
        seconds=round(sum(response.seconds for response in responses), 3) if responses else None,
        error=_short(f"{sample.boundary}: {sample.error}", _ERROR) if sample.error else "",
    )


def _disputed(sample: SampleRecord) -> bool:
    answer = sample.answer
    readings = [answer.get("finals", []), *answer.get("variants", {}).values()]
    return len({tuple(final["correct"] for final in finals) for finals in readings}) > 1


def _value(sample: SampleRecord) -> str:
    """The beginning of the answer; "" if there is none."""
    values = [final["value"] for final in sample.answer.get("finals", []) if final["value"] is not None]
    return _short(values[0], _VALUE) if values else ""


def _short(text: str, most: int) -> str:
    return " ".join(text[: 4 * most].split())[:most]
