"""Rows and columns: a benchmark a row, printed models and then runs as columns."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from evalkit.completeness import SMALL
from evalkit.errors import UsageError
from evalkit.report.beside import apart, corpus_words, differs, not_whole, yardstick
from evalkit.report.lines import Line, Run, claimed, runs_of
from evalkit.report.rank import EXPLAINED, best, duels
from evalkit.samples import JSON

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.report.cells import TableCell
    from evalkit.report.paper import Figure, PaperRow, PaperTable
    from evalkit.report.table import Table
    from evalkit.store import Store


NO_TASK, NOT_RUN, NO_SAMPLE, NOT_PRINTED = "no task yet", "not run", "no sample", "—"
"""What an empty cell says: evalkit has no such benchmark; the run does not have it; the run judged no
sample of the row's group; the paper has no figure."""
_REFUSALS = 20
"""How many reasons `strict` gives at most."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """A figure of a run, a printed one, or none. `value`, `low`, `high` in the row's unit.

    `text`: a run's value with the digits that its interval supports, a printed one's as printed, or why
    there is none. `comparable`: it may stand beside the row's first run. `marks`: numbers of the grid's
    notes. `best`: better than every comparable figure in the row, see `evalkit.report.rank`.
    """

    kind: Literal["run", "printed", "empty"]
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    protocol: str = ""
    """A run's by its name with overrides, a printed one's as printed."""
    unit: str = ""
    """Of a printed figure, where it is not its row's: a ratio between two columns."""
    marks: tuple[int, ...] = ()
    best: bool = False
    comparable: bool = True
    cell: TableCell | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    against: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """(samples won, lost) against each other run column whose cell is comparable."""


@dataclass(frozen=True, slots=True)
class GridRow:
    """One question. `protocol`: the runs', without overrides, "" where there is no run."""

    label: str
    task: str
    protocol: str
    metric: str
    unit: str
    higher_is_better: bool
    section: str
    cells: tuple[GridCell, ...]
    """One a column."""
    target: float | None = None
    """The value that is best, where more and less are both worse."""


@dataclass(frozen=True, slots=True)
class GridColumn:
    name: str
    kind: Literal["run", "printed"]


@dataclass(frozen=True, slots=True)
class Grid:
    """`notes`: numbered from 1, cells refer to them. `remarks`: what holds for the whole grid.

    `id`: the printed table's, "" for rows that are in none.
    """

    title: str
    columns: tuple[GridColumn, ...]
    rows: tuple[GridRow, ...]
    notes: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    id: str = ""
    source: str = ""

    @property
    def has_runs(self) -> bool:
        return any(cell.kind == "run" for row in self.rows for cell in row.cells)

    def as_json(self) -> dict[str, JSON]:
        """Values unrounded. A cell refers to a run's whole cell by task, protocol, model and metric."""
        return {
            "id": self.id,
            "title": self.title,
            "source": self.source,
            "columns": [{"name": column.name, "kind": column.kind} for column in self.columns],
            "rows": [_row_json(row) for row in self.rows],
            "notes": list(self.notes),
            "remarks": list(self.remarks),
        }

    def flat(self) -> list[dict[str, JSON]]:
        """A line a cell, empty ones and printed ones too: for CSV and pandas."""
        return [
            {
                "table": self.id or self.title,
                "section": row.section,
                "row": row.label,
                "task": row.task,
                "metric": row.metric,
                "unit": row.unit,
                "higher_is_better": row.higher_is_better,
                "column": column.name,
                "kind": cell.kind,
                "protocol": cell.protocol,
                "text": cell.text,
                "value": cell.value,
                "low": cell.low,
                "high": cell.high,
                "n": cell.n,
                "comparable": cell.comparable,
                "best": cell.best,
                "outcomes": ", ".join(f"{name} {n}" for name, n in cell.outcomes.items() if n),
                "against": "; ".join(
                    f"{name}: won {won}, lost {lost}" for name, (won, lost) in cell.against.items()
                ),
                "notes": "; ".join(self.notes[mark - 1] for mark in cell.marks),
                "signature": cell.cell.signature.line() if cell.cell else "",
            }
            for row in self.rows
            for column, cell in zip(self.columns, row.cells, strict=True)
        ]

    def to_pandas(self) -> pd.DataFrame:
        """A row a cell, as in `flat`."""
        import pandas as pd

        return pd.DataFrame(self.flat())


