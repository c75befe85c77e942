"""What a report shows of its tables: which rows and columns, under which title."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from evalkit.errors import counted, unknown
from evalkit.report.grid import NO_TASK, NOT_PRINTED, Grid, GridRow
from evalkit.report.layout import JOINS, PAIRED, Key
from evalkit.report.significance import EXPLAINED
from evalkit.report.table import signature_line

ALL = "all"
"""The name that stands for all printed columns, or all rows."""
DASH = f"{NOT_PRINTED}: the paper prints no figure"
_COMMON = 3
"""The number of printed columns in Markdown, unless others are chosen."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is shown of a report's tables.

    `columns`: names of columns in their order; runs that are not named follow; () leaves it to the format.
    `rows`: names of rows, tasks, or `task:protocol`, in their order; () leaves out figures that no printed
    table has and that are no headline. `all` stands for all of them. `title`: instead of the table's own.
    `signatures`: whether long lists of signatures are shown whole. `caption`, `label`: of a LaTeX table.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    title: str = ""
    signatures: bool = False
    caption: str = ""
    label: str = ""

    @property
    def named(self) -> list[str]:
        """The names of the fields that are not as by default."""
        return [f.name for f in dataclasses.fields(self) if getattr(self, f.name) != f.default]


def named(names: Sequence[str], known: Iterable[str], what: str) -> list[str]:
    """The known names in `names`, which may have been split at commas: `MMLU, 5-shot` is found in two parts.

    If no name is written exactly so, those that differ in upper and lower case only are meant. Raises
    `UsageError` for an unknown one.
    """
    by_text = {" ".join(name.split()): name for name in known}
    folded: dict[str, list[str]] = {}
    for text, name in by_text.items():
        folded.setdefault(text.casefold(), []).append(name)
    found: list[str] = []
    start = 0
    while start < len(names):
        for end in range(len(names), start, -1):
            text = " ".join(",".join(names[start:end]).split())
            if meant := [by_text[text]] if text in by_text else folded.get(text.casefold()):
                found += meant
                break
        else:
            raise unknown(what, names[start].strip(), by_text)
        start = end
    return list(dict.fromkeys(found))


def chosen(grids: Sequence[Grid], choice: Choice) -> tuple[Grid, ...]:
    """The grids with the rows and columns that the choice names. Raises `UsageError` for an unknown name."""
    if choice.columns not in ((), (ALL,)):
        known = dict.fromkeys(column.name for grid in grids for column in grid.columns)
        columns = named(choice.columns, known, "column")
        grids = [narrowed(grid, _placed(grid, columns), grid.rows) for grid in grids]
    if choice.rows not in ((), (ALL,)):
        known = dict.fromkeys(name for grid in grids for row in grid.rows for name in _names(row))
        rows = named(choice.rows, known, "row")
        grids = [narrowed(grid, range(len(grid.columns)), _ordered(grid, rows)) for grid in grids]
    grids = [grid for grid in grids if grid.rows]
    printed = [grid for grid in grids if grid.id]
    if choice.title and len(printed) == 1:  # with several, it is the title of the runs' own table
        grids = [dataclasses.replace(grid, title=choice.title) if grid.id else grid for grid in grids]
    return tuple(grids)


def headlines_only(grids: Sequence[Grid], headlines: Collection[Key]) -> tuple[Grid, ...]:
    """The grids without the figures that no printed table has and that are not among the `headlines`.

    A hint under the last grid counts what was left out.
    """
    kept, left = [], 0
    for grid in grids:
        if not grid.id:
            rows = [row for row in grid.rows if (row.task, row.protocol, row.metric) in headlines]
            left += len(grid.rows) - len(rows)
            grid = narrowed(grid, range(len(grid.columns)), rows)
        kept.append(grid)
    kept = [grid for grid in kept if grid.rows]
    if left and kept:
        hint = f"Left out: {counted(left, 'figure')} of other metrics, extractors and rules (--rows {ALL})"
        kept[-1] = dataclasses.replace(kept[-1], hints=(*kept[-1].hints, hint))
    return tuple(kept)


def fitting(grid: Grid, fits: Callable[[Grid], bool]) -> Grid:
    """The grid with all its runs and as many printed columns as fit, at least one: the most telling ones.

    A printed column tells more, the more of its figures are comparable with a run's, or else are beside one.
    """
    printed = [i for i, column in enumerate(grid.columns) if column.kind == "printed"]
    others = [i for i, column in enumerate(grid.columns) if column.kind != "printed"]
    if not printed or not grid.has_runs:
        return grid
    ranked = sorted(printed, key=lambda i: _telling(grid, i), reverse=True)
    for count in range(len(ranked), 0, -1):
        columns = [*sorted(ranked[:count]), *others]
        found = narrowed(grid, columns, grid.rows)
        if count < len(ranked):
            names = ", ".join(grid.columns[i].name for i in printed if i not in columns)
            hint = f"Left out: {names}; --columns {ALL} shows them"
            found = dataclasses.replace(found, hints=(*found.hints, hint))
        if fits(found):
            break
    return found


