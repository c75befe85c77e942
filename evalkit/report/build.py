"""From run files to a report's text in any format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.report.documents import to_csv, to_json
from evalkit.report.layout import runs_of
from evalkit.report.markdown import to_markdown
from evalkit.report.paper import parted
from evalkit.report.table import build_table, flat
from evalkit.report.tabulate import breakdowns, figure_list, side_by_side
from evalkit.report.terminal import to_terminal

if TYPE_CHECKING:
    from evalkit.report.charts import Chart
    from evalkit.report.grid import Grid
    from evalkit.report.table import Table
    from evalkit.runfile.store import Store

MOST = 50_000
"""Samples in a page, where nothing else is said."""
FORMATS = ("terminal", "markdown", "latex", "csv", "json", "html")
ENDINGS = {
    ".txt": "terminal",
    ".md": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
    ".html": "html",
}
"""Of files, and the formats that they have."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is in an HTML page. `samples`: how many at most, fewer where they are long; 0: none.

    `prices`: of a million prompt and completion tokens, by run. `charts`: whether there are any.
    """

    samples: int = MOST
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    charts: bool = True


def render_report(
    stores: Sequence[Store],
    name: str,
    *,
    paper: str = "",
    strict: bool = False,
    breakdown: bool = False,
    colour: bool = False,
    width: int | None = None,
    page: Page | None = None,
    relative_to: str = "",
) -> str:
    """The report on `stores` in the format `name`, one of `FORMATS`.

    A run comes as a long list, a line a figure, and so do several of one model on different benchmarks;
    runs that answer the same, those of several models, and those beside a `paper`'s printed figures
    (`gemini-1.0`, `gemini-1.0/table-2`, a file) as grids. LaTeX always is one, and JSON has both.
    `colour`, `width`: of the terminal. `page`: of HTML. `relative_to`: the run that a paper's ratios and
    differences are to, and the model, which may be a printed one, that HTML draws capabilities relative to.
    Raises `UsageError` for what `strict` forbids, and for a `relative_to` that is nowhere.
    """
    if relative_to and not paper:
        raise UsageError(
            "--relative-to goes with --paper, whose ratios, differences and capabilities it is of"
        )
    table = build_table(stores, strict=strict)
    rows = {cell.row for cell in table.cells}
    several = len({cell.model for cell in table.cells}) > 1 or len(rows) < len(table.cells)
    if name == "html":
        # A printed model may be named too, for the capabilities of a paper that has such.
        printed = bool(paper and parted(paper)[0]) and relative_to not in (
            run.name for run in runs_of(stores, table)
        )
        run = "" if printed else relative_to
        grids = grids_of(stores, table, paper, strict=strict, relative_to=run) if paper or several else ()
        return _page(stores, table, grids, paper, page or Page(), relative_to)
    beside = paper or name in ("latex", "json") or (several and name != "csv")
    grids = grids_of(stores, table, paper, strict=strict, relative_to=relative_to) if beside else ()
    if name == "json":
        document = {**table.as_json(), "grids": [grid.as_json() for grid in grids], "paper": paper or None}
        return to_json(document)
    if name == "csv":
        return to_csv([row for grid in grids for row in grid.flat()] or map(flat, table.cells))
    tables = [*map(side_by_side, grids)] or [figure_list(table)]
    if breakdown:
        tables += breakdowns(table)
    if name == "latex":
        from evalkit.report.latex import to_latex

        return to_latex(tables)
    if name == "markdown":
        return to_markdown(tables)
    return to_terminal(tables, width=width, colour=colour)


def run_text(table: Table, *, as_json: bool = False, colour: bool = False) -> str:
    """What a run that has come to its end shows: a row a figure, or JSON."""
    return to_json(table.as_json()) if as_json else to_terminal([figure_list(table)], colour=colour)


def _page(
    stores: Sequence[Store], table: Table, grids: Sequence[Grid], paper: str, wanted: Page, relative_to: str
) -> str:
    from evalkit.report.html import to_html

    drawn: list[Chart] = []
    if wanted.charts:
        from evalkit.report.charts import charts, waited

        of_paper = parted(paper)[0] if paper else ""
        drawn = charts(
            table,
            grids,
            relative_to=relative_to if of_paper else "",
            papers=[of_paper] if of_paper else [],
            seconds=waited(stores, table),
            prices=wanted.prices,
        )
    return to_html(stores, table, grids, drawn, samples=wanted.samples)


def grids_of(
    stores: Sequence[Store], table: Table, paper: str, *, strict: bool = False, relative_to: str = ""
) -> tuple[Grid, ...]:
    """The grids of `table`, with a `paper`'s printed tables if one is named.

    Of a paper without a table's name, those tables that a run has a figure for. `relative_to`: as of
    `build_grids`. Raises `UsageError` where there is none.
    """
    from evalkit.report.grids import build_grids

    if not paper:
        return build_grids(stores, table, strict=strict)
    from evalkit.report.paper import load_tables

    tables = load_tables(paper)
    if len(tables) > 1:
        tasks = {cell.task for cell in table.cells}
        tables = tuple(printed for printed in tables if tasks & {row.task for row in printed.rows})
        grids = build_grids(stores, table, tables, strict=strict, relative_to=relative_to)
        grids = tuple(grid for grid in grids if grid.has_runs)
        if not any(grid.id for grid in grids):
            raise UsageError(f"no run has a figure for a table of {paper}: name one, as in {paper}/table-2")
        return grids
    return build_grids(stores, table, tables, strict=strict, relative_to=relative_to)
