"""The figures of groups that have two keys, by row and column (`Task.heat_map`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalkit.benchmark.spec import HeatMap
from evalkit.runfile.records import natural
from evalkit.samples import JSON


@dataclass(frozen=True, slots=True)
class Group:
    """A figure over the samples of one group or tag. `value`, `low` and `high` are in the cell's unit.

    The interval is None if all samples belong to one cluster.
    """

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Heat:
    """The figures by (row, column); both are in natural order. A combination without samples has none."""

    keys: HeatMap
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    figures: Mapping[tuple[str, str], Group]

    def as_json(self) -> JSON:
        """What the keys are, and the figures row by row."""
        return {
            "rows": {"name": self.keys.rows, "keys": list(self.rows)},
            "columns": {"name": self.keys.columns, "keys": list(self.columns)},
            "figures": [
                {
                    "row": row,
                    "column": column,
                    "value": one.value,
                    "low": one.low,
                    "high": one.high,
                    "n": one.n,
                }
                for row in self.rows
                for column in self.columns
                if (one := self.figures.get((row, column)))
            ],
        }


def heat_of(keys: HeatMap | None, groups: Mapping[str, Group]) -> Heat | None:
    """The figures of `groups` by their two keys; None if the task declares none or no group has a figure."""
    if keys is None:
        return None
    figures = {found: group for name, group in groups.items() if (found := keys.keys(name))}
    rows, columns = (tuple(sorted({key[i] for key in figures}, key=natural)) for i in (0, 1))
    return Heat(keys, rows, columns, figures) if figures else None
