"""Figures of a cell by one metric: of the whole, and of each group and tag, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.metrics.base import Metric
from evalkit.rows import CellData, StoredFigure

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats

WHOLE = ""
"""As a group: all samples."""


def figures(metric: Metric, matrix: Floats, data: CellData, *, macro: bool) -> list[StoredFigure]:
    """The whole's figure first, then those of groups, then those of tags, each in alphabetical order.

    `matrix`: the metric's columns of `data.matrix`. `macro`: the whole is the mean of the groups' figures.
    """
    import numpy as np

    from evalkit.statistics import macro_interval

    if not len(matrix):
        return [StoredFigure(metric.name, WHOLE, None, None, None, 0)]
    judged = np.flatnonzero(data.judged)
    clusters = [data.clusters[row] for row in judged]
    whole = _figure(metric, WHOLE, matrix, clusters)
    members: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
    for row, sample in enumerate(judged):
        if data.groups[sample]:
            members[0].setdefault(data.groups[sample], []).append(row)
        for tag in data.tags[sample]:
            members[1].setdefault(tag, []).append(row)
    parts = {
        name: part
        for keyed in members
        for name, rows in sorted(keyed.items())
        # A rate over nothing, such as of words where all references are empty, is none.
        if (part := _figure(metric, name, matrix[rows], [clusters[row] for row in rows])).value is not None
    }
    if macro:
        counted = {name: rows for name, rows in members[0].items() if name in parts}
        value = low = high = None
        if counted:
            value = float(np.mean([parts[name].value for name in counted]))
            groups = [(matrix[rows], [clusters[row] for row in rows]) for rows in counted.values()]
            low, high = macro_interval(groups, metric.finish) or (None, None)
        whole = StoredFigure(metric.name, WHOLE, value, low, high, len(matrix))
    return [whole, *parts.values()]


def _figure(metric: Metric, group: str, matrix: Floats, clusters: Sequence[str]) -> StoredFigure:
    from evalkit.statistics import interval

    value = float(metric.finish(matrix.sum(axis=0)))
    if math.isnan(value):
        return StoredFigure(metric.name, group, None, None, None, len(matrix))
    low, high = interval(matrix, metric.finish, clusters) or (None, None)
    return StoredFigure(metric.name, group, value, low, high, len(matrix))
