"""Writes a report as one self-contained HTML file with tables, charts and the samples.

The page loads nothing: its content security policy forbids it, and allows only the page's own scripts and
styles, by their digests. Texts of models and data sets are data, and are shown as plain text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.report.calibration import NamedReliability, calibration_tables
from evalkit.report.contests import contest_table
from evalkit.report.courses import NamedCourse, course_tables
from evalkit.report.html.about import cards, run_cards
from evalkit.report.html.browser import make_browser
from evalkit.report.html.page import render
from evalkit.report.layout import file_names, runs_of
from evalkit.report.tabular import Tabular, cleaned
from evalkit.report.tabulate import breakdowns, figure_list, heat_maps, side_by_side

if TYPE_CHECKING:
    from evalkit.report.charts import Chart
    from evalkit.report.grid import Grid
    from evalkit.report.table import Table
    from evalkit.runfile.store import Store


def to_html(
    stores: Sequence[Store],
    table: Table,
    grids: Sequence[Grid] = (),
    charts: Sequence[Chart] = (),
    *,
    samples: int,
    courses: Sequence[NamedCourse] = (),
    calibration: Sequence[NamedReliability] = (),
    first: Sequence[Tabular] = (),
    runs_first: bool = True,
    source: str = "",
    home: str = "",
) -> str:
    """The page. `grids`: shown instead of the plain table, if any. `samples`: the most samples to include.

    `courses`, `calibration`: those of the table's figures, which are among the breakdowns. `first`: tables
    above the others. `runs_first`: whether runs are left of printed columns, because a phone shows the first
    columns. `source`: the address at a server that has the samples (`Browser.source`). `home`: the address
    of the page that lists all runs, if there is one.
    """
    of_figures = (*course_tables(courses), *calibration_tables(calibration))
    names = file_names(runs_of(stores, table))
    contests = contest_table(grids, table)
    return render(
        title=table.title,
        tables=[
            *map(cleaned, first),
            *([_headed(side_by_side(grid), runs_first) for grid in grids] or [cleaned(figure_list(table))]),
            *([cleaned(contests)] if contests else []),
        ],
        charts=charts,
        parts=list(map(cleaned, (*of_figures, *heat_maps(table), *breakdowns(table)))),
        browser=make_browser(stores, names, samples, source),
        cards=cards(stores),
        runs=run_cards(stores, names),
        home=home,
    )


def _headed(table: Tabular, runs_first: bool) -> Tabular:
    """The table with a heading above its labels, and, if wanted, with runs before printed models."""
    label, *others = table.columns
    order = sorted(range(len(others)), key=lambda i: runs_first and others[i].kind == "printed")
    headed = dataclasses.replace(table, columns=(dataclasses.replace(label, text="benchmark"), *others))
    return cleaned(headed.with_columns([0, *(i + 1 for i in order)]))
