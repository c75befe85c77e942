"""Makes grids from tables: the place of each cell, its marks, and what `strict` refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.errors import UsageError, unknown
from evalkit.report.choice import DASH, no_task
from evalkit.report.comparable import apart, corpus_words, differs, yardstick
from evalkit.report.derived import compared, compared_text, figure_of
from evalkit.report.digits import figure_text
from evalkit.report.grid import (
    ABOVE,
    BASE_NOT_RUN,
    NO_FIGURE,
    NO_SAMPLE,
    NO_TASK,
    NOT_COMPARABLE,
    NOT_PRINTED,
    NOT_RUN,
    Grid,
    GridCell,
    GridColumn,
    GridRow,
)
from evalkit.report.layout import (
    PAIRED,
    ComparedColumn,
    Key,
    PlannedRow,
    RunColumn,
    compared_columns,
    placed_rows,
    planned_rows,
    runs_of,
    without_base,
)
from evalkit.report.significance import EXPLAINED, best, head_to_heads
from evalkit.report.table import signature_line
from evalkit.reports import reserved
from evalkit.runfile.completeness import SMALL

if TYPE_CHECKING:
    from evalkit.report.paper import Figure, PaperRow, PaperTable
    from evalkit.report.table import Table
    from evalkit.runfile.cells import TableCell
    from evalkit.runfile.store import Store

_REFUSALS = 20
"""The highest number of reasons that the error of `strict` gives."""


def build_grids(
    stores: Sequence[Store],
    table: Table,
    tables: Sequence[PaperTable] = (),
    *,
    strict: bool = False,
    relative_to: str = "",
) -> tuple[Grid, ...]:
    """The rows of `table`, which `build_table` made from `stores`, with one column per run.

    With printed `tables` there is one grid for each, with all its rows, and with its columns before those of
    the runs; then one grid with the rows that no printed table has. `strict`: raises `UsageError` if a run's
    figure would be beside one that is not comparable with it, instead of marking it. `relative_to`: the base
    run of ratios and differences, if a printed table has such columns; default: the one that the table names.
    """
    runs = runs_of(stores, table)
    if relative_to and relative_to not in (names := [run.name for run in runs]):
        raise unknown("base run", relative_to, names)
    rows = list(dict.fromkeys(cell.row for cell in table.cells))
    grids = []
    left = dict.fromkeys(rows)
    refused: list[str] = []
    placed = placed_rows(tables, rows, runs)
    for printed in tables:
        builder = _Builder(runs, table, printed, refused, relative_to)
        planned = list(planned_rows(printed, rows, runs, placed))
        grids.append(builder.grid(planned))
        for row in planned:
            if row.key is not None:
                left.pop(row.key, None)
    if left or not tables:
        builder = _Builder(runs, table, None, refused)
        grids.append(builder.grid([PlannedRow(key) for key in left], rest=bool(tables)))
    if strict and refused:
        more = [f"and {len(refused) - _REFUSALS} more"] if len(refused) > _REFUSALS else []
        raise UsageError("\n  ".join(["--strict: figures are not comparable", *refused[:_REFUSALS], *more]))
    return tuple(grids)


class _Builder:
    """Builds one grid: numbers the notes, and adds figures that are not comparable to `refused`."""

    def __init__(
        self,
        runs: Sequence[RunColumn],
        table: Table,
        printed: PaperTable | None,
        refused: list[str],
        relative_to: str = "",
    ) -> None:
        self._runs, self._table, self._printed, self._refused = runs, table, printed, refused
        self._notes: list[str] = []
        self._names = printed.columns if printed else ()
        self._compared = printed.compared if printed else {}
        self._pairs = list(compared_columns(self._compared.values(), runs, relative_to))
        self._tasks = {cell.task for cell in table.cells}

    def grid(self, planned: Sequence[PlannedRow], *, rest: bool = False) -> Grid:
        rows = tuple(map(self._row, planned))
        printed = self._printed
        signatures = dict.fromkeys(
            signature_line(cell.cell) for row in rows for cell in row.cells if cell.cell
        )
        remarks = [printed.caption, *printed.notes, without_base(printed, self._pairs)] if printed else []
        remarks += no_task(rows)
        if self._pairs:
            remarks.append(PAIRED)
        if any(cell.best for row in rows for cell in row.cells):
            remarks.append(EXPLAINED)
        if any(cell.text == NOT_PRINTED for row in rows for cell in row.cells):
            remarks.append(DASH)
        own = "Rows that the printed tables do not have" if rest else self._table.title
        return Grid(
            title=printed.title if printed else own,
            columns=(
                *(GridColumn(name, "printed") for name in self._names),
                *(GridColumn(run.name, "run") for run in self._runs),
                *(GridColumn(pair.name, "compared") for pair in self._pairs),
            ),
            rows=rows,
            notes=tuple(self._notes),
            signatures=tuple(signatures),
            remarks=tuple(filter(None, remarks)),
            asides=printed.asides if printed else (),
            id=printed.id if printed else "",
            source=printed.source if printed else "",
        )

    def _row(self, planned: PlannedRow) -> GridRow:
        row, key = planned.printed, planned.key
        answers = [run.cells.get(key) if key else None for run in self._runs]
        first = yardstick(filter(None, answers))
        cells = [self._figure(row, name, first) for name in self._names] if row else []
        start = len(cells)
        if planned.elsewhere:
            cells += [GridCell("empty", f"{ABOVE} {planned.elsewhere}")] * len(answers)
        else:
            cells += [self._answer(row, *one, first) for one in zip(self._runs, answers, strict=True)]
        higher = row.higher_is_better if row else bool(first and first.higher_is_better)
        alike = {
            start + i: (run.store_of(cell), cell)
            for i, (run, cell) in enumerate(zip(self._runs, answers, strict=True))
            if cell and first and not apart(first, cell) and not (row and (row.group or row.macro))
        }
        contests = head_to_heads(alike)
        target = first.traits.best if first else None
        top = best(cells, higher, contests, target)
        for i, cell in enumerate(cells):
            cells[i] = dataclasses.replace(
                cell,
                best=i == top,
                against={
                    self._runs[j - start].name: contest for (a, j), contest in contests.items() if a == i
                },
            )
        cells += [self._set_against(row, key, pair) for pair in self._pairs]
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
        """The cell of a printed figure, marked if it is not comparable with the row's first run."""
        figure: Figure | None = row.figures.get(column)
        if figure is None or figure.value is None:
            return GridCell("empty", figure.text if figure and figure.text else NOT_PRINTED)
        assert self._printed is not None
        marks = [self._number(self._printed.footnotes[mark]) for mark in figure.marks]
        compared = column in self._compared
        # The heading says that it is a ratio; its protocol is compared with the run's like any other.
        alike = dataclasses.replace(figure, unit="") if compared else figure
        difference = differs(first, row, alike) if first else ""
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
            comparable=not difference and not compared and not (first and first.completeness.lacking),
        )

    def _answer(
        self, row: PaperRow | None, run: RunColumn, cell: TableCell | None, first: TableCell | None
    ) -> GridCell:
        """The cell of a run's figure: of the whole benchmark, or of the part that the row is about."""
        if cell is None:
            return self._not_run(row)
        figure = figure_of(row, run.store_of(cell), cell)
        if figure is None:
            return GridCell("empty", NO_SAMPLE)
        if isinstance(figure, str):
            return self._without(f"{cell.model} on {cell.task}, {row.name if row else cell.metric}: {figure}")
        marks = self._marks(row, cell)
        differences = apart(first, cell) if first else []
        if differences:
            self._refuse(f"{cell.model} on {cell.task}:{cell.protocol}: {'; '.join(differences)}")
        whole = figure is cell
        return GridCell(
            "run",
            figure_text(figure.value, figure.low, figure.high, cell.measured.decimals),
            figure.value,
            figure.low,
            figure.high,
            figure.n,
            protocol=cell.protocol,
            marks=marks,
            comparable=not differences,
            cell=cell,
            outcomes=cell.told if whole else {},
        )

    def _set_against(self, row: PaperRow | None, key: Key | None, pair: ComparedColumn) -> GridCell:
        """The cell of the ratio or difference of a run's figure and that of the base run."""
        base, head = (run.cells.get(key) if key else None for run in (pair.base, pair.head))
        if head is None or base is None:
            return GridCell("empty", BASE_NOT_RUN) if head else self._not_run(row)
        where = f"{head.model} on {head.task}:{head.protocol}"
        if differences := apart(base, head):
            why = f"{where} is not comparable with {base.model}; {'; '.join(differences)}"
            self._refuse(why)
            return self._without(why, NOT_COMPARABLE)
        figure = compared(pair.kind, (pair.base.store_of(base), base), (pair.head.store_of(head), head), row)
        if isinstance(figure, str):
            return self._without(f"{where}, {pair.name}: {figure}")
        marks = dict.fromkeys(mark for cell in (base, head) for mark in self._marks(row, cell))
        return GridCell(
            "compared",
            compared_text(pair.kind, figure),
            figure.value,
            figure.low,
            figure.high,
            figure.n,
            protocol=head.protocol,
            unit=pair.unit(row.unit if row else head.unit),
            marks=tuple(marks),
            comparable=False,
            cell=head,
        )

    def _marks(self, row: PaperRow | None, cell: TableCell) -> tuple[int, ...]:
        """The numbers of the notes on a run's figure; in a printed row also that it covers only a part."""
        marks = [self._number(self._table.notes[mark - 1]) for mark in cell.marks]
        part = cell.completeness.lacking
        if part and row:
            self._refuse(f"{cell.model} on {cell.task}:{cell.protocol}: {part}")
            if part == SMALL:  # everything else is among the table's notes
                marks.append(self._number(part))
        if cell.traits.whole_corpus or (row is not None and row.whole_corpus):
            marks.append(self._number(corpus_words(cell)))
        return tuple(dict.fromkeys(marks))

    def _not_run(self, row: PaperRow | None) -> GridCell:
        kept = row and (not row.task or (row.task in reserved() and row.task not in self._tasks))
        return GridCell("empty", NO_TASK if kept else NOT_RUN)

    def _without(self, why: str, text: str = NO_FIGURE) -> GridCell:
        return GridCell("empty", text, marks=(self._number(why),))

    def _number(self, note: str) -> int:
        if note not in self._notes:
            self._notes.append(note)
        return self._notes.index(note) + 1

    def _refuse(self, why: str) -> None:
        if why not in self._refused:
            self._refused.append(why)
