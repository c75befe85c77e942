"""Value and 95 % interval per benchmark, and the averages of groups of benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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


def capability_chart(
    lines: Sequence[Line],
    groups: Mapping[str, Sequence[tuple[str, str]]],
    runs: Sequence[str],
    relative_to: str,
) -> Chart | None:
    """Every model relative to one, averaged over each group's benchmarks, as the report's figure 3.

    `groups`: (task, protocol) of the benchmarks of each; a protocol "" stands for any. Only comparable
    figures count. The ratio is inverted where lower is better. Raises `UsageError` for a model that is
    neither a run nor a printed column.
    """
    base = _base(lines, relative_to)
    if not base:
        return None
    found = [
        averaged
        for name, members in groups.items()
        if (averaged := _averaged(name, [line for line in lines if _member(line, members)], base)).marks
    ]
    if not any(not mark.printed for line in found for mark in line.marks):
        return None
    strips = Strips(
        found,
        runs,
        axis=f"relative to {shown(base)}",
        origin=1.0,
        yardstick=True,
        form=lambda m: f"{m.value:.2f}",
    )
    return chart_of(
        strips.chart(),
        "chart-capabilities",
        f"Capabilities, relative to {shown(base)}",
        f"{len(found)} of {len(groups)} groups. {strips.summary}",
        f"For each benchmark, the value over that of {shown(base)}, upside down where lower is better; then the "
        f"mean over the benchmarks of a group that both have under the same protocol. {strips.caption}".strip(),
    )


def _base(lines: Sequence[Line], relative_to: str) -> str:
    printed, runs = columns_of(lines, printed=True), columns_of(lines, printed=False)
    if relative_to:
        if relative_to not in (*runs, *printed):
            raise unknown("model to be relative to", relative_to, (*runs, *printed))
        return relative_to
    comparable = [m.column for line in lines for m in line.marks if m.printed and m.comparable]
    if comparable:
        return BASE if BASE in comparable else comparable[0]
    return runs[0] if len(runs) > 1 else ""


def _member(line: Line, members: Sequence[tuple[str, str]]) -> bool:
    return any(line.task == task and protocol in ("", line.protocol) for task, protocol in members)


def _averaged(name: str, lines: Sequence[Line], base: str) -> Line:
    """The mean ratio of every model but `base`, in a line called after the group."""
    ratios: dict[tuple[str, bool], list[float]] = {}
    for line in lines:
        mine = next((m for m in line.marks if m.column == base and m.comparable), None)
        for mark in line.marks if mine is not None else ():
            over, under = (mark.value, mine.value) if line.higher_is_better else (mine.value, mark.value)
            if mark.column != base and mark.comparable and under > 0:
                ratios.setdefault((mark.column, mark.printed), []).append(over / under)
    marks = tuple(Mark(column, fmean(found), printed=printed) for (column, printed), found in ratios.items())
    counts = sorted({len(found) for found in ratios.values()})
    benchmarks = f"{counts[-1]} benchmark{'s' * (counts[-1] > 1)}" if counts else ""
    return Line(f"{name} ({benchmarks})", "", "", "", True, marks)
