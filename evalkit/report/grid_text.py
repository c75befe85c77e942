"""Grids as text: terminal, Markdown, CSV. LaTeX is in `evalkit.report.latex`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.report.digits import interval_text
from evalkit.report.grid import Grid, GridCell, GridColumn, GridRow
from evalkit.report.render import (
    SUPERSCRIPTS,
    escape_markdown,
    no_formula,
    outcome_shares,
    paragraph,
    printable,
)
from evalkit.runfile.records import ANSWERED

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_LABEL, _COLUMN, _NARROW, _GAP = 26, 20, 10, 2
"""Widths in the terminal: of the first column at most, of another at most and at least, and between two."""


def row_lines(row: GridRow) -> list[str]:
    """What stands at the left of a row: its name, then metric, unit and direction."""
    unit = f", {row.unit}" if row.unit else ""
    arrow = "" if row.target is not None else "↑" if row.higher_is_better else "↓"
    return [row.label, f"{row.metric}{unit} {arrow}".strip()]


def details(grid: Grid, cell: GridCell) -> list[str]:
    """`cell_lines` as `grid` needs them: with what neither the row's label nor a line below says."""
    return cell_lines(cell, head_to_heads=not _named_head_to_heads(grid), protocol=bool(grid.id))


def cell_lines(cell: GridCell, *, head_to_heads: bool = True, protocol: bool = False) -> list[str]:
    """A cell below its value: protocol, interval, n, odd outcomes, samples won and lost.

    `head_to_heads`: whether to say won and lost, which goes without a name where there is one other run.
    `protocol`: whether to name a run's as a printed one is, because the row's label does not; else only
    what is overridden in it.
    """
    if cell.kind not in ("run", "compared"):
        return [cell.protocol] if cell.protocol else []
    asked = cell.cell.spec.protocol if cell.cell else None
    counted = f" {cell.cell.counted}" if cell.cell and cell.cell.counted != "samples" else ""
    lines = [
        asked.name if asked and protocol else "",
        asked.label.removeprefix(asked.name) if asked else "",
        interval_text(cell.low, cell.high),
        f"n {cell.n:,}{counted}",
    ]
    odd = any(n for name, n in cell.outcomes.items() if name not in ("correct", "wrong", ANSWERED))
    if odd:
        lines += outcome_shares(cell.outcomes).split(", ")
    if head_to_heads:
        lines += [f"won {won} : {lost} lost" for won, lost in cell.against.values()]
    return [line for line in lines if line]


def head_to_head_lines(grid: Grid) -> Iterator[str]:
    """Samples won and lost in words, where there are more than two runs."""
    if not _named_head_to_heads(grid):
        return
    for row in grid.rows:
        for column, cell in zip(grid.columns, row.cells, strict=True):
            met = [f"won {won} and lost {lost} against {name}" for name, (won, lost) in cell.against.items()]
            if met:
                yield f"{row.label} {row.metric}, {column.name}: {'; '.join(met)}"


