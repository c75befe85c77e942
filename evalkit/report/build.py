"""Makes the text of a report, in any format, from run files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import UsageError
from evalkit.report.calibration import reliabilities
from evalkit.report.choice import Choice, chosen, few, fitting, headlines_only
from evalkit.report.contests import contest_table
from evalkit.report.costs import costs
from evalkit.report.courses import course_tables, courses
from evalkit.report.documents import to_csv, to_json
from evalkit.report.latex import MOST_COLUMNS, to_latex
from evalkit.report.layout import headlines, runs_of
from evalkit.report.lengths import lengths
from evalkit.report.markdown import to_markdown
from evalkit.report.paper import parted
from evalkit.report.signatures import with_signatures
from evalkit.report.sources import Source
from evalkit.report.table import build_table, flat
from evalkit.report.tabulate import breakdowns, figure_list, heat_maps, side_by_side
from evalkit.report.terminal import in_one_box, to_terminal
from evalkit.samples import JSON

if TYPE_CHECKING:
    from evalkit.report.charts import Chart
    from evalkit.report.grid import Grid
    from evalkit.report.table import Table
    from evalkit.report.tabular import Tabular
    from evalkit.runfile.store import Store

MOST = 50_000
"""The default number of samples in a page."""
FORMATS = ("terminal", "markdown", "latex", "csv", "json", "html")
ENDINGS = {
    ".txt": "terminal",
    ".md": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
    ".html": "html",
}
"""File name endings, and the format that each stands for."""


@dataclass(frozen=True, slots=True)
class Page:
    """The contents of an HTML page.

    `samples`: the highest number of samples; there are fewer if they are long; 0: none. `prices`: the prices
    of a million prompt tokens and of a million completion tokens, by run; without any, costs are what the
    runs have spent. `charts`: whether to draw charts. `source`: the address at a server that has the samples;
    "" if the page has them. `home`: the address of the page that lists all runs, if there is one.
    """

    samples: int = MOST
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    charts: bool = True
    source: str = ""
    home: str = ""


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
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    sources: Sequence[Source] = (),
) -> str:
    """The report on `stores` in the format `name`, one of `FORMATS`.

    One run, or several runs of one model on different benchmarks, give a list with one line per figure.
    Runs of several models, several runs of one benchmark, and runs beside the printed figures of a `paper`
    (`gemini-1.0`, `gemini-1.0/table-2`, a file) give grids. LaTeX is always a grid; JSON has both.

    `colour`, `width`: settings of the terminal. `page`: settings of HTML. `relative_to`: the base run of a
    paper's ratios and differences; also the model, possibly a printed one, that HTML draws capabilities
    relative to. `choice`: the rows and columns that are shown. By default CSV, JSON and HTML have all, the
    others all runs, the headlines, and as many printed columns as there is room for. `sources`: as in
    `build_table`. Raises `UsageError` if `strict` forbids the report, or if there is no `relative_to`, row or
    column of this name.
    """
    if relative_to and not paper:
        raise UsageError(
            "--relative-to needs --paper: it is the base of a paper's ratios, differences and capabilities"
        )
    table = build_table(stores, strict=strict, sources=sources, title=choice.title)
    rows = {cell.row for cell in table.cells}
    several = len({cell.model for cell in table.cells}) > 1 or len(rows) < len(table.cells)
    selects = bool(choice.columns or choice.rows)
    if name == "html":
        # `relative_to` may also be a printed model, for the capabilities of a paper.
        printed = bool(paper and parted(paper)[0]) and relative_to not in (
            run.name for run in runs_of(stores, table)
        )
        run = "" if printed else relative_to
        beside = paper or selects or several
        grids = grids_of(stores, table, paper, strict=strict, relative_to=run) if beside else ()
        grids = chosen(grids, choice)
        wanted = page or Page()
        return _page(stores, table, grids, paper, wanted, relative_to, runs_first=not choice.columns)
    beside = paper or selects or name in ("latex", "json") or (several and name != "csv")
    grids = grids_of(stores, table, paper, strict=strict, relative_to=relative_to) if beside else ()
    grids = chosen(grids, choice)
    if name == "json":
        return to_json(_document(stores, table, grids, paper))
    if name == "csv":
        return to_csv([row for grid in grids for row in grid.flat()] or _flat(stores, table))
    tables = _tables(table, grids, name, choice, width)
    if breakdown:
        tables += breakdowns(table)
    tables = with_signatures(tables, whole=choice.signatures)
    if name == "latex":
        return to_latex(tables, caption=choice.caption, label=choice.label)
    if name == "markdown":
        return to_markdown(tables)
    return to_terminal(tables, width=width, colour=colour)


def _tables(
    table: Table, grids: Sequence[Grid], name: str, choice: Choice, width: int | None
) -> list[Tabular]:
    """The tables as people read them in the format `name`."""
    contests = contest_table(grids, table)
    shown = [side_by_side(grid) for grid in _readable(grids, table, choice, room(name, width))]
    shown = shown or [figure_list(table)]
    if contests and name != "latex":
        shown.insert(0 if name == "markdown" else len(shown), contests)  # a comment begins with verdicts
    return [*shown, *heat_maps(table), *course_tables(courses(table, grids))]


def _document(stores: Sequence[Store], table: Table, grids: Sequence[Grid], paper: str) -> dict[str, JSON]:
    """The report for JSON. The paper is named without the folder of the user's own."""
    name = Path(paper).name if Path(paper).is_absolute() else paper
    shown: list[JSON] = [grid.as_json() for grid in grids]
    document: dict[str, JSON] = {**table.as_json(), "grids": shown, "paper": name or None}
    if found := courses(table, grids):
        document["courses"] = [one.as_json() for one in found]
    if calibrated := reliabilities(stores, table, grids):
        document["calibration"] = [one.as_json() for one in calibrated]
    if by_length := lengths(stores, table, grids):
        document["lengths"] = [one.as_json() for one in by_length]
    if (paid := costs(stores, table, grids)).whole:
        document["costs"] = paid.as_json()
    return document


