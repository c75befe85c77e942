"""What charts compare: benchmarks as lines, with a mark for each run and each printed model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.report.charts.sheet import shown
from evalkit.report.table import Table, TableCell

if TYPE_CHECKING:
    from evalkit.report.grid import Grid, GridRow


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure. `column`: its run or printed model. `comparable`: with the others of its line."""

    column: str
    value: float
    low: float | None = None
    high: float | None = None
    comparable: bool = True
    printed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A benchmark, with the figures that there are for it."""

    label: str
    task: str
    protocol: str
    unit: str
    higher_is_better: bool
    marks: tuple[Mark, ...]

    @property
    def words(self) -> str:
        return self.label if self.higher_is_better else f"{self.label} (lower is better)"


@dataclass(frozen=True, slots=True)
class Run:
    """A cell and the run that it is of: the model's name, numbered where several runs are of one model."""

    name: str
    cell: TableCell


def runs_of(table: Table) -> list[Run]:
    """The table's cells with their runs, in order."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    found = []
    for cell in table.cells:
        key = (cell.task, cell.protocol, cell.metric, cell.model)
        counts[key] += 1
        found.append(Run(cell.model if counts[key] == 1 else f"{cell.model} (run {counts[key]})", cell))
    return found


def headlines(runs: Iterable[Run]) -> list[Run]:
    """The first figure of every task, protocol and run, which is the headline."""
    found: dict[tuple[str, str, str], Run] = {}
    for run in runs:
        found.setdefault((run.cell.task, run.cell.protocol, run.name), run)
    return list(found.values())


def names_of(runs: Iterable[Run]) -> list[str]:
    return list(dict.fromkeys(run.name for run in runs))


def named(cell: TableCell) -> str:
    """`gsm8k:8-shot-cot, accuracy`."""
    return f"{shown(f'{cell.task}:{cell.protocol}', 60)}, {shown(cell.metric, 30)}"


def rows_of(runs: Iterable[Run]) -> dict[tuple[str, str, str], list[Run]]:
    """By task, protocol and metric."""
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.cell.task, run.cell.protocol, run.cell.metric), []).append(run)
    return found


def table_lines(table: Table) -> Iterator[Line]:
    """The headlines of a table, without those that have no value."""
    for (task, protocol, _), runs in rows_of(headlines(runs_of(table))).items():
        cells = [run.cell for run in runs]
        marks = tuple(
            Mark(
                run.name,
                run.cell.value,
                run.cell.low,
                run.cell.high,
                not cells[0].signature.differences(run.cell.signature),
            )
            for run in runs
            if run.cell.value is not None
        )
        if marks:
            cell = cells[0]
            yield Line(named(cell), task, protocol, cell.unit, cell.higher_is_better, marks)


def grid_lines(grid: Grid) -> Iterator[Line]:
    """The rows of a grid that a run has a value in."""
    for row in grid.rows:
        marks = tuple(_marks(grid, row))
        if any(not mark.printed for mark in marks):
            name = f"{row.label}: {row.protocol}" if row.protocol else row.label
            label = f"{shown(name, 60)}, {shown(row.metric, 30)}"
            yield Line(label, row.task, row.protocol, row.unit, row.higher_is_better, marks)


def _marks(grid: Grid, row: GridRow) -> Iterator[Mark]:
    for column, cell in zip(grid.columns, row.cells, strict=True):
        if cell.value is not None:
            yield Mark(
                column.name, cell.value, cell.low, cell.high, cell.comparable, column.kind == "printed"
            )


def columns_of(lines: Sequence[Line], *, printed: bool) -> list[str]:
    """The names of the runs, or of the printed models, in the order of their first figure."""
    return list(dict.fromkeys(m.column for line in lines for m in line.marks if m.printed == printed))


def several(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 5 more`."""
    words = ", ".join(shown(name) for name in names[:most])
    return f"{words} and {len(names) - most} more" if len(names) > most else words
