"""The data of charts: each benchmark is a strip, with a mark for each run and each printed model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from evalkit.report.charts.texts import several, shown
from evalkit.report.comparable import apart, yardstick
from evalkit.report.table import Table
from evalkit.runfile.cells import TableCell

if TYPE_CHECKING:
    from evalkit.report.grid import Grid, GridRow
    from evalkit.report.layout import Key

_Drawn = TypeVar("_Drawn")


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure. `column`: its run or printed model. `comparable`: whether it is, with others of its strip."""

    column: str
    value: float
    low: float | None = None
    high: float | None = None
    comparable: bool = True
    printed: bool = False


@dataclass(frozen=True, slots=True)
class Strip:
    """A benchmark with its figures."""

    label: str
    task: str
    protocol: str
    unit: str
    higher_is_better: bool
    marks: tuple[Mark, ...]
    target: float | None = None
    """The best value, if higher and lower values are both worse."""

    @property
    def words(self) -> str:
        return directed(self.label, self.target, higher_is_better=self.higher_is_better)


@dataclass(frozen=True, slots=True)
class NamedCell:
    """A cell and the name of its run: the model's name, with a number if several runs have that model."""

    name: str
    cell: TableCell


def named_cells(table: Table, grids: Sequence[Grid] = ()) -> list[NamedCell]:
    """The table's cells with the names of their runs, in order. Columns of `grids` name them, if any."""
    columns: dict[tuple[str, str, str, str], dict[str, None]] = {}
    for grid in grids:
        for row in grid.rows:
            for column, found in zip(grid.columns, row.cells, strict=True):
                if found.cell:
                    columns.setdefault(_asked(found.cell), {})[column.name] = None
    counts: Counter[tuple[str, str, str, str]] = Counter()
    runs = []
    for cell in table.cells:
        key = _asked(cell)
        counts[key] += 1
        names = [*columns.get(key, ())]  # the cells of a row are in the order of their columns
        numbered = cell.model if counts[key] == 1 else f"{cell.model} (run {counts[key]})"
        runs.append(NamedCell(names[counts[key] - 1] if counts[key] <= len(names) else numbered, cell))
    return runs


def _asked(cell: TableCell) -> tuple[str, str, str, str]:
    return (cell.task, cell.protocol, cell.metric, cell.model)


def headlines(runs: Iterable[NamedCell]) -> list[NamedCell]:
    """The headline of every task, protocol and run, which is its first figure."""
    found: dict[tuple[str, str, str], NamedCell] = {}
    for run in runs:
        found.setdefault((run.cell.task, run.cell.protocol, run.name), run)
    return list(found.values())


def names_of(runs: Iterable[NamedCell], grids: Sequence[Grid] = ()) -> list[str]:
    """The names of all runs, in the order of the columns of `grids`, then of the table."""
    found = {run.name: None for run in runs}
    columns = (column.name for grid in grids for column in grid.columns if column.kind == "run")
    return list(dict.fromkeys((*(name for name in columns if name in found), *found)))


def named(cell: TableCell) -> str:
    """`gsm8k:8-shot-cot, accuracy`."""
    return f"{shown(f'{cell.task}:{cell.protocol}', 60)}, {shown(cell.metric, 30)}"


def directed(words: str, target: float | None, *, higher_is_better: bool) -> str:
    """The words, and where the best value is if it is not the highest; `target`: as in `Strip`."""
    if target is not None:
        return f"{words} (best at {target:g})"
    return words if higher_is_better else f"{words} (lower is better)"


def rows_of(runs: Iterable[NamedCell]) -> dict[tuple[str, str, str], list[NamedCell]]:
    """The runs grouped by task, protocol and metric."""
    found: dict[tuple[str, str, str], list[NamedCell]] = {}
    for run in runs:
        found.setdefault((run.cell.task, run.cell.protocol, run.cell.metric), []).append(run)
    return found


