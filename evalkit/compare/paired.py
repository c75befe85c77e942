"""Compares two runs of one benchmark sample by sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.errors import UsageError
from evalkit.metrics.base import Metric, traits_of
from evalkit.runfile.encoding import unread_id
from evalkit.runfile.measured import measure
from evalkit.runfile.records import Cell, CellData, Occurrence, occurrences
from evalkit.runfile.store import Store

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats
    from evalkit.stats import Difference

MCNEMAR = "McNemar"


class Moved(NamedTuple):
    """A sample whose figure changed. `figures`: its own (base, head) figures, in the metric's unit.

    `gain`: the improvement from base to head; negative if head is worse.
    """

    sample: Occurrence
    gain: float
    figures: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Paired:
    """The results of two runs on the samples scored in both.

    `n`: samples that count towards the figure. `wins`, `losses`: samples whose own figure is better or worse
    in head. `flips`: all samples that differ, worst first. `other_prompts`: ids of common samples with
    different requests. `test`: the test of `difference.p`. `clusters`: the number of clusters; n if samples
    are not clustered. `span`: the distance between the metric's least and greatest figure; infinite if it has
    no bounds. `scored`: samples scored in both runs, including those that do not count towards the figure.
    """

    n: int
    difference: Difference
    wins: int
    losses: int
    ties: int
    test: str
    flips: tuple[Moved, ...]
    other_prompts: tuple[str, ...]
    clusters: int
    span: float = math.inf
    graded: bool = False
    """Whether the metric grades answers, instead of counting them as right or wrong."""
    scored: int = 0

    @property
    def sign_p(self) -> float:
        """The two-sided exact p of the sign test over samples, which assumes that they are independent."""
        from evalkit.stats import mcnemar

        return mcnemar(self.losses, self.wins)


@dataclass(frozen=True, slots=True)
class Overlap:
    """The samples, including failed ones, that two cells have in common, by id.

    `other_questions`: the common samples whose references or choices differ.
    """

    common: int
    only_base: tuple[str, ...]
    only_head: tuple[str, ...]
    other_questions: tuple[str, ...]


def overlap(base: CellData, head: CellData) -> Overlap:
    """Returns which samples two cells have in common. Samples with the same id are paired in order.

    A record that gave no sample in one of the runs has no id. It counts as failed, not as a difference.
    """
    unread = {at for data in (base, head) for at, name in zip(data.positions, data.ids, strict=True)
              if name == unread_id(at)}  # fmt: skip
    before, after = (
        {
            key: question
            for key, question, at in zip(occurrences(data.ids), data.questions, data.positions, strict=True)
            if at not in unread
        }
        for data in (base, head)
    )
    common = before.keys() & after.keys()
    return Overlap(
        common=len(common),
        only_base=tuple(key[0] for key in before if key not in common),
        only_head=tuple(key[0] for key in after if key not in common),
        other_questions=tuple(key[0] for key in before if key in common and before[key] != after[key]),
    )


def pair(base: Store, base_cell: Cell, head: Store, head_cell: Cell, metric: str) -> Paired | None:
    """Compares head with base, by `metric`, on the samples scored in both; returns None if there are none.

    Samples are paired by their id; several samples with the same id are paired in order. Zeros and ones
    without clusters get McNemar's exact test, everything else the paired bootstrap. A metric that is a mean
    over groups is compared by that mean. A metric whose best value is neither its greatest nor its least is
    compared by the distance from that value.
    """
    import numpy as np

    from evalkit.stats.aggregates import aggregate_of

    found = common(base, base_cell, head, head_cell, metric)
    if found is None:
        return None
    left, right, clusters = found.base, found.head, found.clusters
    traits, aggregate = traits_of(found.metric), aggregate_of(found.metric)
    groups = found.groups if traits.average else None
    difference, test = difference_of(found.metric, left, right, clusters, groups)
    figures = aggregate.each(left), aggregate.each(right)
    gains = _gains(found.metric, *figures)
    return Paired(
        n=len(found.ids),
        difference=difference,
        wins=int(np.sum(gains > 0)),
        losses=int(np.sum(gains < 0)),
        ties=int(np.sum(gains == 0)),
        test=test,
        flips=tuple(
            Moved(found.ids[row], float(gains[row]), (float(figures[0][row]), float(figures[1][row])))
            for row in np.argsort(gains, kind="stable")
            if gains[row]
        ),
        other_prompts=found.other_prompts,
        clusters=len(set(filter(None, clusters))) + clusters.count(""),
        span=_span(found.metric, np.vstack([left, right])),
        graded=not traits.right_or_wrong,
        scored=found.scored,
    )


@dataclass(frozen=True, slots=True)
class Common:
    """The samples scored in both runs, for one metric, one row per sample in the order of base's data.

    `base`, `head`: (samples, columns) of the metric's statistics. `clusters`, `groups`, `tags`: of each
    sample. `other_prompts`: ids of the samples with different requests. `scored`: the number of samples
    scored in both runs, including those that do not count towards the figure.
    """

    metric: Metric
    base: Floats
    head: Floats
    ids: list[Occurrence]
    clusters: list[str]
    groups: list[str]
    tags: list[tuple[str, ...]]
    other_prompts: tuple[str, ...]
    scored: int

    def only(self, rows: Sequence[int]) -> Common:
        """Returns the selected rows. `other_prompts` and `scored` stay those of all rows."""
        kept = list(rows)
        return replace(
            self,
            base=self.base[kept],
            head=self.head[kept],
            ids=[self.ids[row] for row in kept],
            clusters=[self.clusters[row] for row in kept],
            groups=[self.groups[row] for row in kept],
            tags=[self.tags[row] for row in kept],
        )


def common(base: Store, base_cell: Cell, head: Store, head_cell: Cell, metric: str) -> Common | None:
    """Returns the samples scored in both runs, paired as `pair` does; None if there are none.

    Raises `UsageError` if the metric's code is not found.
    """
    before, after = _Side.read(base, base_cell, metric), _Side.read(head, head_cell, metric)
    rows = {sample: row for row, sample in enumerate(after.ids)}
    both = [
        (row, rows[sample])
        for row, sample in enumerate(before.ids)
        if sample in rows and (before.counted[row] or after.counted[rows[sample]])
    ]
    if not both:
        return None
    ours, theirs = map(list, zip(*both, strict=True))
    return Common(
        metric=before.metric,
        base=before.matrix[ours],
        head=after.matrix[theirs],
        ids=[before.ids[row] for row in ours],
        clusters=[before.clusters[row] for row in ours],
        groups=[before.groups[row] for row in ours],
        tags=[before.tags[row] for row in ours],
        other_prompts=tuple(before.ids[i][0] for i, j in both if before.asked[i] != after.asked[j]),
        scored=sum(sample in rows for sample in before.ids),
    )


def difference_of(
    metric: Metric, left: Floats, right: Floats, clusters: Sequence[str], groups: Sequence[str] | None
) -> tuple[Difference, str]:
    """Returns (head's figure minus base's, the test of its p). `groups`: None unless a mean over groups."""
    from evalkit.stats.aggregates import aggregate_of

    aggregate = aggregate_of(metric)
    exact = aggregate.is_shares(left) and aggregate.is_shares(right) and groups is None and not any(clusters)
    best = traits_of(metric).best
    difference = aggregate.difference(left, right, clusters, groups, exact=exact, best=best)
    return difference, MCNEMAR if exact else "bootstrap"


def _span(metric: Metric, matrix: Floats) -> float:
    """Returns the greatest possible difference of two figures of `metric`; infinite if it has no bounds."""
    import numpy as np

    from evalkit.stats.aggregates import aggregate_of

    known, aggregate = traits_of(metric).span, aggregate_of(metric)
    if known is None and aggregate.is_credits(matrix):
        none, full = aggregate.each(np.array([[0.0, 1.0], [1.0, 1.0]]))
        return abs(float(full - none))
    return math.inf if known is None else known


def _gains(metric: Metric, before: Floats, after: Floats) -> Floats:
    """Returns (samples,): how much better each sample is in `after`.

    A sample without a figure in one of the runs, such as a rate over nothing, is a tie.
    """
    import numpy as np

    best = traits_of(metric).best
    if best is not None:
        before, after = -abs(before - best), -abs(after - best)
    elif not metric.higher_is_better:
        before, after = -before, -after
    return np.nan_to_num(after - before)


@dataclass(frozen=True, slots=True)
class _Side:
    """The scored samples of a run's cell, for one metric."""

    metric: Metric
    matrix: Floats
    counted: Floats
    ids: list[Occurrence]
    clusters: list[str]
    groups: list[str]
    tags: list[tuple[str, ...]]
    asked: list[bytes]

    @classmethod
    def read(cls, store: Store, cell: Cell, name: str) -> _Side:
        import numpy as np

        from evalkit.stats.aggregates import counted

        data, measured = store.data(cell), measure(store, cell, name)
        kept: list[Any] = [
            list(compress(values, data.scored))
            for values in (occurrences(data.ids), data.clusters, data.groups, data.tags, data.asked)
        ]
        metric, matrix = measured.usable(store, cell), measured.of(data.matrix)
        if np.isnan(matrix).any():
            raise UsageError(
                f"{store.path}: {cell.spec.label} is not finished, and {name} needs all samples: "
                "run it again with the same output"
            )
        return cls(metric, matrix, counted(metric, matrix), *kept)