def build_grids(
    stores: Sequence[Store], table: Table, tables: Sequence[PaperTable] = (), *, strict: bool = False
) -> tuple[Grid, ...]:
    """The rows of `table`, which `build_table` made of `stores`, with a column a run.

    With printed `tables`: one grid each, its columns before the runs' and all its rows; then one of the
    rows that no printed table has. `strict`: raises `UsageError` where a run's figure would stand beside
    one that it cannot be compared with, instead of marking it.
    """
    runs = runs_of(stores, table)
    rows = list(dict.fromkeys(cell.row for cell in table.cells))
    grids = []
    left = dict.fromkeys(rows)
    refused: list[str] = []
    for printed in tables:
        builder = _Builder(runs, table, printed, refused)
        lines = list(claimed(printed, rows, runs))
        grids.append(builder.grid(lines))
        for line in lines:
            if line.key is not None:
                left.pop(line.key, None)
    if left or not tables:
        builder = _Builder(runs, table, None, refused)
        grids.append(builder.grid([Line(key) for key in left], rest=bool(tables)))
    if strict and refused:
        more = [f"and {len(refused) - _REFUSALS} more"] if len(refused) > _REFUSALS else []
        raise UsageError("\n  ".join(["--strict: may not stand side by side", *refused[:_REFUSALS], *more]))
    return tuple(grids)


class _Builder:
    """One grid: numbers notes as they come up, and adds to `refused` what may not stand side by side."""

    def __init__(
        self, runs: Sequence[Run], table: Table, printed: PaperTable | None, refused: list[str]
    ) -> None:
        self._runs, self._table, self._printed, self._refused = runs, table, printed, refused
        self._notes: list[str] = []
        self._names = printed.columns if printed else ()

    def grid(self, lines: Sequence[Line], *, rest: bool = False) -> Grid:
        rows = tuple(map(self._row, lines))
        printed = self._printed
        signatures = dict.fromkeys(
            f"{cell.cell.task}:{cell.cell.protocol} {cell.cell.metric}  {cell.cell.signature.line()}"
            for row in rows
            for cell in row.cells
            if cell.cell
        )
        remarks = [printed.caption, *printed.notes] if printed else []
        if any(cell.best for row in rows for cell in row.cells):
            remarks.append(EXPLAINED)
        own = "Rows that the printed tables do not have" if rest else self._table.title
        return Grid(
            title=printed.title if printed else own,
            columns=(
                *(GridColumn(name, "printed") for name in self._names),
                *(GridColumn(run.name, "run") for run in self._runs),
            ),
            rows=rows,
            notes=tuple(self._notes),
            signatures=tuple(signatures),
            remarks=tuple(filter(None, remarks)),
            id=printed.id if printed else "",
            source=printed.source if printed else "",
        )

    def _row(self, line: Line) -> GridRow:
        row, key = line.printed, line.key
        answers = [run.cells.get(key) if key else None for run in self._runs]
        first = yardstick(filter(None, answers))
        cells = [self._figure(row, name, first) for name in self._names] if row else []
        start = len(cells)
        cells += [self._answer(row, cell, first) for cell in answers]
        higher = row.higher_is_better if row else bool(first and first.higher_is_better)
        alike = {
            start + i: (run.store, cell)
            for i, (run, cell) in enumerate(zip(self._runs, answers, strict=True))
            if cell and first and not apart(first, cell) and not (row and row.group)
        }
        met = duels(alike)
        target = first.traits.best if first else None
        top = best(cells, higher, met, target)
        for i, cell in enumerate(cells):
            cells[i] = dataclasses.replace(
                cell,
                best=i == top,
                against={
                    self._runs[j - start].name: (duel.won, duel.lost)
                    for (a, j), duel in met.items()
                    if a == i
                },
            )
        task, protocol, metric = key or (row.task if row else "", "", "")
        return GridRow(
            label=row.name if row else f"{task}:{protocol}",
            task=task,
            protocol=protocol,
            metric=row.metric if row and row.metric else metric,
            unit=row.unit if row else first.unit if first else "",
            higher_is_better=higher,
            section=row.section if row else "",
            cells=tuple(cells),
            target=target,
        )

    def _figure(self, row: PaperRow, column: str, first: TableCell | None) -> GridCell:
        """A printed figure beside the row's first run."""
        figure: Figure | None = row.figures.get(column)
        if figure is None or figure.value is None:
            return GridCell("empty", figure.text if figure and figure.text else NOT_PRINTED)
        assert self._printed is not None
        marks = [self._number(self._printed.footnotes[mark]) for mark in figure.marks]
        difference = differs(first, row, figure) if first else ""
        if difference:
            self._refuse(f"{row.name}, {column}: {difference}")
            marks.append(self._number(difference))
        return GridCell(
            "printed",
            figure.text,
            figure.value,
            figure.low,
            figure.high,
            protocol=figure.protocol,
            unit=figure.unit if figure.unit != row.unit else "",
            marks=tuple(dict.fromkeys(marks)),
            comparable=not difference and not (first and not_whole(first)),
        )

    def _answer(self, row: PaperRow | None, cell: TableCell | None, first: TableCell | None) -> GridCell:
        """A run's figure: the whole benchmark's, or a group's where the printed row is of one."""
        if cell is None:
            return GridCell("empty", NOT_RUN if row is None or row.task else NO_TASK)
        figure = cell.groups.get(row.group) if row and row.group else cell
        if figure is None:
            return GridCell("empty", NO_SAMPLE)
        marks = [self._number(self._table.notes[mark - 1]) for mark in cell.marks]
        part = not_whole(cell)
        if part and row:
            self._refuse(f"{cell.model} on {cell.task}:{cell.protocol}: {part}")
            if part == SMALL:  # all else stands among the table's notes
                marks.append(self._number(part))
        if cell.traits.whole_corpus or (row is not None and row.whole_corpus):
            marks.append(self._number(corpus_words(cell)))
        differences = apart(first, cell) if first else []
        if differences:
            self._refuse(f"{cell.model} on {cell.task}:{cell.protocol}: {'; '.join(differences)}")
        whole = figure is cell
        return GridCell(
            "run",
            figure_text(figure.value, figure.low, figure.high),
            figure.value,
            figure.low,
            figure.high,
            figure.n,
            protocol=cell.protocol,
            marks=tuple(dict.fromkeys(marks)),
            comparable=not differences,
            cell=cell,
            outcomes=cell.told if whole else {},
        )

    def _number(self, note: str) -> int:
        if note not in self._notes:
            self._notes.append(note)
        return self._notes.index(note) + 1

    def _refuse(self, why: str) -> None:
        if why not in self._refused:
            self._refused.append(why)


