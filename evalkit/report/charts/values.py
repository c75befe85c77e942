"""Value and 95 % interval per benchmark, and the averages of groups of benchmarks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeAlias

from evalkit.errors import unknown
from evalkit.report.charts.canvas import Chart
from evalkit.report.charts.marks import Mark, Strip, columns_of
from evalkit.report.charts.strips import StripChart
from evalkit.report.charts.texts import shown

STRIPS = 40
"""Benchmarks in one chart."""
BASE = "Gemini Pro"
"""What figure 3 is relative to, where nobody says otherwise."""
SAME = {"Ultra": "Gemini Ultra", "Pro": "Gemini Pro", "Nano-1": "Nano 1"}
"""Columns of the Gemini report that are one model under two names, in tables 4 to 11 and elsewhere."""


def value_charts(
    strips: Sequence[Strip], title: str, runs: Sequence[str], identifier: str
) -> Iterator[Chart]:
    """A chart a unit, and a further one after every `STRIPS` benchmarks."""
    parts = []
    for unit in dict.fromkeys(strip.unit for strip in strips):
        alike = [strip for strip in strips if strip.unit == unit]
        parts += [(unit, alike[start : start + STRIPS]) for start in range(0, len(alike), STRIPS)]
    for number, (unit, part) in enumerate(parts, 1):
        drawn = StripChart(part, runs, axis=unit)
        counts = f"{len(part)} benchmarks, {len(columns_of(part, printed=False))} runs"
        heading = f"{shown(title, 90)}: value and 95 % interval"
        heading += f" ({number} of {len(parts)})" if len(parts) > 1 else ""
        yield drawn.chart(f"{identifier}-{number}", heading, f"{counts}. {drawn.summary}", drawn.caption)


def capability_charts(
    strips: Sequence[Strip],
    papers: Sequence[Mapping[str, Sequence[str]]],
    runs: Sequence[str],
    relative_to: str,
) -> Iterator[Chart]:
    """Every model relative to one, averaged over a group's benchmarks, as the report's figure 3; one a paper.

    `papers`: the tasks of each group. Only figures that may stand side by side count, and those of all models
    of a group over the same benchmarks, with intervals. The ratio is inverted where lower is better. Raises
    `UsageError` for a model that is neither a run nor a printed column.
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
    """`left`: groups without figures."""
    drawn = StripChart(
        strips,
        runs,
        axis=f"relative to {shown(base)}",
        origin=1.0,
        yardstick=True,
        form=lambda mark: f"{mark.value:.2f}",
    )
    words = [
        f"For each benchmark, the value over that of {shown(base)}, upside down where lower is better; then",
        "the mean over the benchmarks of a group that all runs have whole and under the same protocol.",
        drawn.caption,
        "Of two runs they are rather too wide; a printed figure counts as exact.",
        f"Without figures in common: {', '.join(left)}." if left else "",
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
    """Printed models under the same name in every table."""
    marks = (replace(m, column=SAME.get(m.column, m.column)) if m.printed else m for m in strip.marks)
    return replace(strip, marks=tuple(marks))


def _base(strips: Sequence[Strip], relative_to: str) -> str:
    """The model to be relative to; "" where there is none."""
    printed, runs = columns_of(strips, printed=True), columns_of(strips, printed=False)
    if relative_to:
        if relative_to not in (*runs, *printed):
            raise unknown("model to be relative to", shown(relative_to), [*map(shown, (*runs, *printed))])
        return relative_to
    comparable = [m.column for strip in strips for m in strip.marks if m.printed and m.comparable]
    if comparable:
        return BASE if BASE in comparable else comparable[0]
    return runs[0] if len(runs) > 1 else ""


@dataclass(frozen=True, slots=True)
class Quotient:
    """Two figures' ratio. `low`, `high`: None for two printed figures, which have no samples."""

    value: float
    low: float | None
    high: float | None


_Pairs: TypeAlias = dict[tuple[str, bool], Quotient]
"""By (column, whether it is printed)."""


def _averaged(name: str, strips: Sequence[Strip], base: str) -> Strip:
    """The mean ratio of every model to `base`, in a strip called after the group.

    All means are over the same benchmarks: those in which every run of the group may stand beside `base`. Of
    a task asked under several protocols that one counts under which most runs may. Without a benchmark in
    common there is no mark.
    """
    tasks: dict[str, _Pairs] = {}
    for strip in strips:
        pairs = _pairs(strip, base)
        if strip.task not in tasks or len(_runs(pairs)) > len(_runs(tasks[strip.task])):
            tasks[strip.task] = pairs
    runs = set().union(*map(_runs, tasks.values()))
    common = [pairs for pairs in tasks.values() if runs and runs <= _runs(pairs)]
    models = dict.fromkeys(key for pairs in common for key in pairs)
    marks = tuple(
        _mean(key, [pairs[key] for pairs in common])
        for key in models
        if all(key in pairs for pairs in common)
    )
    label = f"{shown(name)} ({len(common)} benchmark{'s' * (len(common) != 1)})"
    return Strip(label, "", "", "", True, marks)


def _runs(pairs: _Pairs) -> set[str]:
    return {column for column, printed in pairs if not printed}


def _pairs(strip: Strip, base: str) -> _Pairs:
    """The ratio to `base` of every other figure of a strip that may stand beside it."""
    mine = next((mark for mark in strip.marks if mark.column == base and mark.comparable), None)
    found: _Pairs = {}
    # A ratio says nothing of a figure that is best at a value of its own, such as 0.
    for mark in strip.marks if mine is not None and strip.target is None else ():
        assert mine is not None
        if mark.column != base and mark.comparable:
            over, under = (mark, mine) if strip.higher_is_better else (mine, mark)
            if (ratio := ratio_of(over, under)) is not None:
                found.setdefault((mark.column, mark.printed), ratio)
    return found


def ratio_of(over: Mark, under: Mark) -> Quotient | None:
    """The ratio of two figures with its interval; None where there is none, or no interval of a run's.

    The interval recovers variances from the figures' own intervals on the log scale, as for independent
    estimates (MOVER; Zou and Donner 2008, Statistics in Medicine 27, 1693); two runs on the same questions
    vary together, so theirs is rather too wide. A printed figure without an interval is taken as exact.
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
        return None  # the ratio may be as large as one likes
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
