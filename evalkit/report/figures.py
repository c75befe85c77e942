"""A metric's figures of a cell: the whole, and each group and tag."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.metrics.base import Metric, traits_of
from evalkit.statistics import interval, macro_interval
from evalkit.store import CellData

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats


@dataclass(frozen=True, slots=True)
class Group:
    """A figure over the samples of one group or tag. `value`, `low`, `high` in the cell's unit.

    Without an interval (None) where they are all of one cluster.
    """

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Figures:
    """`value`, `low`, `high`: None where there is none. `groups`: by group, then by tag, alphabetically."""

    value: float | None
    low: float | None
    high: float | None
    groups: dict[str, Group]


def figures_of(metric: Metric, matrix: Floats, data: CellData) -> Figures:
    """`matrix`: (judged samples, columns) of `metric`.

    Under a mean over groups a tag's figure is the mean too, of the groups' samples that carry it; a group's
    is that of its samples, under any metric. A rate over nothing, such as of words where all references are
    empty, is none.
    """
    judged = [row for row, kept in enumerate(data.judged) if kept]
    samples = _Samples(metric, matrix, [data.clusters[i] for i in judged], [data.groups[i] for i in judged])
    named: dict[str, list[int]] = {}
    tagged: dict[str, list[int]] = {}
    for row, sample in enumerate(judged):
        if data.groups[sample]:
            named.setdefault(data.groups[sample], []).append(row)
        for tag in data.tags[sample]:
            tagged.setdefault(tag, []).append(row)
    macro = bool(traits_of(metric).average)
    over = samples.mean if macro else samples.figure
    found = {name: samples.figure(rows) for name, rows in sorted(named.items())}
    found |= {name: over(rows) for name, rows in sorted(tagged.items())}
    groups = {name: group for name, group in found.items() if group is not None}
    whole = over(range(len(matrix))) if len(matrix) else None
    if whole is None:
        return Figures(None, None, None, groups)
    return Figures(whole.value, whole.low, whole.high, groups)


@dataclass(frozen=True, slots=True)
class _Samples:
    metric: Metric
    matrix: Floats
    clusters: Sequence[str]
    groups: Sequence[str]

    def figure(self, rows: Sequence[int]) -> Group | None:
        """Of all `rows` together."""
        matrix, clusters = self._of(rows)
        value = float(self.metric.finish(matrix.sum(axis=0)))
        if math.isnan(value):
            return None
        low, high = interval(matrix, self.metric.finish, clusters) or (None, None)
        return Group(value, low, high, len(matrix))

    def mean(self, rows: Sequence[int]) -> Group | None:
        """Of the groups that `rows` are of, each of which counts the same; those of no group are left out."""
        named: dict[str, list[int]] = {}
        for row in rows:
            if self.groups[row]:
                named.setdefault(self.groups[row], []).append(row)
        parts = [self._of(of) for of in named.values()]
        values = [float(self.metric.finish(matrix.sum(axis=0))) for matrix, _ in parts]
        kept = [i for i, value in enumerate(values) if not math.isnan(value)]
        if not kept:
            return None
        low, high = macro_interval([parts[i] for i in kept], self.metric.finish) or (None, None)
        value = sum(values[i] for i in kept) / len(kept)
        return Group(value, low, high, sum(len(parts[i][0]) for i in kept))

    def _of(self, rows: Sequence[int]) -> tuple[Floats, Sequence[str]]:
        return self.matrix[rows], [self.clusters[row] for row in rows]
