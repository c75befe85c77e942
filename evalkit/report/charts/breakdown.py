"""Draws figures by subject, language or level: sorted, with intervals, all runs of a benchmark in a chart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.errors import counted
from evalkit.metrics.base import merit
from evalkit.report.charts.canvas import WIDTH, Canvas, Chart, Scale
from evalkit.report.charts.marks import NamedCell, directed, held, left_out, named, rows_of
from evalkit.report.charts.style import Style, styles
from evalkit.report.charts.texts import several, shown
from evalkit.report.digits import figure_text
from evalkit.runfile.records import natural

if TYPE_CHECKING:
    from evalkit.runfile.cells import TableCell
    from evalkit.runfile.heat import Group

CHARTS = 8
"""The highest number of breakdowns that are drawn; the tables have all of them."""
_NUMBER = re.compile(r"\d+")
GROUPS = 120
"""The highest number of rows in a breakdown."""
LABELS, RIGHT = 170, WIDTH - 16
"""The width of the names, left of the figures, and the right end of the figures, in pixels."""
ROW, GAP = 15, 10


def breakdown_charts(runs: Sequence[NamedCell], names: Sequence[str]) -> Iterator[Chart]:
    """Yields one chart per benchmark and metric, at most `CHARTS`; the last one names those left out."""
    rows = {
        key: found
        for key, found in rows_of(run for run in runs if not run.cell.variant).items()
        if any(len(_names(run.cell)) > 1 for run in found)
    }
    left_out = [named(found[0].cell) for found in list(rows.values())[CHARTS:]]
    series = styles(names)
    for number, found in enumerate(list(rows.values())[:CHARTS], 1):
        last = f" Not drawn: {several(left_out, 5)}." if left_out and number == CHARTS else ""
        yield _chart(found, series, f"chart-breakdown-{number}", last)


def _chart(runs: Sequence[NamedCell], series: dict[str, Style], identifier: str, more: str) -> Chart:
    """The chart of the comparable runs. Its caption names the others."""
    runs, others = held(runs)
    left = f" {left_out(others)} These are left out." if others else ""
    cell = runs[0].cell
    parts = [_sorted(part, runs) for part in _parts(cell, runs)]
    count = sum(map(len, parts))
    parts = _first(parts)
    cut = f" {GROUPS} of {count} are shown." if count > GROUPS else ""
    groups = [
        run.cell.groups[name] for part in parts for name in part for run in runs if name in run.cell.groups
    ]
    ends = [x for group in groups for x in (group.value, group.low, group.high) if x is not None]
    air = 0.03 * (max(ends) - min(ends)) or 1.0
    across = Scale(min(ends) - air * (min(ends) - air >= 0), max(ends) + air, LABELS, RIGHT)
    canvas = Canvas(identifier, across)
    styled = {run.name: (run.cell, series[run.name]) for run in runs}
    for part in parts:
        for name in part:
            _row(canvas, name, list(styled.values()))
        canvas.y += GAP
    canvas.axis(cell.unit)
    canvas.legend([style for _, style in styled.values()])
    heading = f"{named(cell)}, by group"
    return canvas.chart(
        directed(heading, cell.traits.best, higher_is_better=cell.higher_is_better),
        f"{counted(count, 'group')}. {_extremes(parts, runs[0])}",
        f"Sorted by the figures of {shown(runs[0].name)}, best first. Lines are 95 % intervals."
        f"{cut}{left}{more}",
    )


def _parts(cell: TableCell, runs: Sequence[NamedCell]) -> list[list[str]]:
    """Separates tags from groups; the smaller part comes first.

    A cell has its groups first, and each of its samples is in exactly one of them.
    """
    names = list(dict.fromkeys(name for run in runs for name in _names(run.cell)))
    if cell.heat:
        return [names]
    total, mine = 0, list(cell.groups)
    for i, group in enumerate(cell.groups.values(), 1):
        total += group.n
        if total == cell.n and i < len(mine):
            tags = set(mine[i:])
            parts = [[n for n in names if n not in tags], [n for n in names if n in tags]]
            return sorted(parts, key=len)
    return [names]


def _names(cell: TableCell) -> list[str]:
    """The groups and tags, without the groups that a heat map shows."""
    keys = cell.spec.heat_map
    return [name for name in cell.groups if keys is None or keys.keys(name) is None]


def _sorted(names: Sequence[str], runs: Sequence[NamedCell]) -> list[str]:
    """The names, best first by the figures of the first run that has each; levels by their number."""
    if len({_NUMBER.sub("", name) for name in names}) == 1 and len(names) > 1:
        return sorted(names, key=natural)

    def value(name: str) -> float:
        found = next(run.cell.groups[name].value for run in runs if name in run.cell.groups)
        return -merit(found, runs[0].cell.higher_is_better, runs[0].cell.traits.best)

    return sorted(names, key=lambda name: (value(name), natural(name)))


def _first(parts: Sequence[list[str]]) -> list[list[str]]:
    room, found = GROUPS, []
    for part in parts:
        found.append(part[:room])
        room -= len(found[-1])
    return [part for part in found if part]


def _row(canvas: Canvas, name: str, cells: Sequence[tuple[TableCell, Style]]) -> None:
    height = max(ROW, 5 + 5 * len(cells))
    middle = canvas.y + height / 2
    canvas.text(LABELS - 8, middle, name, anchor="end", size=11, room=LABELS - 8)
    canvas.rule(LABELS, middle, RIGHT, middle)
    found: list[tuple[Group, Style]] = [(c.groups[name], style) for c, style in cells if name in c.groups]
    for i, (group, style) in enumerate(found):
        y = middle + 5 * (i - (len(found) - 1) / 2)
        if group.low is not None and group.high is not None:
            canvas.line(canvas.across(group.low), y, canvas.across(group.high), y, style.colour, 1.6)
        canvas.point(canvas.across(group.value), y, style, 2.7)
    canvas.y += height


def _extremes(parts: Sequence[Sequence[str]], run: NamedCell) -> str:
    names = [name for name in parts[-1] if name in run.cell.groups]
    if not names:
        return ""
    best, worst = (
        f"{shown(name)} {figure_text(group.value, group.low, group.high)}"
        for name in (names[0], names[-1])
        for group in (run.cell.groups[name],)
    )
    return f"{shown(run.name)}: from {best} to {worst}."
