"""Two runs of one benchmark, sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

from evalkit.errors import UsageError
from evalkit.metrics.base import Metric, traits_of
from evalkit.rows import Cell, CellData
from evalkit.store import Store
from evalkit.task import load_task

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats
    from evalkit.statistics import Difference

MCNEMAR = "McNemar"


@dataclass(frozen=True, slots=True)
class Paired:
    """What two runs made of the samples that were judged in both.

    `wins`, `losses`: samples whose own figure is better or worse in head. `flips`: (sample, own figure's
    gain in the metric's unit, negative where head is worse) of all samples that differ, worst first.
    `asked_otherwise`: common samples whose question or requests differ. `test`: what `difference.p` is from.
    """

    n: int
    difference: Difference
    wins: int
    losses: int
    ties: int
    test: str
    flips: tuple[tuple[str, float], ...]
    asked_otherwise: int


def matrices(store: Store, cell: Cell, data: CellData) -> Iterable[tuple[Metric, dict[str, Any], Any]]:
    """(metric, what the run file says of it, its columns of the statistics matrix)."""
    metrics = {
        metric.name: metric for metric in load_task(cell.spec["task_spec"], cell.spec["options"]).metrics
    }
    start = 0
    for described in cell.spec["metrics"]:
        end = start + len(described["columns"])
        if described["name"] not in metrics:
            raise UsageError(f"{store.path}: {cell.task} has no metric {described['name']!r} any more")
        yield metrics[described["name"]], described, data.matrix[:, start:end]
        start = end


def pair(
    base: Store, base_cell: Cell, head: Store, head_cell: Cell, metric: str, *, confidence: float = 0.95
) -> Paired | None:
    """Head against base, by `metric`, on the samples that both judged; None where there is none.

    Samples are the same by their id. Zeros and ones without clusters get McNemar's exact test, everything
    else the paired bootstrap; a metric that is a mean over groups is compared by that mean, and one whose
    best value is neither the most nor the least by its distance from it.
    """
    import numpy as np

    before, after = _Side.read(base, base_cell, metric), _Side.read(head, head_cell, metric)
    rows = {sample: row for row, sample in enumerate(after.ids)}
    common = [(row, rows[sample]) for row, sample in enumerate(before.ids) if sample in rows]
    if not common:
        return None
    ours, theirs = map(list, zip(*common, strict=True))
    left, right = before.matrix[ours], after.matrix[theirs]
    clusters = [before.clusters[row] for row in ours]
    groups = [before.groups[row] for row in ours] if traits_of(before.metric).average else None
    sign, finish = _judged(before.metric)
    difference, test = _difference(finish, left, right, clusters, groups, confidence)
    with np.errstate(invalid="ignore", divide="ignore"):  # a rate over nothing is none, and a tie
        gains = np.nan_to_num(sign * (finish(right) - finish(left)))
    return Paired(
        n=len(common),
        difference=difference,
        wins=int(np.sum(gains > 0)),
        losses=int(np.sum(gains < 0)),
        ties=int(np.sum(gains == 0)),
        test=test,
        flips=tuple(
            (before.ids[ours[row]], float(gains[row]))
            for row in np.argsort(gains, kind="stable")
            if gains[row]
        ),
        asked_otherwise=sum(before.asked[i] != after.asked[j] for i, j in common),
    )


def _judged(metric: Metric) -> tuple[int, Callable[[Floats], Floats]]:
    """(1 where more is better, else -1; what is compared): the figure, or its distance from the best one."""
    best = traits_of(metric).best
    if best is None:
        return 1 if metric.higher_is_better else -1, metric.finish
    return -1, lambda totals: abs(metric.finish(totals) - best)


def _difference(
    finish: Callable[[Floats], Floats],
    left: Floats,
    right: Floats,
    clusters: Sequence[str],
    groups: Sequence[str] | None,
    confidence: float,
) -> tuple[Difference, str]:
    from evalkit.statistics import paired_bootstrap, paired_shares
    from evalkit.statistics.intervals import is_shares

    if is_shares(left) and is_shares(right) and groups is None and not any(clusters):
        return paired_shares(left, right, finish, confidence=confidence), MCNEMAR
    found = paired_bootstrap(left, right, finish, clusters, groups=groups, confidence=confidence)
    return found, "bootstrap"


@dataclass(frozen=True, slots=True)
class _Side:
    """The judged samples of a run's cell, by one metric."""

    metric: Metric
    matrix: Floats
    ids: list[str]
    clusters: list[str]
    groups: list[str]
    asked: list[tuple[bytes, bytes]]

    @classmethod
    def read(cls, store: Store, cell: Cell, name: str) -> _Side:
        data = store.data(cell)
        for metric, described, matrix in matrices(store, cell, data):
            if described["name"] == name:
                asked = list(zip(data.questions, data.asked, strict=True))
                kept: list[Any] = [
                    list(compress(values, data.judged))
                    for values in (data.ids, data.clusters, data.groups, asked)
                ]
                return cls(metric, matrix, *kept)
        raise UsageError(f"{store.path}: {cell.task}:{cell.protocol} was not measured by {name!r}")
