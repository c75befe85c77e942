"""Figures by subject, language or level: sorted, with intervals, all runs of a benchmark in one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.metrics.base import merit
from evalkit.report.charts.lines import Run, held, left_out, named, rows_of, several
from evalkit.report.charts.sheet import Look, Sheet, distinct, looks, shown
from evalkit.report.charts.svg import LIGHT
from evalkit.report.charts.types import Chart, chart_of
from evalkit.report.digits import figure_text
from evalkit.runfile.records import natural

if TYPE_CHECKING:
    from evalkit.runfile.cells import Group, TableCell

CHARTS = 8
"""Breakdowns drawn; the tables have all of them."""
GROUPS = 120
"""Rows of one breakdown."""
WIDTH, LABELS = 206, 160
"""Pixels for the figures, and for the names left of them."""
ROW, GAP = 15, 10


def breakdown_charts(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Chart]:
    """A chart a benchmark and metric, `CHARTS` at most; the last one says what is left out."""
    rows = {
        key: found
        for key, found in rows_of(run for run in runs if not run.cell.variant).items()
        if any(len(run.cell.groups) > 1 for run in found)
    }
    left_out = [named(found[0].cell) for found in list(rows.values())[CHARTS:]]
    series = dict(zip(names, looks(distinct(names)), strict=True))
    for number, found in enumerate(list(rows.values())[:CHARTS], 1):
        last = f" No picture: {several(left_out, 5)}." if left_out and number == CHARTS else ""
        yield _chart(found, series, f"chart-breakdown-{number}", last)


def _chart(runs: Sequence[Run], series: dict[str, Look], identifier: str, more: str) -> Chart:
    """The runs that may stand side by side; the others are named as left out."""
    runs, others = held(runs)
    left = f" {left_out(others)} They are left out." if others else ""
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
    sheet = Sheet(
        min(ends) - air * (min(ends) - air >= 0),
        max(ends) + air,
        shown(cell.unit, 30),
        width=WIDTH,
        left=LABELS,
        y=2,
    )
    looked = {run.name: (run.cell, series[run.name]) for run in runs}
    for part in parts:
        for name in part:
            _row(sheet, name, list(looked.values()))
        sheet.y += GAP
    used = [look for _, look in looked.values()]
    target = cell.traits.best
    order = "" if cell.higher_is_better else " (lower is better)"
    order = order if target is None else f" (best at {target:g})"
    return chart_of(
        sheet.chart(used),
        identifier,
        f"{named(cell)}, by group{order}",
        f"{count} groups. {_extremes(parts, runs[0])}",
        f"Sorted by the figures of {shown(runs[0].name)}, best first. Lines are 95 % intervals."
        f"{cut}{left}{more}",
    )


def _parts(cell: TableCell, runs: Sequence[Run]) -> list[list[str]]:
    """Tags and groups apart, the fewer first. A cell has its groups first; these hold every sample once."""
    names = list(dict.fromkeys(name for run in runs for name in run.cell.groups))
    total, mine = 0, list(cell.groups)
    for i, group in enumerate(cell.groups.values(), 1):
        total += group.n
        if total == cell.n and i < len(mine):
            tags = set(mine[i:])
            parts = [[n for n in names if n not in tags], [n for n in names if n in tags]]
            return sorted(parts, key=len)
    return [names]


def _sorted(names: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """Best first by the first run that has each."""

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


def _row(sheet: Sheet, name: str, cells: Sequence[tuple[TableCell, Look]]) -> None:
    height = max(ROW, 5 + 5 * len(cells))
    middle = sheet.y + height / 2
    sheet.text(sheet.low, middle, shown(name, 24), align="right", dx=-8, limit=LABELS - 8, size=11)
    sheet.rule(sheet.low, sheet.high, middle, LIGHT["line"], width=0.7)
    found: list[tuple[Group, Look]] = [(c.groups[name], look) for c, look in cells if name in c.groups]
    for i, (group, look) in enumerate(found):
        y = middle + 5 * (i - (len(found) - 1) / 2)
        if group.low is not None and group.high is not None:
            sheet.rule(group.low, group.high, y, look.colour, width=1.6)
        sheet.point(group.value, y, look, small=True)
    sheet.y += height


def _extremes(parts: Sequence[Sequence[str]], run: Run) -> str:
    names = [name for name in parts[-1] if name in run.cell.groups]
    if not names:
        return ""
    best, worst = (
        f"{shown(name)} {figure_text(group.value, group.low, group.high)}"
        for name in (names[0], names[-1])
        for group in (run.cell.groups[name],)
    )
    return f"{shown(run.name)}: from {best} to {worst}."