def _flat(stores: Sequence[Store], table: Table) -> list[dict[str, JSON]]:
    """One row for each figure, with the name of its column: two checkpoints may have one model's name."""
    names = {id(cell): run.name for run in runs_of(stores, table) for cell in run.cells.values()}
    return [{**flat(cell), "run": names[id(cell)]} for cell in table.cells]


def _readable(
    grids: Sequence[Grid], table: Table, choice: Choice, fits: Callable[[Grid], bool]
) -> tuple[Grid, ...]:
    """The grids as people read them: without what `choice` does not ask for and there is no room for."""
    if not choice.rows and any(grid.id for grid in grids):
        grids = headlines_only(grids, {cell.row for cell in headlines(table.cells)})
    return tuple(grids if choice.columns else (fitting(grid, fits) for grid in grids))


def room(name: str, width: int | None) -> Callable[[Grid], bool]:
    """Whether a grid fits into the format `name`: into one box of a terminal that is `width` wide."""
    if name == "terminal":
        return lambda grid: in_one_box(side_by_side(grid), width)
    return (lambda grid: len(grid.columns) <= MOST_COLUMNS) if name == "latex" else few


def render_capabilities(
    stores: Sequence[Store],
    name: str,
    groups: str,
    *,
    relative_to: str = "",
    strict: bool = False,
    colour: bool = False,
    width: int | None = None,
    page: Page | None = None,
    sources: Sequence[Source] = (),
) -> str:
    """The mean ratio of every run to the run `relative_to` over groups of benchmarks, in the format `name`.

    `groups`: a paper, a folder or a TOML file, see `load_capabilities`. Default base: the first run. The
    other arguments are those of `render_report`. Raises `UsageError`.
    """
    from evalkit.report.capabilities import capabilities_of
    from evalkit.report.capability_table import capability_chart, capability_table
    from evalkit.report.capability_table import flat as rows_of
    from evalkit.report.paper import load_capabilities

    table = build_table(stores, strict=strict, sources=sources)
    view = capabilities_of(stores, table, load_capabilities(groups), groups, relative_to)
    if name == "json":
        return to_json(view.as_json())
    if name == "csv":
        return to_csv(rows_of(view))
    drawn = capability_table(view)
    if name == "html":
        from evalkit.report.html import to_html

        wanted = page or Page()
        charts = [capability_chart(view)] if wanted.charts else []
        return to_html(stores, table, (), charts, samples=wanted.samples, first=[drawn])
    if name == "latex":
        return to_latex([drawn])
    if name == "markdown":
        return to_markdown([drawn])
    return to_terminal([drawn], width=width, colour=colour)


def run_text(table: Table, *, as_json: bool = False, colour: bool = False) -> str:
    """The text that a finished run shows: one row per figure, or JSON."""
    if as_json:
        return to_json(table.as_json())
    return to_terminal(with_signatures([figure_list(table)], whole=False), colour=colour)


def _page(
    stores: Sequence[Store],
    table: Table,
    grids: Sequence[Grid],
    paper: str,
    wanted: Page,
    relative_to: str,
    *,
    runs_first: bool,
) -> str:
    from evalkit.report.html import to_html

    drawn: list[Chart] = []
    found, calibrated = courses(table, grids), reliabilities(stores, table, grids)
    by_length, paid = lengths(stores, table, grids), costs(stores, table, grids, wanted.prices)
    if wanted.charts:
        from evalkit.report.charts import charts, waited
        from evalkit.report.checkpoints import progresses

        of_paper = parted(paper)[0] if paper else ""
        drawn = charts(
            table,
            grids,
            relative_to=relative_to if of_paper else "",
            papers=[of_paper] if of_paper else [],
            seconds=waited(stores, table),
            courses=found,
            calibration=calibrated,
            progress=progresses(stores, table, grids),
            lengths=by_length,
            costs=paid,
        )
    return to_html(
        stores,
        table,
        grids,
        drawn,
        samples=wanted.samples,
        courses=found,
        calibration=calibrated,
        lengths=by_length,
        costs=paid,
        runs_first=runs_first,
        source=wanted.source,
        home=wanted.home,
    )


def grids_of(
    stores: Sequence[Store], table: Table, paper: str, *, strict: bool = False, relative_to: str = ""
) -> tuple[Grid, ...]:
    """The grids of `table`, with the printed tables of `paper` if it is given.

    If `paper` names no table, these are the tables that a run has a figure for. `relative_to`: as in
    `build_grids`. Raises `UsageError` if there is no such table.
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
            raise UsageError(
                f"no run has a figure for a table of {paper}: to show one anyway, name it: {paper}/table-2"
            )
        return grids
    return build_grids(stores, table, tables, strict=strict, relative_to=relative_to)
