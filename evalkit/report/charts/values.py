"""Value and 95 % interval per benchmark, and the averages of groups of benchmarks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeAlias

from evalkit.errors import unknown
from evalkit.report.charts.lines import Line, Mark, columns_of
from evalkit.report.charts.sheet import shown
from evalkit.report.charts.strips import Strips
from evalkit.report.charts.types import Chart, chart_of

LINES = 40
"""Benchmarks in one chart."""
BASE = "Gemini Pro"
"""What figure 3 is relative to, where nobody says otherwise."""
SAME = {"Ultra": "Gemini Ultra", "Pro": "Gemini Pro", "Nano-1": "Nano 1"}
"""Columns of the Gemini report that are one model under two names, in tables 4 to 11 and elsewhere."""


def value_charts(lines: Sequence[Line], title: str, runs: Sequence[str], identifier: str) -> Iterator[Chart]:
    """A chart a unit, and a further one after every `LINES` benchmarks."""
    parts = []
    for unit in dict.fromkeys(line.unit for line in lines):
        alike = [line for line in lines if line.unit == unit]
        parts += [(unit, alike[start : start + LINES]) for start in range(0, len(alike), LINES)]
    for number, (unit, part) in enumerate(parts, 1):
        strips = Strips(part, runs, axis=shown(unit, 30) if unit else "")
        counts = f"{len(part)} benchmarks, {len(columns_of(part, printed=False))} runs"
        heading = f"{shown(title, 90)}: value and 95 % interval"
        heading += f" ({number} of {len(parts)})" if len(parts) > 1 else ""
        yield chart_of(
            strips.chart(), f"{identifier}-{number}", heading, f"{counts}. {strips.summary}", strips.caption
        )


def capability_charts(
    lines: Sequence[Line],
    papers: Sequence[Mapping[str, Sequence[str]]],
    runs: Sequence[str],
    relative_to: str,
) -> Iterator[Chart]:
    """Every model relative to one, averaged over a group's benchmarks, as the report's figure 3; one a paper.

    `papers`: the tasks of each group. Only figures that may stand side by side count, and those of all models
    of a group over the same benchmarks, with intervals. The ratio is inverted where lower is better. Raises
    `UsageError` for a model that is neither a run nor a printed column.
    """
    lines = [_unified(line) for line in lines]
    base = _base(lines, SAME.get(relative_to, relative_to))
    for number, groups in enumerate(papers if base else (), 1):
        averaged = {
            name: _averaged(name, [line for line in lines if line.task in tasks], base)
            for name, tasks in groups.items()
        }
        found = {
            name: line for name, line in averaged.items() if any(not mark.printed for mark in line.marks)
        }
        if found:
            left = [shown(name) for name in groups if name not in found]
            yield _capabilities(list(found.values()), left, runs, base, f"chart-capabilities-{number}")


def _capabilities(
    lines: Sequence[Line], left: Sequence[str], runs: Sequence[str], base: str, identifier: str
) -> Chart:
    """`left`: groups without figures."""
    strips = Strips(
        lines,
        runs,
        axis=f"relative to {shown(base)}",
        origin=1.0,
        yardstick=True,
        form=lambda mark: f"{mark.value:.2f}",
    )
    words = [
        f"For each benchmark, the value over that of {shown(base)}, upside down where lower is better; then",
        "the mean over the benchmarks of a group that all runs have whole and under the same protocol.",
        strips.caption,
        "Of two runs they are rather too wide; a printed figure counts as exact.",
        f"Without figures in common: {', '.join(left)}." if left else "",
    ]
    return chart_of(
        strips.chart(),
        identifier,
        f"Capabilities, relative to {shown(base)}",
        f"{len(lines)} of {len(lines) + len(left)} groups. {replace(strips, form=_with_ends).summary}",
        " ".join(filter(None, words)),
    )


def _with_ends(mark: Mark) -> str:
    """`1.33 (0.90 to 1.97)`."""
    if mark.low is None or mark.high is None:
        return f"{mark.value:.2f}"
    return f"{mark.value:.2f} ({mark.low:.2f} to {mark.high:.2f})"


def _unified(line: Line) -> Line:
    """Printed models under the same name in every table."""
    marks = (replace(m, column=SAME.get(m.column, m.column)) if m.printed else m for m in line.marks)
    return replace(line, marks=tuple(marks))


def _base(lines: Sequence[Line], relative_to: str) -> str:
    """The model to be relative to; "" where there is none."""
    printed, runs = columns_of(lines, printed=True), columns_of(lines, printed=False)
    if relative_to:
        if relative_to not in (*runs, *printed):
            raise unknown("model to be relative to", shown(relative_to), [*map(shown, (*runs, *printed))])
        return relative_to
    comparable = [m.column for line in lines for m in line.marks if m.printed and m.comparable]
    if comparable:
        return BASE if BASE in comparable else comparable[0]
    return runs[0] if len(runs) > 1 else ""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Two figures' ratio. `low`, `high`: None for two printed figures, which have no samples."""

    value: float
    low: float | None
    high: float | None


