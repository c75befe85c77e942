"""Draws the usage of runs: tokens, and time if it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from evalkit.report.charts.canvas import Chart
from evalkit.report.charts.marks import Mark, NamedCell, Strip, headlines, held, left_out, named, rows_of
from evalkit.report.charts.strips import StripChart
from evalkit.report.layout import runs_of
from evalkit.runfile import tallies

if TYPE_CHECKING:
    from evalkit.report.table import Table
    from evalkit.runfile.store import Store

STRIPS = 40
"""The highest number of benchmarks in the chart of tokens per sample."""


def waited(stores: Sequence[Store], table: Table) -> dict[str, float]:
    """The seconds that each run waited for responses, by the name of its column in a grid."""
    return {
        run.name: sum(tallies.waited(store, cell) for store in run.stores for cell in store.cells())
        for run in runs_of(stores, table)
    }


def usage_charts(
    runs: Sequence[NamedCell], names: Sequence[str], seconds: Mapping[str, float]
) -> Iterator[Chart]:
    """Yields charts of the tokens per run, the tokens per sample, and the `seconds` per run."""
    cells = headlines(runs)
    prompt, completion = (_tokens(cells, i) for i in (0, 1))
    totals = [*_bars("Prompt tokens", prompt), *_bars("Completion tokens", completion)]
    each = list(_per_sample(cells))[:STRIPS]
    known = {name: seconds[name] for name in names if seconds.get(name, 0) > 0}
    longest = max(known.values(), default=0)
    size, unit = next((size, unit) for size, unit in TIMES if longest >= size or size == 1)
    times = list(_bars("Time", {name: value / size for name, value in known.items()}))
    together, others = _together(cells), left_out(_others(cells))
    counted = f"As counted by the endpoint, without the tokens of a judge. {together}"
    all_draws = f"Summed over all draws of a sample. {others}".rstrip()
    waiting = f"Waiting for responses, summed over all requests, also over concurrent ones. {together}"
    for strips, identifier, title, axis, caption, form in (
        (totals, "chart-tokens", "Tokens per run", "tokens", counted, _counted),
        (each, "chart-tokens-per-sample", "Completion tokens per sample", "tokens", all_draws, _counted),
        (times, "chart-time", "Time per run", unit, waiting, lambda value: _time(value * size)),
    ):
        if strips:
            drawn = StripChart(strips, names, axis, origin=0.0, form=_of_value(form))
            yield drawn.chart(identifier, title, drawn.summary, caption)


TIMES = ((3600, "hours"), (60, "minutes"), (1, "seconds"))
"""Units of time by their seconds, the longest first."""


def _of_value(form: Callable[[float], str]) -> Callable[[Mark], str]:
    return lambda mark: form(mark.value)


def _bars(words: str, values: Mapping[str, float]) -> Iterator[Strip]:
    """Yields a strip of the values that are not 0, if there are any."""
    if marks := tuple(Mark(name, value) for name, value in values.items() if value):
        yield Strip(words, "", "", "", True, marks)


def _tokens(runs: Sequence[NamedCell], index: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for run in runs:
        sums[run.name] = sums.get(run.name, 0) + run.cell.tokens[index]
    return sums


def _others(runs: Sequence[NamedCell]) -> list[NamedCell]:
    """The runs that are not comparable with the others of their row."""
    return [run for row in rows_of(runs).values() for run in held(row)[1]]


def _together(runs: Sequence[NamedCell]) -> str:
    """A sentence that says what a total includes."""
    names = {run.name for run in runs}
    alike = all({run.name for run in row} == names for row in rows_of(runs).values())
    if alike and not _others(runs):
        return "Totals over all benchmarks."
    return "Totals over all samples of a run: the runs have different samples, so totals are not comparable."


def _per_sample(runs: Sequence[NamedCell]) -> Iterator[Strip]:
    for (task, protocol, _), row in rows_of(runs).items():
        found, _ = held(row)
        samples = [sum(run.cell.outcomes.values()) + run.cell.answered for run in found]
        marks = tuple(
            Mark(run.name, run.cell.tokens[1] / n)
            for run, n in zip(found, samples, strict=True)
            if n and run.cell.tokens[1]
        )
        if marks:
            yield Strip(named(found[0].cell).rpartition(",")[0], task, protocol, "", True, marks)


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
