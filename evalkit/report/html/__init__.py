"""A report as one self-contained HTML file: tables, charts, and every sample to be looked at.

Nothing is fetched: a policy in the page forbids it to the browser, and forbids every script and style but the
page's own, by their digests. Texts of models and data sets come in as data and are shown as text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.report.html.about import cards, run_cards
from evalkit.report.html.browser import make_browser
from evalkit.report.html.page import render
from evalkit.report.html.tables import grid_view, part_view, table_view
from evalkit.report.lines import runs_of
from evalkit.report.render import breakdowns

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
) -> str:
    """The page. `grids`: shown instead of the plain table, if there are any. `samples`: how many at most."""
    names = [run.name for run in runs_of(stores, table)]
    return render(
        title=table.title,
        tables=[grid_view(grid) for grid in grids] or [table_view(table)],
        charts=charts,
        parts=[part_view(part) for part in breakdowns(dataclasses.replace(table, breakdown=True))],
        browser=make_browser(stores, names, samples),
        cards=cards(stores),
        runs=run_cards(stores, names),
    )