def few(grid: Grid) -> bool:
    """Whether a grid has no more printed columns than a page of unknown width has room for."""
    return sum(column.kind == "printed" for column in grid.columns) <= _COMMON


def narrowed(grid: Grid, columns: Sequence[int], rows: Iterable[GridRow]) -> Grid:
    """The grid with only these columns and rows, in this order, and only the notes that speak of them.

    Notes are numbered anew. A remark is left out if it names rows or columns of the grid and none of those
    that are shown. The best figure of a row stays the best of the whole row, and the remark about it says so.
    """
    names = {grid.columns[i].name for i in columns}
    kept = [dataclasses.replace(row, cells=tuple(row.cells[i] for i in columns)) for row in rows]
    marks = list(dict.fromkeys(mark for row in kept for cell in row.cells for mark in cell.marks))
    numbers = {mark: number for number, mark in enumerate(marks, 1)}
    shown = tuple(
        dataclasses.replace(
            row,
            cells=tuple(
                dataclasses.replace(
                    cell,
                    marks=tuple(numbers[mark] for mark in cell.marks),
                    against={name: one for name, one in cell.against.items() if name in names},
                )
                for cell in row.cells
            ),
        )
        for row in kept
    )
    signatures = dict.fromkeys(signature_line(c.cell) for row in shown for c in row.cells if c.cell)
    return dataclasses.replace(
        grid,
        columns=tuple(grid.columns[i] for i in columns),
        rows=shown,
        notes=tuple(grid.notes[mark - 1] for mark in marks),
        signatures=tuple(signatures),
        remarks=tuple(_still(grid, shown, names)),
        asides=(),
    )


def _still(grid: Grid, shown: Sequence[GridRow], names: set[str]) -> Iterator[str]:
    """The remarks that still speak of something shown."""
    cells = [cell for row in shown for cell in row.cells]
    needed = {
        EXPLAINED: any(cell.best for cell in cells),
        PAIRED: any(cell.kind == "compared" for cell in cells),
        DASH: any(cell.text == NOT_PRINTED for cell in cells),
    }
    narrower = len(names) < len({column.name for column in grid.columns})
    # `MMLU, 5-shot` is also called MMLU.
    visible = {*names, *(row.label.partition(",")[0] for row in shown)}
    every = {*(column.name for column in grid.columns), *(row.label.partition(",")[0] for row in grid.rows)}
    for remark in grid.remarks:
        if remark.startswith(f"{NO_TASK}: "):
            yield from no_task(shown)
        elif needed.get(remark, True) and _speaks(remark, visible, every - visible):
            too = "; columns that are left out count too" if remark == EXPLAINED and narrower else ""
            yield f"{remark}{too}"


def no_task(rows: Sequence[GridRow]) -> Iterator[str]:
    """A remark that names the tasks that evalkit does not have, if rows are about such tasks."""
    tasks = [row.task for row in rows if row.task and any(cell.text == NO_TASK for cell in row.cells)]
    if tasks:
        yield f"{NO_TASK}: {', '.join(dict.fromkeys(tasks))}; {JOINS}"


def _speaks(remark: str, visible: set[str], hidden: set[str]) -> bool:
    """Whether a remark names something visible, or nothing at all."""
    return _mentions(remark, visible) or not _mentions(remark, hidden)


def _mentions(text: str, names: Iterable[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in names)


def _placed(grid: Grid, names: Sequence[str]) -> list[int]:
    """The positions of the columns called `names`, in this order, and of all runs that are not named."""
    here = {column.name: i for i, column in enumerate(grid.columns)}
    first = [here[name] for name in names if name in here]
    runs = [i for i, column in enumerate(grid.columns) if column.kind != "printed" and i not in first]
    return [*first, *runs]


def _names(row: GridRow) -> tuple[str, ...]:
    """What a row can be called."""
    return tuple(filter(None, (row.label, row.task, f"{row.task}:{row.protocol}" if row.protocol else "")))


def _ordered(grid: Grid, names: Sequence[str]) -> list[GridRow]:
    """The rows called `names`, in this order, each once."""
    found = {i: row for name in names for i, row in enumerate(grid.rows) if name in _names(row)}
    return list(found.values())


def _telling(grid: Grid, i: int) -> tuple[int, int]:
    beside = [row.cells[i] for row in grid.rows if any(cell.kind == "run" for cell in row.cells)]
    figures = [cell for cell in beside if cell.kind == "printed"]
    return sum(cell.comparable for cell in figures), len(figures)