def _named_head_to_heads(grid: Grid) -> bool:
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
        label = min(_label_width(grid), max(1, console.width // 2))
        bands, wide = _bands(grid, console.width - label - _GAP)
        for band in bands:
            console.print()
            console.print(_box(grid, band, label, wide))
        for number, note in enumerate(grid.notes, 1):
            console.print(Text(f"{str(number).translate(SUPERSCRIPTS)} {printable(note)}"))
        for line in (*head_to_head_lines(grid), *grid.remarks):
            console.print(Text(printable(line)))
        for line in grid.signatures:
            console.print(Text(printable(line), style="dim"), soft_wrap=True)
        console.print()
    return out.getvalue()


def _box(grid: Grid, band: Sequence[int], label: int, wide: Sequence[int]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # A divider stands between two columns besides the padding, and is a space.
    box = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    box.add_column("", min_width=label, max_width=label, overflow="fold")
    for i in band:
        heading = Text(printable(grid.columns[i].name))
        box.add_column(heading, justify="right", max_width=wide[i] - _GAP, overflow="fold")
    section = ""
    for row in grid.rows:
        if row.section != section:
            box.add_row(Text(printable(row.section), style="italic"))
            section = row.section
        lines = Text("\n").join(Text(printable(line)) for line in row_lines(row))
        box.add_row(lines, *(_box_cell(grid, row.cells[i]) for i in band))
        box.add_row("")
    return box


def _box_cell(grid: Grid, cell: GridCell) -> Text:
    from rich.text import Text

    empty = cell.kind == "empty"
    head = Text(printable(cell.text), style="bold" if cell.best else "dim" if empty else "")
    head.append(_marks(cell))
    if cell.best:
        head.append(" *")
    rest = (Text(printable(line), style="dim") for line in details(grid, cell))
    return Text("\n").join([head, *rest])


def _bands(grid: Grid, room: int) -> tuple[list[list[int]], list[int]]:
    """(positions of the columns of each box, widths of all columns) so that a box needs no more than `room`.

    Where the runs leave room for a printed column, narrowed if need be, they stand in every box beside
    some; else the columns are cut where they are.
    """
    columns = range(len(grid.columns))
    runs = [i for i in columns if grid.columns[i].kind != "printed"]
    printed = [i for i in columns if grid.columns[i].kind == "printed"]
    natural = [_width(grid, i) for i in columns]
    for wide in (natural, [_narrowed(grid, i) for i in columns]):
        beside = sum(wide[i] for i in runs)
        if printed and beside + max(wide[i] for i in printed) <= room:
            return [band + runs for band in _cut(printed, wide, room - beside)], wide
    return _cut([*printed, *runs], natural, room), natural


def _cut(columns: Sequence[int], wide: Sequence[int], room: int) -> list[list[int]]:
    """The columns in order, as many to a band as there is room for, one at least."""
    bands: list[list[int]] = []
    left = 0
    for i in columns:
        if not bands or wide[i] > left:
            bands.append([])
            left = room
        bands[-1].append(i)
        left -= wide[i]
    return bands


def _label_width(grid: Grid) -> int:
    from rich.cells import cell_len

    return min(_LABEL, max((cell_len(line) for row in grid.rows for line in row_lines(row)), default=0))


def _width(grid: Grid, i: int) -> int:
    """Of a column in the terminal, with the gap after it."""
    from rich.cells import cell_len

    lines = [grid.columns[i].name, *_lines(grid, i)]
    return min(_COLUMN, max(map(cell_len, lines))) + _GAP


def _narrowed(grid: Grid, i: int) -> int:
    """The same where lines are broken between words, and the heading anywhere."""
    from rich.cells import cell_len

    words = (cell_len(word) for line in _lines(grid, i) for word in line.split())
    return min(_COLUMN, max([_NARROW, *words])) + _GAP


def _lines(grid: Grid, i: int) -> Iterator[str]:
    for row in grid.rows:
        cell = row.cells[i]
        yield cell.text + _marks(cell) + " *" * cell.best
        yield from details(grid, cell)


def to_markdown(grids: Sequence[Grid]) -> str:
    """GitHub tables, with notes and signatures under each."""
    lines: list[str] = []
    for grid in grids:
        lines += [f"**{escape_markdown(grid.title.strip())}**", ""]
        lines.append(f"|  | {' | '.join(_heading(column) for column in grid.columns)} |")
        lines.append("|---|" + "--:|" * len(grid.columns))
        section = ""
        for row in grid.rows:
            if row.section != section:
                lines.append(f"| *{escape_markdown(row.section)}* |" + "  |" * len(grid.columns))
                section = row.section
            label = "<br>".join(map(escape_markdown, row_lines(row)))
            cells = [_markdown_cell(grid, cell) for cell in row.cells]
            lines.append(f"| {' | '.join([label, *cells])} |")
        lines.append("")
        lines += [
            f"{str(number).translate(SUPERSCRIPTS)} {escape_markdown(note)}  "
            for number, note in enumerate(grid.notes, 1)
        ]
        lines += [f"{paragraph(line)}  " for line in (*head_to_head_lines(grid), *grid.remarks)]
        lines += [f"`{printable(line).replace('`', chr(39))}`  " for line in grid.signatures]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _heading(column: GridColumn) -> str:
    return escape_markdown(column.name)


def _markdown_cell(grid: Grid, cell: GridCell) -> str:
    text = escape_markdown(cell.text)
    head = (f"**{text}**" if cell.best else text) + _marks(cell)
    return "<br>".join([head, *map(escape_markdown, details(grid, cell))])


def to_csv(grids: Sequence[Grid]) -> str:
    """A line a cell, printed and empty ones too; values unrounded."""
    out = io.StringIO()
    rows = [row for grid in grids for row in grid.flat()]
    writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: no_formula(value) for key, value in row.items()} for row in rows)
    return out.getvalue()
