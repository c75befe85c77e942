"""Draws the value and 95 % interval per benchmark, and averages over groups of benchmarks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeAlias

from evalkit.errors import counted, unknown
from evalkit.report.charts.canvas import Chart
from evalkit.report.charts.marks import Mark, Strip, columns_of
from evalkit.report.charts.strips import StripChart
from evalkit.report.charts.texts import shown

STRIPS = 40
"""The highest number of benchmarks in a chart."""
BASE = "Gemini Pro"
"""The model that capabilities are relative to by default, as in figure 3 of the Gemini report."""
SAME = {"Ultra": "Gemini Ultra", "Pro": "Gemini Pro", "Nano-1": "Nano 1"}
"""Models that have another name in tables 4 to 11 of the Gemini report than elsewhere in it."""


def value_charts(
    strips: Sequence[Strip], title: str, runs: Sequence[str], identifier: str
) -> Iterator[Chart]:
    """Yields one chart per unit, and a further one after every `STRIPS` benchmarks."""
    parts = []
    for unit in dict.fromkeys(strip.unit for strip in strips):
        alike = [strip for strip in strips if strip.unit == unit]
        parts += [(unit, alike[start : start + STRIPS]) for start in range(0, len(alike), STRIPS)]
    for number, (unit, part) in enumerate(parts, 1):
        drawn = StripChart(part, runs, axis=unit)
        counts = ", ".join(
            (counted(len(part), "benchmark"), counted(len(columns_of(part, printed=False)), "run"))
        )
        heading = f"{shown(title, 90)}: value and 95 % interval"
        heading += f" ({number} of {len(parts)})" if len(parts) > 1 else ""
        yield drawn.chart(f"{identifier}-{number}", heading, f"{counts}. {drawn.summary}", drawn.caption)


def capability_charts(
    strips: Sequence[Strip],
    papers: Sequence[Mapping[str, Sequence[str]]],
    runs: Sequence[str],
    relative_to: str,
) -> Iterator[Chart]:
    """Yields a chart per paper: models relative to one, averaged over groups of benchmarks, as in figure 3.

    `papers`: the tasks of each group. Only comparable figures with intervals count, and all models of a group
    are averaged over the same benchmarks. The ratio is inverted if lower is better. Raises `UsageError` if
    `relative_to` is neither a run nor a printed column.
    """
    strips = [_unified(strip) for strip in strips]
    base = _base(strips, SAME.get(relative_to, relative_to))
    for number, groups in enumerate(papers if base else (), 1):
        averaged = {
            name: _averaged(name, [strip for strip in strips if strip.task in tasks], base)
            for name, tasks in groups.items()
        }
        found = {
            name: strip for name, strip in averaged.items() if any(not mark.printed for mark in strip.marks)
        }
        if found:
            left = [shown(name) for name in groups if name not in found]
            yield _capabilities(list(found.values()), left, runs, base, f"chart-capabilities-{number}")


def _capabilities(
    strips: Sequence[Strip], left: Sequence[str], runs: Sequence[str], base: str, identifier: str
) -> Chart:
    """The chart of the groups in `strips`. `left`: the names of groups without figures."""
    drawn = StripChart(
        strips,
        runs,
        axis=f"relative to {shown(base)}",
        origin=1.0,
        yardstick=True,
        form=lambda mark: f"{mark.value:.2f}",
    )
    words = [
        f"The mean over a group's benchmarks of the ratio of each value to that of {shown(base)}, inverted",
        "if lower is better. Only benchmarks count that all runs have completed under the same protocol.",
        drawn.caption,
        "Intervals between two runs are too wide rather than too narrow; printed figures count as exact.",
        f"Without common figures: {', '.join(left)}." if left else "",
    ]
    return drawn.chart(
        identifier,
        f"Capabilities, relative to {shown(base)}",
        f"{len(strips)} of {len(strips) + len(left)} groups. {replace(drawn, form=_with_ends).summary}",
        " ".join(filter(None, words)),
    )


def _with_ends(mark: Mark) -> str:
    """`1.33 (0.90 to 1.97)`."""
    if mark.low is None or mark.high is None:
        return f"{mark.value:.2f}"
    return f"{mark.value:.2f} ({mark.low:.2f} to {mark.high:.2f})"


def _unified(strip: Strip) -> Strip:
    """The strip with the same name for a printed model as in all other tables."""
    marks = (replace(m, column=SAME.get(m.column, m.column)) if m.printed else m for m in strip.marks)
    return replace(strip, marks=tuple(marks))


def _base(strips: Sequence[Strip], relative_to: str) -> str:
    """The model that the others are relative to; "" if there is none."""
    printed, runs = columns_of(strips, printed=True), columns_of(strips, printed=False)
    if relative_to:
        if relative_to not in (*runs, *printed):
            raise unknown("base model", shown(relative_to), [*map(shown, (*runs, *printed))])
        return relative_to
    comparable = [m.column for strip in strips for m in strip.marks if m.printed and m.comparable]
    if comparable:
        return BASE if BASE in comparable else comparable[0]
    return runs[0] if len(runs) > 1 else ""


@dataclass(frozen=True, slots=True)
class Quotient:
    """The ratio of two figures. `low`, `high`: None for two printed figures, which have no samples."""

    value: float
    low: float | None
    high: float | None


_Pairs: TypeAlias = dict[tuple[str, bool], Quotient]
"""Ratios by (column, whether it is printed)."""


def _averaged(name: str, strips: Sequence[Strip], base: str) -> Strip:
    """The mean ratio of every model to `base`, in a strip with the group's name.

    All means are over the same benchmarks: those in which every run of the group is comparable with `base`.
    If a task has several protocols, the one with the most comparable runs counts. Without a common benchmark
    there are no marks.
    """
    tasks: dict[str, tuple[str, _Pairs]] = {}
    for strip in strips:
        pairs = _pairs(strip, base)
        if strip.task not in tasks or len(_runs(pairs)) > len(_runs(tasks[strip.task][1])):
            tasks[strip.task] = strip.label, pairs
    runs = set().union(*(_runs(pairs) for _, pairs in tasks.values()))
    members = [(label, pairs) for label, pairs in tasks.values() if runs and runs <= _runs(pairs)]
    common = [pairs for _, pairs in members]
    models = dict.fromkeys(key for pairs in common for key in pairs)
    marks = tuple(
        _mean(key, [pairs[key] for pairs in common])
        for key in models
        if all(key in pairs for pairs in common)
    )
    label = f"{shown(name)} ({len(common)} benchmark{'s' * (len(common) != 1)})"
    return Strip(label, "", "", "", True, marks, about=", ".join(shown(one) for one, _ in members))


def _runs(pairs: _Pairs) -> set[str]:
    return {column for column, printed in pairs if not printed}


def _pairs(strip: Strip, base: str) -> _Pairs:
    """The ratio to `base` of every other figure of a strip that is comparable with it."""
    mine = next((mark for mark in strip.marks if mark.column == base and mark.comparable), None)
    found: _Pairs = {}
    # A ratio is meaningless for a figure whose best value is neither the highest nor the lowest, such as 0.
    for mark in strip.marks if mine is not None and strip.target is None else ():
        assert mine is not None
        if mark.column != base and mark.comparable:
            over, under = (mark, mine) if strip.higher_is_better else (mine, mark)
            if (ratio := ratio_of(over, under)) is not None:
                found.setdefault((mark.column, mark.printed), ratio)
    return found


def ratio_of(over: Mark, under: Mark) -> Quotient | None:
    """The ratio of two figures with its interval; None if it does not exist, or if a run has no interval.

    The interval recovers variances from the figures' own intervals on the log scale, as for independent
    estimates (MOVER; Zou and Donner 2008, Statistics in Medicine 27, 1693). Two runs on the same questions
    are correlated, so their interval is too wide rather than too narrow. A printed figure without an interval
    counts as exact.
    """
    if under.value <= 0 or over.value < 0:
        return None
    value = over.value / under.value
    if over.printed and under.printed:
        return Quotient(value, None, None)
    mine, theirs = _ends(over), _ends(under)
    if mine is None or theirs is None:
        return None
    (low, high), (least, most) = mine, theirs
    if least <= 0:
        return None  # the ratio has no upper bound
    if over.value == 0:
        return Quotient(0.0, 0.0, high / least)
    below = math.hypot(math.log(over.value / low), math.log(most / under.value)) if low > 0 else math.inf
    above = math.hypot(math.log(high / over.value), math.log(under.value / least))
    return Quotient(value, value * math.exp(-below), value * math.exp(above))


def _ends(mark: Mark) -> tuple[float, float] | None:
    if mark.low is not None and mark.high is not None:
        return min(mark.low, mark.value), max(mark.high, mark.value)
    return (mark.value, mark.value) if mark.printed else None


def _mean(key: tuple[str, bool], ratios: Sequence[Quotient]) -> Mark:
    """The mean of the ratios over benchmarks, which are independent of each other."""
    column, printed = key
    value = fmean(ratio.value for ratio in ratios)
    if any(ratio.low is None or ratio.high is None for ratio in ratios):
        return Mark(column, value, printed=printed)
    below = math.hypot(*(ratio.value - (ratio.low or 0.0) for ratio in ratios)) / len(ratios)
    above = math.hypot(*((ratio.high or 0.0) - ratio.value for ratio in ratios)) / len(ratios)
    return Mark(column, value, max(0.0, value - below), value + above, printed=printed)
