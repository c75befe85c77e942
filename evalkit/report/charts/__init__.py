"""Charts of a report, where people would rather look than read: altair draws, vl-convert makes SVG of it.

`charts` gives only those that there are figures for. A page that shows them needs `STYLE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.report.charts.breakdown import breakdown_charts
from evalkit.report.charts.lines import Line, grid_lines, names_of, runs_of, table_lines
from evalkit.report.charts.outcomes import outcome_charts
from evalkit.report.charts.routing import curve_charts, rule_charts
from evalkit.report.charts.svg import STYLE, require
from evalkit.report.charts.types import Chart
from evalkit.report.charts.usage import usage_charts
from evalkit.report.charts.values import value_charts
from evalkit.report.table import Table

if TYPE_CHECKING:
    from evalkit.report.grid import Grid

__all__ = ["STYLE", "Chart", "charts"]


def charts(table: Table, grids: Sequence[Grid] = (), *, relative_to="", papers=(), seconds={}) -> list[Chart]:
    require()
    runs = runs_of(table)
    names = names_of(runs)
    lines = list(table_lines(table))
    return [
        *value_charts(lines, "Benchmarks", names, "chart-values"),
        *rule_charts(runs, names, ()),
        *curve_charts(runs, names),
        *breakdown_charts(runs, names),
        *outcome_charts(runs),
        *usage_charts(runs, names, seconds),
    ]
