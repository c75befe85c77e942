"""A metric's figures of a cell: the whole, and each group and tag, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.errors import EvalkitError, UsageError
from evalkit.metrics.base import Metric, traits_of
from evalkit.runfile.records import CellData, StoredFigure, natural

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
    """The whole's figure first, then those of groups, then those of tags, each in their natural order.

    `matrix`: (judged samples, columns) of `metric`. Under a mean over groups a tag's figure is the mean too,
    of the groups' samples that carry it; a group's is that of its samples, under any metric. A rate over
    nothing, such as of words where all references are empty, is none. There is none at all while statistics
    that depend on all samples are not taken yet.
    """
    import numpy as np

    if np.isnan(matrix).any():
        return [StoredFigure(metric.name, WHOLE, None, None, None, len(matrix))]
    judged = [row for row, kept in enumerate(data.scored) if kept]
    samples = _Samples(metric, matrix, [data.clusters[i] for i in judged], [data.groups[i] for i in judged])
    named: dict[str, list[int]] = {}
    tagged: dict[str, list[int]] = {}
    for row, sample in enumerate(judged):
        if data.groups[sample]:
            named.setdefault(data.groups[sample], []).append(row)
        for tag in data.tags[sample]:
            tagged.setdefault(tag, []).append(row)
    over = samples.mean if traits_of(metric).average else samples.figure
    found = {name: samples.figure(named[name]) for name in sorted(named, key=natural)}
    found |= {name: over(tagged[name]) for name in sorted(tagged, key=natural)}
    whole = over(range(len(matrix))) or StoredFigure(metric.name, WHOLE, None, None, None, 0)
    return [whole, *(replace(one, group=name) for name, one in found.items() if one is not None)]


class _Samples:
    """The judged samples of a cell, by one metric."""

    def __init__(
        self, metric: Metric, matrix: Floats, clusters: Sequence[str], groups: Sequence[str]
    ) -> None:
        from evalkit.stats.aggregates import aggregate_of, counted

        self._name, self._matrix, self._clusters, self._groups = metric.name, matrix, clusters, groups
        self._aggregate, self._counted = aggregate_of(metric), counted(metric, matrix)

    def figure(self, rows: Sequence[int]) -> StoredFigure | None:
        """Of all `rows` together that are not outside of the figure."""
        rows = self._inside(rows)
        if not rows:
            return None
        matrix, clusters = self._of(rows)
        value = self._aggregate.figure(matrix)
        if math.isnan(value):
            return None
        low, high = self._aggregate.interval(matrix, clusters) or (None, None)
        return self._stored(value, low, high, rows)

    def mean(self, rows: Sequence[int]) -> StoredFigure | None:
        """Of the groups that `rows` are of, each of which counts the same; those of no group are left out."""
        named: dict[str, list[int]] = {}
        for row in self._inside(rows):
            if self._groups[row]:
                named.setdefault(self._groups[row], []).append(row)
        values = {name: self._aggregate.figure(self._of(of)[0]) for name, of in named.items()}
        kept = [name for name, value in values.items() if not math.isnan(value)]
        if not kept:
            return None
        parts = [self._of(named[name]) for name in kept]
        low, high = self._aggregate.macro_interval(parts) or (None, None)
        value = sum(values[name] for name in kept) / len(kept)
        return self._stored(value, low, high, [row for name in kept for row in named[name]])

    def _stored(
        self, value: float, low: float | None, high: float | None, rows: Sequence[int]
    ) -> StoredFigure:
        n = round(float(self._counted[rows].sum()))
        return StoredFigure(self._name, WHOLE, value, low, high, n)

    def _inside(self, rows: Sequence[int]) -> list[int]:
        return [row for row in rows if self._counted[row]]

    def _of(self, rows: Sequence[int]) -> tuple[Floats, Sequence[str]]:
        return self._matrix[rows], [self._clusters[row] for row in rows]