def held(runs: Sequence[NamedCell]) -> tuple[list[NamedCell], list[NamedCell]]:
    """(the runs of a row that are comparable with each other, the other runs), by `comparable.apart`."""
    first = yardstick(run.cell for run in runs)
    together = [run for run in runs if first is not None and not apart(first, run.cell)]
    return together, [run for run in runs if run not in together]


def pictures(
    found: Iterable[_Drawn], key: Callable[[_Drawn], object], run_of: Callable[[_Drawn], NamedCell]
) -> list[list[_Drawn]]:
    """What stands in one picture each: of each `key` those that are comparable with each other, and every
    other one alone.
    """
    groups: dict[object, list[_Drawn]] = {}
    for one in found:
        groups.setdefault(key(one), []).append(one)
    drawn: list[list[_Drawn]] = []
    for group in groups.values():
        together, alone = held([run_of(one) for one in group])
        drawn.append([one for one in group if run_of(one) in together])
        drawn += [[one] for one in group if run_of(one) in alone]
    return [picture for picture in drawn if picture]


def left_out(runs: Sequence[NamedCell]) -> str:
    """A sentence about runs that a chart leaves out or warns about; "" if there are none."""
    names = list(dict.fromkeys(run.name for run in runs))
    return f"Other samples or another protocol: {several(names, 5)}." if names else ""


def marks_of(runs: Sequence[NamedCell]) -> tuple[Mark, ...]:
    """The marks of the runs of one row."""
    together, _ = held(runs)
    return tuple(
        Mark(run.name, run.cell.value, run.cell.low, run.cell.high, comparable=run in together)
        for run in runs
        if run.cell.value is not None
    )


def table_strips(table: Table) -> Iterator[Strip]:
    """Yields a strip for each headline of a table that has a value."""
    for (task, protocol, _), runs in rows_of(headlines(named_cells(table))).items():
        marks = marks_of(runs)
        if marks:
            cell = runs[0].cell
            yield Strip(
                named(cell), task, protocol, cell.unit, cell.higher_is_better, marks, cell.traits.best
            )


def grid_strips(grid: Grid, heads: Collection[Key], *, short: bool = False) -> Iterator[Strip]:
    """Yields the rows of a grid in which a run has a value; if the grid has no printed table, only headlines.

    `heads`: `TableCell.row` of the headlines. `short`: whether the labels of strips are those of the rows
    alone, without protocol and metric.
    """
    for row in grid.rows:
        name = f"{row.label}: {row.protocol}" if grid.id and row.protocol else row.label
        label = shown(row.label, 60) if short else f"{shown(name, 60)}, {shown(row.metric, 30)}"
        strip = _strip(grid, row, label)
        if (grid.id or _key(row) in heads) and any(not mark.printed for mark in strip.marks):
            yield strip


def _strip(grid: Grid, row: GridRow, label: str) -> Strip:
    marks = tuple(_marks(grid, row))
    return Strip(label, row.task, row.protocol, row.unit, row.higher_is_better, marks, row.target)


def _marks(grid: Grid, row: GridRow) -> Iterator[Mark]:
    """Yields the figures in the row's unit: the axis cannot show a printed ratio of two columns."""
    for column, cell in zip(grid.columns, row.cells, strict=True):
        if cell.value is not None and not cell.unit:
            yield Mark(
                column.name, cell.value, cell.low, cell.high, cell.comparable, column.kind == "printed"
            )


def _key(row: GridRow) -> Key | None:
    return next((cell.cell.row for cell in row.cells if cell.cell), None)


def headline_strips(grids: Sequence[Grid], heads: Collection[Key]) -> Iterator[Strip]:
    """Yields the rows of all grids that are a benchmark's headline over all its groups."""
    for grid in grids:
        for row in grid.rows:
            whole = any(cell.outcomes for cell in row.cells)  # a group's figure has none
            if whole and _key(row) in heads:
                yield _strip(grid, row, row.label)


def columns_of(strips: Sequence[Strip], *, printed: bool) -> list[str]:
    """The names of the runs, or of the printed models, in the order of their first figure."""
    return list(dict.fromkeys(m.column for strip in strips for m in strip.marks if m.printed == printed))
