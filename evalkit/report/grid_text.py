"""Grids as text: terminal, Markdown, CSV. LaTeX is in `evalkit.report.latex`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from evalkit.report.grid import Grid, GridCell, GridColumn, GridRow, interval_text
from evalkit.report.render import (
    SUPERSCRIPTS,
    escape_markdown,
    no_formula,
    outcome_shares,
    printable,
)

_LABEL, _COLUMN, _GAP = 26, 18, 2
"""Widths in the terminal: of the first column and of another at most, and between two."""


def row_lines(row: GridRow) -> list[str]:
    """What stands at the left of a row: its name, then metric, unit and direction."""
    unit = f", {row.unit}" if row.unit else ""
    return [row.label, f"{row.metric}{unit} {'↑' if row.higher_is_better else '↓'}".strip()]


def cell_lines(cell: GridCell, *, duels: bool = True) -> list[str]:
    """A cell below its value: interval, n, the protocol of a printed one, odd outcomes, samples won and lost.

    `duels`: whether to say won and lost, which goes without a name where there is one other run.
    """
    if cell.kind != "run":
        return [cell.protocol] if cell.protocol else []
    lines = [interval_text(cell.low, cell.high), f"n {cell.n:,}"]
    base, bracket, _ = cell.protocol.partition("[")
    if bracket:
        lines.append(cell.protocol.removeprefix(base))
    odd = any(n for name, n in cell.outcomes.items() if name not in ("correct", "wrong"))
    if odd:
        lines += outcome_shares(cell.outcomes).split(", ")
    if duels:
        lines += [f"won {won} : {lost} lost" for won, lost in cell.against.values()]
    return [line for line in lines if line]


def duel_lines(grid: Grid) -> Iterator[str]:
    """Samples won and lost in words, where there are more than two runs."""
    if not _named_duels(grid):
        return
    for row in grid.rows:
        for column, cell in zip(grid.columns, row.cells, strict=True):
            met = [f"won {won} and lost {lost} against {name}" for name, (won, lost) in cell.against.items()]
            if met:
                yield f"{row.label} {row.metric}, {column.name}: {'; '.join(met)}"


def _named_duels(grid: Grid) -> bool:
    return sum(column.kind == "run" for column in grid.columns) > 2


def _marks(cell: GridCell) -> str:
    return ",".join(map(str, cell.marks)).translate(SUPERSCRIPTS)


def to_terminal(grids: Sequence[Grid], *, width: int | None = None, colour: bool = False) -> str:
    """Box-drawn, at most `width` columns wide (default: the terminal's).

    A grid that is too wide is cut into bands of printed columns, each with the runs' columns again.
    """
    from rich.console import Console
    from rich.text import Text

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    for grid in grids:
        console.print(Text(printable(grid.title), style="bold"))
        for band in _bands(grid, console.width):
            console.print(_box(grid, band))
        for number, note in enumerate(grid.notes, 1):
            console.print(Text(f"{str(number).translate(SUPERSCRIPTS)} {printable(note)}"))
        for line in (*duel_lines(grid), *grid.remarks):
            console.print(Text(printable(line)))
        for line in grid.signatures:
            console.print(Text(printable(line), style="dim"), soft_wrap=True)
        console.print()
    return out.getvalue()


def _box(grid: Grid, band: Sequence[int]) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    box = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP, 0, 0))
    box.add_column("", max_width=_LABEL, overflow="fold")
    for i in band:
        heading = Text(printable(grid.columns[i].name))
        box.add_column(heading, justify="right", max_width=_COLUMN, overflow="fold")
    section = ""
    for row in grid.rows:
        if row.section != section:
            box.add_row(Text(printable(row.section), style="italic"))
            section = row.section
        label = Text("\n").join(Text(printable(line)) for line in row_lines(row))
        box.add_row(label, *(_box_cell(row.cells[i], not _named_duels(grid)) for i in band))
        box.add_row("")
    return box


def _box_cell(cell: GridCell, duels: bool) -> object:
    from rich.text import Text

    empty = cell.kind == "empty"
    head = Text(printable(cell.text), style="bold" if cell.best else "dim" if empty else "")
    head.append(_marks(cell))
    if cell.best:
        head.append(" *")
    rest = (Text(printable(line), style="dim") for line in cell_lines(cell, duels=duels))
    return Text("\n").join([head, *rest])


def _bands(grid: Grid, width: int) -> list[list[int]]:
    """Positions of the columns of each box, so that it is no wider than `width` if that can be."""
    runs = [i for i, column in enumerate(grid.columns) if column.kind == "run"]
    printed = [i for i, column in enumerate(grid.columns) if column.kind == "printed"]
    label = max((len(line) for row in grid.rows for line in row_lines(row)), default=0)
    room = width - min(label, _LABEL) - _GAP - sum(_width(grid, i) for i in runs)
    bands: list[list[int]] = []
    left = 0
    for i in printed:
        needs = _width(grid, i)
        if not bands or needs > left:
            bands.append([])
            left = room
        bands[-1].append(i)
        left -= needs
    return [band + runs for band in bands] or [runs]


def _width(grid: Grid, i: int) -> int:
    lines = [grid.columns[i].name]
    for row in grid.rows:
        cell = row.cells[i]
        lines += [cell.text + _marks(cell) + " *" * cell.best]
        lines += cell_lines(cell, duels=not _named_duels(grid))
    return min(_COLUMN, max(map(len, lines))) + _GAP


def to_markdown(grids: Sequence[Grid]) -> str:
    """GitHub tables, with notes and signatures under each."""
    lines: list[str] = []
    for grid in grids:
        lines += [f"**{escape_markdown(grid.title)}**", ""]
        lines.append(f"|  | {' | '.join(_heading(column) for column in grid.columns)} |")
        lines.append("|---|" + "--:|" * len(grid.columns))
        section = ""
        for row in grid.rows:
            if row.section != section:
                lines.append(f"| *{escape_markdown(row.section)}* |" + "  |" * len(grid.columns))
                section = row.section
            label = "<br>".join(map(escape_markdown, row_lines(row)))
            cells = [_markdown_cell(cell, not _named_duels(grid)) for cell in row.cells]
            lines.append(f"| {' | '.join([label, *cells])} |")
        lines.append("")
        lines += [
            f"{str(number).translate(SUPERSCRIPTS)} {escape_markdown(note)}  "
            for number, note in enumerate(grid.notes, 1)
        ]
        lines += [f"{escape_markdown(line)}  " for line in (*duel_lines(grid), *grid.remarks)]
        lines += [f"`{printable(line).replace('`', chr(39))}`  " for line in grid.signatures]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _heading(column: GridColumn) -> str:
    return escape_markdown(column.name)


def _markdown_cell(cell: GridCell, duels: bool) -> str:
    text = escape_markdown(cell.text)
    head = (f"**{text}**" if cell.best else text) + _marks(cell)
    return "<br>".join([head, *map(escape_markdown, cell_lines(cell, duels=duels))])


def to_csv(grids: Sequence[Grid]) -> str:
    """A line a cell, printed and empty ones too; values unrounded."""
    out = io.StringIO()
    rows = [row for grid in grids for row in grid.flat()]
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: no_formula(value) for key, value in row.items()} for row in rows)
    return out.getvalue()
