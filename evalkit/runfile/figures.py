"""Computes a metric's figures for a cell: for all samples, each group and each tag, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.errors import EvalkitError, UsageError
from evalkit.metrics.base import Metric, traits_of
from evalkit.runfile.records import CellData, StoredFigure, natural

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats

WHOLE = ""
"""The `group` of the figure over all samples."""


def figures_of(metrics: Iterable[Metric], data: CellData) -> list[StoredFigure]:
    """Returns the figures of a cell for all of its metrics, whose columns follow each other in `data.matrix`.

    Raises `UsageError` if the `finish` of a user's metric fails.
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
                f"the metric {metric.name!r} fails ({type(error).__name__}: {error}); every response is "
                "stored: correct the metric, then run evalkit rescore"
            ) from error
        start = end
    return found


def figures(metric: Metric, matrix: Floats, data: CellData) -> list[StoredFigure]:
    """Returns the figure over all samples, then those of groups, then those of tags, in natural order.

    `matrix`: (scored samples, columns) of `metric`. If the metric is a mean over groups, a tag's figure is
    that mean over the samples with the tag; a group's figure is always computed from its samples directly. A
    rate over nothing, such as a word error rate with only empty references, has no figure. While statistics
    that depend on all samples are missing, no group has a figure.
    """
    import numpy as np

    if np.isnan(matrix).any():
        return [StoredFigure(metric.name, WHOLE, None, None, None, len(matrix))]
    samples = _Samples.of(metric, matrix, data)
    named: dict[str, list[int]] = {}
    tagged: dict[str, list[int]] = {}
    for row, sample in enumerate(_scored(data)):
        if data.groups[sample]:
            named.setdefault(data.groups[sample], []).append(row)
        for tag in data.tags[sample]:
            tagged.setdefault(tag, []).append(row)
    over = samples.mean if traits_of(metric).average else samples.figure
    found = {name: samples.figure(named[name]) for name in sorted(named, key=natural)}
    found |= {name: over(tagged[name]) for name in sorted(tagged, key=natural)}
    whole = over(range(len(matrix))) or StoredFigure(metric.name, WHOLE, None, None, None, 0)
    return [whole, *(replace(one, group=name) for name, one in found.items() if one is not None)]


def figures_by(
    metric: Metric, matrix: Floats, data: CellData, part_of: Mapping[int, int]
) -> dict[int, StoredFigure]:
    """Returns the figure over each part of the samples, by its number, in order.

    `part_of`: the part of a sample, by its position in the data set; a sample that it lacks is in none. The
    other arguments, and what a part has no figure for, are as in `figures`; a part is like a tag.
    """
    import numpy as np

    if np.isnan(matrix).any():
        return {}
    samples = _Samples.of(metric, matrix, data)
    rows: dict[int, list[int]] = {}
    for row, sample in enumerate(_scored(data)):
        if (part := part_of.get(data.positions[sample])) is not None:
            rows.setdefault(part, []).append(row)
    over = samples.mean if traits_of(metric).average else samples.figure
    return {part: found for part in sorted(rows) if (found := over(rows[part])) is not None}


def _scored(data: CellData) -> Sequence[int]:
    """The places of the scored samples among all, in the order of the matrix."""
    if data.scored.all():
        return range(len(data.scored))
    return [place for place, kept in enumerate(data.scored) if kept]


class _Samples:
    """The scored samples of a cell, with their statistics for one metric."""

    @classmethod
    def of(cls, metric: Metric, matrix: Floats, data: CellData) -> _Samples:
        clusters, groups = data.clusters, data.groups
        if not data.scored.all():
            clusters, groups = ([of[place] for place in _scored(data)] for of in (clusters, groups))
        return cls(metric, matrix, clusters, groups)

    def __init__(
        self, metric: Metric, matrix: Floats, clusters: Sequence[str], groups: Sequence[str]
    ) -> None:
        from evalkit.stats.aggregates import aggregate_of, counted

        self._name, self._matrix, self._clusters, self._groups = metric.name, matrix, clusters, groups
        self._aggregate, self._counted = aggregate_of(metric), counted(metric, matrix)

    def figure(self, rows: Sequence[int]) -> StoredFigure | None:
        """Returns the figure over those `rows` that count towards it; None if there are none."""
        rows = self._inside(rows)
        if not rows:
            return None
        matrix, clusters = self._of(rows)
        value = self._aggregate.figure(matrix)
        if not math.isfinite(value):  # undefined, or too large for a number, as the exponential of a mean
            return None
        low, high = self._aggregate.interval(matrix, clusters) or (None, None)
        return self._stored(value, low, high, rows)

    def mean(self, rows: Sequence[int]) -> StoredFigure | None:
        """Returns the mean over the groups of `rows` with equal weights; rows without a group are omitted."""
        named: dict[str, list[int]] = {}
        for row in self._inside(rows):
            if self._groups[row]:
                named.setdefault(self._groups[row], []).append(row)
        values = {name: self._aggregate.figure(self._of(of)[0]) for name, of in named.items()}
        kept = [name for name, value in values.items() if math.isfinite(value)]
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
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
            low = high = None
        return StoredFigure(self._name, WHOLE, value, low, high, n)

    def _inside(self, rows: Sequence[int]) -> Sequence[int]:
        return rows if self._counted.all() else [row for row in rows if self._counted[row]]

    def _of(self, rows: Sequence[int]) -> tuple[Floats, Sequence[str]]:
        if len(rows) == len(self._matrix):  # all of them, in order
            return self._matrix, self._clusters
        return self._matrix[rows], [self._clusters[row] for row in rows]
