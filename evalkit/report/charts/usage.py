"""What runs took: tokens, and time where it is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evalkit.report.charts.lines import Line, Mark, Run, headlines, named, rows_of
from evalkit.report.charts.strips import Strips
from evalkit.report.charts.types import Chart, chart_of

LINES = 40
"""Benchmarks in the chart of tokens a sample."""


def usage_charts(runs: Sequence[Run], names: Sequence[str], seconds: Mapping[str, float]) -> Iterator[Chart]:
    """Tokens per run, per sample of each benchmark, and `seconds` by run."""
    cells = headlines(runs)
    totals = [_totals(words, i, cells) for i, words in enumerate(("Prompt tokens", "Completion tokens"))]
    if lines := [line for line in totals if line.marks]:
        strips = Strips(lines, names, axis="tokens", origin=0.0, form=lambda mark: _counted(mark.value))
        yield chart_of(
            strips.chart(),
            "chart-tokens",
            "Tokens per run",
            strips.summary,
            "As the endpoint counted them, all benchmarks together, without a judge's.",
        )
    if lines := list(_per_sample(cells))[:LINES]:
        strips = Strips(lines, names, axis="tokens", origin=0.0, form=lambda mark: _counted(mark.value))
        yield chart_of(
            strips.chart(),
            "chart-tokens-per-sample",
            "Completion tokens per sample",
            strips.summary,
            "All draws of a sample together.",
        )
    if marks := tuple(Mark(name, seconds[name]) for name in names if seconds.get(name, 0) > 0):
        strips = Strips(
            [Line("Time", "", "", "", True, marks)],
            names,
            axis="seconds",
            origin=0.0,
            form=lambda m: _time(m.value),
        )
        yield chart_of(
            strips.chart(),
            "chart-time",
            "Time per run",
            strips.summary,
            "Waiting for answers, summed over requests: those asked side by side count each.",
        )


def _totals(words: str, index: int, runs: Sequence[Run]) -> Line:
    sums: dict[str, int] = {}
    for run in runs:
        sums[run.name] = sums.get(run.name, 0) + run.cell.tokens[index]
    return Line(words, "", "", "", True, tuple(Mark(name, float(n)) for name, n in sums.items() if n))


def _per_sample(runs: Sequence[Run]) -> Iterator[Line]:
    for (task, protocol, _), found in rows_of(runs).items():
        samples = [sum(run.cell.outcomes.values()) + run.cell.answered for run in found]
        marks = tuple(
            Mark(run.name, run.cell.tokens[1] / n)
            for run, n in zip(found, samples, strict=True)
            if n and run.cell.tokens[1]
        )
        if marks:
            yield Line(named(found[0].cell).rpartition(",")[0], task, protocol, "", True, marks)


def _counted(value: float) -> str:
    """`1.24 M`, `12.4 k`, `124`, `1.2`."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}" if value < 999.5 * size else f"{value / size:,.0f}{letter}"
    return f"{value:.3g}"


def _time(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:.3g} s"