_Pairs: TypeAlias = dict[tuple[str, bool], Ratio]
"""By (column, whether it is printed)."""


def _averaged(name: str, lines: Sequence[Line], base: str) -> Line:
    """The mean ratio of every model to `base`, in a line called after the group.

    All means are over the same benchmarks: those in which every run of the group may stand beside `base`. Of
    a task asked under several protocols that one counts under which most runs may. Without a benchmark in
    common there is no mark.
    """
    tasks: dict[str, _Pairs] = {}
    for line in lines:
        pairs = _pairs(line, base)
        if line.task not in tasks or len(_runs(pairs)) > len(_runs(tasks[line.task])):
            tasks[line.task] = pairs
    runs = set().union(*map(_runs, tasks.values()))
    common = [pairs for pairs in tasks.values() if runs and runs <= _runs(pairs)]
    models = dict.fromkeys(key for pairs in common for key in pairs)
    marks = tuple(
        _mean(key, [pairs[key] for pairs in common])
        for key in models
        if all(key in pairs for pairs in common)
    )
    label = f"{shown(name)} ({len(common)} benchmark{'s' * (len(common) != 1)})"
    return Line(label, "", "", "", True, marks)


def _runs(pairs: _Pairs) -> set[str]:
    return {column for column, printed in pairs if not printed}


def _pairs(line: Line, base: str) -> _Pairs:
    """The ratio to `base` of every other figure of a line that may stand beside it."""
    mine = next((mark for mark in line.marks if mark.column == base and mark.comparable), None)
    found: _Pairs = {}
    # A ratio says nothing of a figure that is best at a value of its own, such as 0.
    for mark in line.marks if mine is not None and line.target is None else ():
        assert mine is not None
        if mark.column != base and mark.comparable:
            over, under = (mark, mine) if line.higher_is_better else (mine, mark)
            if (ratio := ratio_of(over, under)) is not None:
                found.setdefault((mark.column, mark.printed), ratio)
    return found


def ratio_of(over: Mark, under: Mark) -> Ratio | None:
    """The ratio of two figures with its interval; None where there is none, or no interval of a run's.

    The interval recovers variances from the figures' own intervals on the log scale, as for independent
    estimates (MOVER; Zou and Donner 2008, Statistics in Medicine 27, 1693); two runs on the same questions
    vary together, so theirs is rather too wide. A printed figure without an interval is taken as exact.
    """
    if under.value <= 0 or over.value < 0:
        return None
    value = over.value / under.value
    if over.printed and under.printed:
        return Ratio(value, None, None)
    mine, theirs = _ends(over), _ends(under)
    if mine is None or theirs is None:
        return None
    (low, high), (least, most) = mine, theirs
    if least <= 0:
        return None  # the ratio may be as large as one likes
    if over.value == 0:
        return Ratio(0.0, 0.0, high / least)
    below = math.hypot(math.log(over.value / low), math.log(most / under.value)) if low > 0 else math.inf
    above = math.hypot(math.log(high / over.value), math.log(under.value / least))
    return Ratio(value, value * math.exp(-below), value * math.exp(above))


def _ends(mark: Mark) -> tuple[float, float] | None:
    if mark.low is not None and mark.high is not None:
        return min(mark.low, mark.value), max(mark.high, mark.value)
    return (mark.value, mark.value) if mark.printed else None


def _mean(key: tuple[str, bool], ratios: Sequence[Ratio]) -> Mark:
    """The mean of the ratios over benchmarks, which are independent of each other."""
    column, printed = key
    value = fmean(ratio.value for ratio in ratios)
    if any(ratio.low is None or ratio.high is None for ratio in ratios):
        return Mark(column, value, printed=printed)
    below = math.hypot(*(ratio.value - (ratio.low or 0.0) for ratio in ratios)) / len(ratios)
    above = math.hypot(*((ratio.high or 0.0) - ratio.value for ratio in ratios)) / len(ratios)
    return Mark(column, value, max(0.0, value - below), value + above, printed=printed)
