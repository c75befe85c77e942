"""Checks, before the first request, that what scoring and measuring a cell needs is on this machine."""

from __future__ import annotations

import itertools

from evalkit.engine.cell import CellPlan
from evalkit.media.kinds import KINDS
from evalkit.metrics.macro import measured
from evalkit.samples import Sample

_FOR_METRICS = 200
"""Number of records at the start of the data on which a metric may be tried (`Metric`)."""


def check_needs(cell: CellPlan) -> None:
    """Raises `UsageError` if this machine lacks what scoring the task or decoding its media needs.

    So it does if a metric that can be tried fails on the first samples.
    """
    cell.task.needs()
    for medium in cell.task.media:
        KINDS[medium].needs()
    tries = [metric.try_on for metric in map(measured, cell.metrics) if hasattr(metric, "try_on")]
    if tries:
        found = (sample for _, sample in itertools.islice(cell.tried(), _FOR_METRICS))
        samples = [sample for sample in found if isinstance(sample, Sample)]
        for try_on in tries:
            try_on(samples)
