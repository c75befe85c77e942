"""A run's table, or grids, in a format, as `evalkit.report.build.report` would draw them."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.report import documents, latex, markdown, terminal
from evalkit.report.grid import Grid
from evalkit.report.table import Table, flat
from evalkit.report.tabular import Tabular
from evalkit.report.tabulate import figure_list, side_by_side


def tabulars(found: Table | Sequence[Grid]) -> list[Tabular]:
    return [figure_list(found)] if isinstance(found, Table) else list(map(side_by_side, found))


def to_terminal(found: Table | Sequence[Grid], *, width: int) -> str:
    return terminal.to_terminal(tabulars(found), width=width)


def to_markdown(found: Table | Sequence[Grid]) -> str:
    return markdown.to_markdown(tabulars(found))


def to_latex(found: Table | Sequence[Grid]) -> str:
    return latex.to_latex(tabulars(found))


def to_csv(found: Table | Sequence[Grid]) -> str:
    if isinstance(found, Table):
        return documents.to_csv(map(flat, found.cells))
    return documents.to_csv(row for grid in found for row in grid.flat())