def figure_text(value: float | None, low: float | None, high: float | None) -> str:
    """A value with the digits that its interval supports.

    The last digit is worth no less than a hundredth of the interval's width: an interval of more than 10
    is given no decimal, of 1 to 10 one, of 0.1 to 1 two, of less three. Without an interval, one decimal.
    """
    return "—" if value is None else f"{value:.{decimals(low, high)}f}"


def interval_text(low: float | None, high: float | None) -> str:
    """`50.5–55.9`, with the digits of `figure_text`; "" where there is none."""
    if low is None or high is None:
        return ""
    digits = decimals(low, high)
    return f"{low:.{digits}f}–{high:.{digits}f}"


def decimals(low: float | None, high: float | None) -> int:
    """Decimals that an interval supports, see `figure_text`."""
    if low is None or high is None or not math.isfinite(high - low):
        return 1
    width = high - low
    return 3 if width < 0.01 else min(3, max(0, math.floor(2 - math.log10(width) + 1e-9)))


def _row_json(row: GridRow) -> dict[str, JSON]:
    kept = ("label", "task", "protocol", "metric", "unit", "higher_is_better", "section")
    return {
        **{key: getattr(row, key) for key in kept},
        "cells": [_cell_json(cell) for cell in row.cells],
    }


def _cell_json(cell: GridCell) -> dict[str, JSON]:
    whole = {
        entry.name: getattr(cell, entry.name) for entry in dataclasses.fields(cell) if entry.name != "cell"
    }
    return {
        **whole,
        "marks": list(cell.marks),
        "outcomes": dict(cell.outcomes),
        "against": {name: list(pair) for name, pair in cell.against.items()},
        "signature": cell.cell.signature.short if cell.cell else None,
    }
