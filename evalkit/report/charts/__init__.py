"""Draws the charts of a report as SVG.

`charts` returns only the charts that there are figures for. A page that shows them needs `CSS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.report.charts.breakdown import breakdown_charts
from evalkit.report.charts.calibration import calibration_charts
from evalkit.report.charts.canvas import Chart
from evalkit.report.charts.courses import course_charts
from evalkit.report.charts.heat import heat_charts
from evalkit.report.charts.marks import (
    grid_strips,
    headline_strips,
    headlines,
    named_cells,
    names_of,
    table_strips,
)
from evalkit.report.charts.outcomes import outcome_charts
from evalkit.report.charts.progress import progress_charts
from evalkit.report.charts.routing import curve_charts, rule_charts
from evalkit.report.charts.style import CSS
from evalkit.report.charts.usage import Price, usage_charts, waited
from evalkit.report.charts.values import capability_charts, value_charts
from evalkit.report.paper import capability_groups

if TYPE_CHECKING:
    from evalkit.report.calibration import NamedReliability
    from evalkit.report.checkpoints import Progress
    from evalkit.report.courses import NamedCourse
    from evalkit.report.grid import Grid
    from evalkit.report.layout import Key
    from evalkit.report.table import Table

__all__ = ["CSS", "Chart", "charts", "waited"]
RULES = "figure-9"
"""The id of the printed table whose rows are decision rules."""


def charts(
    table: Table,
    grids: Sequence[Grid] = (),
    *,
    relative_to: str = "",
    papers: Sequence[str] = (),
    seconds: Mapping[str, float] | None = None,
    prices: Mapping[str, Price] | None = None,
    courses: Sequence[NamedCourse] = (),
    calibration: Sequence[NamedReliability] = (),
    progress: Sequence[Progress] = (),
) -> list[Chart]:
    """The charts of `table`, from values and progress over capabilities and breakdowns to usage.

    `grids`: the grids of the same table; their printed figures are drawn beside the runs', and their columns
    name the runs. `papers`: the names of papers whose groups of benchmarks are drawn relative to the model
    `relative_to`, a run or a printed column. By default this is Gemini Pro if it has a comparable figure,
    else the first printed column that has one, else the first run. Groups without comparable figures are not
    drawn. `seconds`: the seconds that each run waited for responses, as `waited` gives them. `prices`: the
    prices of a million prompt tokens and of a million completion tokens, by run. `courses`: those of the
    table's figures (`evalkit.report.courses`); `calibration`: likewise (`evalkit.report.calibration`);
    `progress`: likewise (`evalkit.report.checkpoints`). Raises `UsageError` if `relative_to` is neither a run
    nor a printed column.
    """
    if relative_to and not papers:
        raise UsageError(
            "charts relative to a model need a paper, because they show its groups of benchmarks"
        )
    grids = [grid for grid in grids if grid.has_runs]
    runs = named_cells(table, grids)
    names = names_of(runs, grids)
    heads = {run.cell.row for run in headlines(runs)}
    routed = [strip for grid in grids if grid.id == RULES for strip in grid_strips(grid, heads, short=True)]
    strips = list(headline_strips(grids, heads) if grids else table_strips(table))
    groups = [capability_groups(paper) for paper in papers]
    return [
        *_values(table, grids, names, heads),
        *progress_charts(progress),
        *capability_charts(strips, groups, names, relative_to),
        *rule_charts(runs, names, routed),
        *curve_charts(runs, names),
        *course_charts(courses, names),
        *calibration_charts(calibration, names),
        *heat_charts(runs),
        *breakdown_charts(runs, names),
        *outcome_charts(runs),
        *usage_charts(runs, names, seconds or {}, prices or {}),
    ]


def _values(
    table: Table, grids: Sequence[Grid], names: Sequence[str], heads: Collection[Key]
) -> Iterator[Chart]:
    if not grids:
        yield from value_charts(list(table_strips(table)), "Benchmarks", names, "chart-values")
    for number, grid in enumerate(grids, 1):
        if grid.id != RULES:
            title = grid.title if grid.id else "Benchmarks"
            yield from value_charts(list(grid_strips(grid, heads)), title, names, f"chart-values-{number}")
