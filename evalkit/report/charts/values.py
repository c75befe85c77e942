"""Value and 95 % interval per benchmark, and the averages of groups of benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

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

    `papers`: the tasks of each group. Only comparable figures count, and of a task asked under several
    protocols the first line in which both models have one. The ratio is inverted where lower is better.
    Raises `UsageError` for a model that is neither a run nor a printed column.
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
        "the mean over the benchmarks of a group that both have under the same protocol.",
        strips.caption,
        f"Without figures: {', '.join(left)}." if left else "",
    ]
    return chart_of(
        strips.chart(),
        identifier,
        f"Capabilities, relative to {shown(base)}",
        f"{len(lines)} of {len(lines) + len(left)} groups. {strips.summary}",
        " ".join(filter(None, words)),
    )


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


def _averaged(name: str, lines: Sequence[Line], base: str) -> Line:
    """The mean ratio of every model but `base`, in a line called after the group."""
    ratios: dict[tuple[str, bool], dict[str, float]] = {}
    for line in lines:
        mine = next((mark for mark in line.marks if mark.column == base and mark.comparable), None)
        # A ratio says nothing of a figure that is best at a value of its own, such as 0.
        for mark in line.marks if mine is not None and line.target is None else ():
            assert mine is not None
            over, under = (mark.value, mine.value) if line.higher_is_better else (mine.value, mark.value)
            if mark.column != base and mark.comparable and under > 0:
                ratios.setdefault((mark.column, mark.printed), {}).setdefault(line.task, over / under)
    marks = tuple(
        Mark(column, fmean(found.values()), printed=printed) for (column, printed), found in ratios.items()
    )
    counts = sorted({len(found) for found in ratios.values()}) or [0]
    words = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    return Line(f"{shown(name)} ({words} benchmark{'s' * (counts[-1] != 1)})", "", "", "", True, marks)
