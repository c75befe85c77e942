"""A metric's figures of a cell: the whole, and each group and tag, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.errors import EvalkitError, UsageError
from evalkit.metrics.base import Metric, traits_of
from evalkit.rows import CellData, StoredFigure

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats

WHOLE = ""
"""As a group: all samples."""


def figures_of(metrics: Iterable[Metric], data: CellData) -> list[StoredFigure]:
    """The figures of a cell by all of its metrics, whose columns lie in `data.matrix` one after the other.

    Raises `UsageError` for a metric of a user's whose `finish` fails.
    """
    start, found = 0, list[StoredFigure]()
    for metric in metrics:
        end = start + len(metric.columns)
        try:
            found += figures(metric, data.matrix[:, start:end], data)
        except EvalkitError:
            raise
        except Exception as error:
            raise UsageError(
                f"the metric {metric.name!r} fails ({type(error).__name__}: {error}); every answer is "
                "stored: correct it, then measure with evalkit rescore"
            ) from error
        start = end
    return found


def figures(metric: Metric, matrix: Floats, data: CellData) -> list[StoredFigure]:
    """The whole's figure first, then those of groups, then those of tags, each in alphabetical order.

    `matrix`: (judged samples, columns) of `metric`. Under a mean over groups a tag's figure is the mean too,
    of the groups' samples that carry it; a group's is that of its samples, under any metric. A rate over
    nothing, such as of words where all references are empty, is none.
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
    over = samples.mean if traits_of(metric).average else samples.figure
    found = {name: samples.figure(rows) for name, rows in sorted(named.items())}
    found |= {name: over(rows) for name, rows in sorted(tagged.items())}
    whole = over(range(len(matrix))) if len(matrix) else None
    if whole is None:
        whole = StoredFigure(metric.name, WHOLE, None, None, None, len(matrix))
    return [whole, *(replace(one, group=name) for name, one in found.items() if one is not None)]


@dataclass(frozen=True, slots=True)
class _Samples:
    metric: Metric
    matrix: Floats
    clusters: Sequence[str]
    groups: Sequence[str]

    def figure(self, rows: Sequence[int]) -> StoredFigure | None:
        """Of all `rows` together."""
        from evalkit.statistics import interval

        matrix, clusters = self._of(rows)
        value = float(self.metric.finish(matrix.sum(axis=0)))
        if math.isnan(value):
            return None
        low, high = interval(matrix, self.metric.finish, clusters) or (None, None)
        return StoredFigure(self.metric.name, WHOLE, value, low, high, len(matrix))

    def mean(self, rows: Sequence[int]) -> StoredFigure | None:
        """Of the groups that `rows` are of, each of which counts the same; those of no group are left out."""
        from evalkit.statistics import macro_interval

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
        value, n = sum(values[i] for i in kept) / len(kept), sum(len(parts[i][0]) for i in kept)
        return StoredFigure(self.metric.name, WHOLE, value, low, high, n)

    def _of(self, rows: Sequence[int]) -> tuple[Floats, Sequence[str]]:
        return self.matrix[rows], [self.clusters[row] for row in rows]
