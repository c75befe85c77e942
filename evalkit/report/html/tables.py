"""Tables as the template takes them: headings, rows and cells, all of them plain text."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from evalkit.report.grid import Grid, GridCell
from evalkit.report.grid_text import details, head_to_head_lines, row_lines
from evalkit.report.render import HEADINGS, Part, printable, signature_lines, texts
from evalkit.report.table import Table

_FIGURES = ("value", "n")


@dataclass(frozen=True, slots=True)
class CellView:
    """`kind`: as in `GridCell`, or "text". `lines`: below its value. `marks`: numbers of notes."""

    text: str
    kind: str = "text"
    lines: tuple[str, ...] = ()
    marks: tuple[int, ...] = ()
    best: bool = False


@dataclass(frozen=True, slots=True)
class RowView:
    """`label`: its name, and what stands below it in small letters. `section`: a heading over it, if any."""

    label: tuple[str, ...]
    cells: tuple[CellView, ...]
    section: str = ""


@dataclass(frozen=True, slots=True)
class HeadingView:
    """`kind`: "run" and "printed" over figures of either, "number" over other figures, "text"."""

    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class TableView:
    """`headings`: of the columns of cells, `first` of the labels. `source`: where it is printed."""

    title: str
    first: str
    headings: tuple[HeadingView, ...]
    rows: tuple[RowView, ...]
    source: str = ""
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()


def table_view(table: Table) -> TableView:
    """The plain table, a row a figure."""
    rows = []
    for cell in table.cells:
        # Marks become links, so they are left out of the words.
        label, *words = texts(dataclasses.replace(cell, marks=()))
        cells = [CellView(printable(word)) for word in words]
        cells[HEADINGS.index("value") - 1] = CellView(
            printable(words[HEADINGS.index("value") - 1]), "run", marks=cell.marks
        )
        rows.append(RowView((printable(label),), tuple(cells)))
    return TableView(
        printable(table.title),
        HEADINGS[0],
        tuple(HeadingView(text, "number" if text in _FIGURES else "text") for text in HEADINGS[1:]),
        tuple(rows),
        notes=tuple(map(printable, table.notes)),
        signatures=tuple(map(printable, signature_lines(table.cells))),
    )


def grid_view(grid: Grid) -> TableView:
    """A benchmark a row, runs and then printed models as columns: on a phone the first ones are seen."""
    order = sorted(range(len(grid.columns)), key=lambda i: grid.columns[i].kind == "printed")
    rows, section = [], ""
    for row in grid.rows:
        cells = tuple(_cell(grid, row.cells[i]) for i in order)
        heading = row.section if row.section != section else ""
        section = row.section
        rows.append(RowView(tuple(map(printable, row_lines(row))), cells, printable(heading)))
    return TableView(
        printable(grid.title),
        "benchmark",
        tuple(HeadingView(printable(grid.columns[i].name), grid.columns[i].kind) for i in order),
        tuple(rows),
        source=printable(grid.source),
        notes=tuple(map(printable, grid.notes)),
        remarks=tuple(map(printable, (*head_to_head_lines(grid), *grid.remarks))),
        signatures=tuple(map(printable, grid.signatures)),
    )


def _cell(grid: Grid, cell: GridCell) -> CellView:
    lines = tuple(map(printable, details(grid, cell)))
    return CellView(printable(cell.text), cell.kind, lines, cell.marks, cell.best)


def part_view(part: Part) -> TableView:
    """A breakdown, or a validation curve."""
    first, *headings = part.headings
    return TableView(
        printable(part.title),
        first,
        tuple(HeadingView(text, "number") for text in headings),
        tuple(
            RowView((printable(label),), tuple(CellView(printable(word)) for word in words))
            for label, *words in part.rows
        ),
    )
