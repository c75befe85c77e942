"""The data of a grid: one row per benchmark, with printed models and then runs as columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from evalkit.samples import JSON

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.report.significance import HeadToHead
    from evalkit.runfile.cells import TableCell


NO_TASK, NOT_RUN, NO_SAMPLE, NOT_PRINTED = "no task yet", "not run", "no sample", "—"
"""The texts of empty cells: evalkit does not have the benchmark; the run does not have it; the run judged no
sample of the row's group; the paper has no figure."""
ABOVE = "see"
"""The text of an empty cell, before the name of the row that has the run's figure."""
NO_FIGURE, BASE_NOT_RUN, NOT_COMPARABLE = "no figure", "base not run", "not comparable"
"""The texts of empty cells whose figure is computed from others. For the first and the last, a footnote
gives the reason."""


@dataclass(frozen=True, slots=True)
class GridCell:
    """A figure of a run, a printed figure, or an empty cell. `value`, `low`, `high` are in the row's unit.

    `kind`: a `compared` cell is the ratio or difference of two runs, on the `n` samples that both judged;
    its `cell` is the one that is compared with the base. `text`: a run's value with the digits that its
    interval supports, a printed value as printed, or why there is none. `comparable`: whether the figure is
    comparable with the row's first run. `marks`: numbers of the grid's notes. `best`: better than every
    comparable figure in the row, see `evalkit.report.significance`.
    """

    kind: Literal["run", "printed", "compared", "empty"]
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    protocol: str = ""
    """A run's protocol by its name with overrides, a printed figure's as printed."""
    unit: str = ""
    """The unit if it is not the row's, as for the ratio or difference of two figures."""
    marks: tuple[int, ...] = ()
    best: bool = False
    comparable: bool = True
    cell: TableCell | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    against: Mapping[str, HeadToHead] = field(default_factory=dict)
    """What was won and lost against each other run column whose cell is comparable."""


@dataclass(frozen=True, slots=True)
class GridRow:
    """The figures of one benchmark. `protocol`: that of the runs, without overrides; "" without a run."""

    label: str
    task: str
    protocol: str
    metric: str
    unit: str
    higher_is_better: bool
    section: str
    cells: tuple[GridCell, ...]
    """One cell per column."""
    target: float | None = None
    """The best value, if higher and lower values are both worse."""


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A column of a grid. `kind` `compared`: a run's figures relative to those of the base run."""

    name: str
    kind: Literal["run", "printed", "compared"]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with one row per benchmark and one column per model.

    `notes`: numbered from 1; cells refer to these numbers. `remarks`: sentences about the whole grid.
    `asides`: sentences about the paper that no row needs; `evalkit.report.choice` leaves them out of chosen
    tables. `hints`: how to see what is left out. `id`: that of the printed table; "" for rows that are in no
    printed table.
    """

    title: str
    columns: tuple[GridColumn, ...]
    rows: tuple[GridRow, ...]
    notes: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    id: str = ""
    source: str = ""

    @property
    def has_runs(self) -> bool:
        return any(cell.kind == "run" for row in self.rows for cell in row.cells)

    def as_json(self) -> dict[str, JSON]:
        """The grid as JSON, with unrounded values. A run's cell is named by task, protocol and metric."""
        return {
            "id": self.id,
            "title": self.title,
            "source": self.source,
            "columns": [{"name": column.name, "kind": column.kind} for column in self.columns],
            "rows": [_row_json(row) for row in self.rows],
            "notes": list(self.notes),
            "remarks": [*self.remarks, *self.asides],
        }

    def flat(self) -> list[dict[str, JSON]]:
        """One row per cell, including empty and printed ones, for CSV and pandas."""
        return [
            {
                "table": self.id or self.title,
                "section": row.section,
                "row": row.label,
                "task": row.task,
                "metric": row.metric,
                "unit": cell.unit or row.unit,
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
                    f"{name}: won {one.won}, lost {one.lost}" for name, one in cell.against.items()
                ),
                "notes": "; ".join(self.notes[mark - 1] for mark in cell.marks),
                "signature": cell.cell.signature.line() if cell.cell else "",
            }
            for row in self.rows
            for column, cell in zip(self.columns, row.cells, strict=True)
        ]

    def to_pandas(self) -> pd.DataFrame:
        """A data frame with one row per cell, as in `flat`."""
        import pandas as pd

        return pd.DataFrame(self.flat())


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
        "against": {name: dataclasses.asdict(one) for name, one in cell.against.items()},
        "signature": cell.cell.signature.short if cell.cell else None,
    }
