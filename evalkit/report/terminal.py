"""Writes tables for a terminal, within its width, and in colour if it is an interactive one."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from evalkit.report.tabular import Tabular, TabularCell, cleaned, parts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Box
    from rich.text import Text

_LABEL, _COLUMN, _NARROW, _GAP = 26, 20, 10, 2
"""For models side by side: the greatest width of the first column, the greatest and smallest width of the
others, and the gap between columns."""
_LEAST = 8
"""The smallest width of a column of text in a list."""
_WIDE = 100
"""From this width of the terminal on, in characters, the text of a cell is on one line."""
_STYLES = {"": "", "good": "green", "bad": "bold red", "doubt": "yellow"}


def to_terminal(tables: Sequence[Tabular], *, width: int | None = None, colour: bool = False) -> str:
    """The tables as text, at most `width` columns wide (default: the terminal's), except unbroken lines."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    for number, table in enumerate(map(cleaned, tables)):
        if number:
            console.print()
        _print(console, table)
    return out.getvalue()


def in_one_box(table: Tabular, width: int | None = None) -> bool:
    """Whether all models fit beside each other in a terminal that is `width` wide (default: this one)."""
    from rich.console import Console

    room = Console(file=io.StringIO(), width=width).width
    return len(_cut_up(table, room - _label_room(table, room) - _GAP)[0]) == 1


def _print(console: Console, table: Tabular) -> None:
    from rich.text import Text

    if table.title:
        console.print(Text(table.title, style="bold"))
    wide = console.width >= _WIDE
    if table.side_by_side:
        label = _label_room(table, console.width)
        bands, room = _cut_up(table, console.width - label - _GAP)
        for band in bands:
            console.print()
            console.print(_box(table, [0, *band], {0: label, **room}, wide=wide))
    else:
        shown = [i for i, column in enumerate(table.columns) if not column.spare]
        console.print(_box(table, shown, _rooms(table, shown, console.width), wide=wide))
    for number, note in table.numbered_notes():
        console.print(Text(f"{number} {note}"))
    for remark in table.remarks:
        console.print(Text(remark))
    for hint in table.hints:
        console.print(Text(hint, style="dim"))
    for fold in table.folds:
        console.print(Text(fold.title, style="bold"))
        for line in fold.lines:
            console.print(Text(f"  {line}"), soft_wrap=True)
    for statement in table.statements:
        console.print(Text(statement), soft_wrap=True)
    for line in table.signatures:
        console.print(Text(line, style="dim"), soft_wrap=True)
    if conclusion := table.conclusion:
        console.print(Text(conclusion.text, style=_STYLES[conclusion.style]), soft_wrap=conclusion.unbroken)


def _box(table: Tabular, shown: Sequence[int], room: Mapping[int, int], *, wide: bool) -> Box:
    """A box with the columns `shown`. `room`: the greatest width of each column, if it is limited."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Box
    from rich.text import Text

    beside = table.side_by_side
    broken = {0} if beside else {*room}
    # An empty line separates rows of several lines each.
    apart = beside and any(cell.lines for row in table.rows for cell in row.cells)
    # Besides the padding, there is a divider between two columns, which is a space.
    box = Box(box=SIMPLE_HEAD, show_edge=not beside, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for i in shown:
        column = table.columns[i]
        box.add_column(
            Text(_broken(column.text, room.get(i, _COLUMN))),
            justify="left" if column.kind == "text" else "right",
            no_wrap=column.unbroken,
            min_width=room.get(i, column.least) if i in broken else column.least,
            max_width=room.get(i),
            overflow="fold",
        )
    for row in table.rows:
        if row.section:
            box.add_row(Text(row.section, style="italic"))
        texts = {i: _text(row.cells[i], wide=wide) for i in shown}
        box.add_row(*(_wholeparts(text, room[i]) if i in broken else text for i, text in texts.items()))
        if apart:
            box.add_row("")
    return box


def _rooms(table: Tabular, shown: Sequence[int], width: int) -> dict[int, int]:
    """The widths of the columns that may be broken, if a table is wider than `width`; else {}.

    Each is as wide as its longest part that is not to be broken. What is left is given to the columns in
    their order: as much as their `least`, then as their texts. In a very narrow terminal, the last columns
    are narrowed further.
    """
    from rich.cells import cell_len

    def parted(i: int) -> int:
        text = table.columns[i].kind == "text"
        words = (part.rstrip() for line in lines[i] for part in (parts(line) if text else line.split()))
        return min(_COLUMN, max(map(cell_len, words)))

    lines = {i: [table.columns[i].text, *_lines(table, i, wide=width >= _WIDE)] for i in shown}
    natural = {i: max(map(cell_len, lines[i])) for i in shown}
    left = width - 2 - sum(room + _GAP for room in natural.values())
    if left >= 0:
        return {}
    soft = [i for i in shown if not table.columns[i].unbroken]
    left += sum(natural[i] for i in soft)
    rooms = {i: parted(i) for i in soft}
    left -= sum(rooms.values())
    for most in ({i: table.columns[i].least or 0 for i in soft}, natural):
        for i in soft:
            more = max(0, min(most[i], natural[i], rooms[i] + left) - rooms[i])
            rooms[i], left = rooms[i] + more, left - more
    for i in reversed(soft):
        less = min(max(0, -left), max(0, rooms[i] - _LEAST))
        rooms[i], left = rooms[i] - less, left + less
    return rooms


def _text(cell: TabularCell, *, wide: bool) -> Text:
    from rich.text import Text

    lines = [cell.whole] if wide else [cell.text, *cell.more]
    style = "bold" if cell.best else "dim" if cell.kind == "empty" else _STYLES[cell.style]
    head = Text("\n".join(lines), style=style)
    head.append(cell.superscripts)
    if cell.best:
        head.append(" *")
    small = "" if cell.kind == "text" else "dim"
    return Text("\n").join([head, *(Text(line, style=small) for line in cell.lines)])


def _cut_up(table: Tabular, room: int) -> tuple[list[list[int]], dict[int, int]]:
    """(positions of the columns of each box, width of each column), so that no box is wider than `room`.

    The first column is in every box, and the caller has subtracted its width. If there is room for all runs
    and a printed column, with broken headings or narrowed if necessary, every box has all runs beside some
    printed columns; otherwise the columns are split in their order.
    """
    columns = range(1, len(table.columns))
    runs = [i for i in columns if table.columns[i].kind != "printed"]
    printed = [i for i in columns if table.columns[i].kind == "printed"]
    natural = {i: _width(table, i) for i in columns}
    for wide in (natural, *({i: width(table, i) for i in columns} for width in (_headed, _narrowed))):
        beside = sum(wide[i] + _GAP for i in runs)
        if beside + max((wide[i] + _GAP for i in printed), default=0) <= room:
            return [sorted(band + runs) for band in _cut(printed, wide, room - beside)] or [runs], wide
    return _cut([*printed, *runs], natural, room), natural


def _cut(columns: Sequence[int], wide: Mapping[int, int], room: int) -> list[list[int]]:
    """Splits the columns, in order, into bands of as many as there is room for, at least one."""
    bands: list[list[int]] = []
    left = 0
    for i in columns:
        if not bands or wide[i] + _GAP > left:
            bands.append([])
            left = room
        bands[-1].append(i)
        left -= wide[i] + _GAP
    return bands


def _label_room(table: Tabular, width: int) -> int:
    """The width of the first column in a terminal that is `width` wide."""
    from rich.cells import cell_len

    return min(_LABEL, max(map(cell_len, _lines(table, 0)), default=0), max(1, width // 2))


def _width(table: Tabular, i: int) -> int:
    """The width of a column in which no line is broken."""
    from rich.cells import cell_len

    lines = [table.columns[i].text, *_lines(table, i)]
    return min(_COLUMN, max(map(cell_len, lines)))


def _headed(table: Tabular, i: int) -> int:
    """The width of a column whose lines are whole, and whose heading may be broken after spaces and signs."""
    from rich.cells import cell_len

    heading = (part.rstrip() for part in parts(table.columns[i].text))
    return min(_COLUMN, max(map(cell_len, [*heading, *_lines(table, i)])))


def _narrowed(table: Tabular, i: int) -> int:
    """The width of a column whose lines may be broken between words, and its heading also after a sign."""
    from rich.cells import cell_len

    lines = [*parts(table.columns[i].text), *_lines(table, i)]
    words = (cell_len(word) for line in lines for word in line.split())
    return min(_COLUMN, max([_NARROW, *words]))


def _broken(name: str, width: int) -> str:
    """The name in lines of at most `width`; a word is only broken if it is longer, and then after a sign."""
    from rich.cells import cell_len

    lines = [""]
    for word in re.findall(r"\S+\s*", name):
        for part in parts(word) if cell_len(word.rstrip()) > width else [word]:
            if lines[-1] and cell_len(lines[-1] + part.rstrip()) > width:
                lines.append("")
            lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _wholeparts(label: Text, width: int) -> Text:
    """The label with its first line broken as `_broken` does."""
    from rich.text import Text

    first, *rest = label.split("\n", allow_blank=True)
    return Text("\n").join([Text(_broken(first.plain, width), style=first.style), *rest])


def _lines(table: Tabular, i: int, *, wide: bool = True) -> Iterator[str]:
    for row in table.rows:
        yield from _text(row.cells[i], wide=wide).plain.split("\n")
