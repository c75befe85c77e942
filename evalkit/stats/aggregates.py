"""How the figures of a metric are computed from its statistics: from their sums, or from all values."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from evalkit.metrics.base import Metric, NotDrawn, traits_of
from evalkit.metrics.macro import measured
from evalkit.stats import intervals, kept, paired
from evalkit.stats.paired import Difference
from evalkit.stats.resample import Floats

Parts = Sequence[tuple[Floats, Sequence[str]]]
"""(matrix, clusters) of each group."""


class Aggregate(Protocol):
    """The statistics of one metric's figures.

    `matrix`: (samples, columns), at least one row; `clusters`, `groups`: one name per row.
    """

    def figure(self, matrix: Floats) -> float: ...

    def each(self, matrix: Floats) -> Floats:
        """(samples,) the figure of each sample; NaN if a sample has none."""

    def interval(self, matrix: Floats, clusters: Sequence[str]) -> tuple[float, float] | None: ...

    def macro_interval(self, parts: Parts) -> tuple[float, float] | None: ...

    def standard_error(
        self, matrix: Floats, clusters: Sequence[str], groups: Sequence[str] | None, draws: int
    ) -> tuple[float, float]: ...

    def is_shares(self, matrix: Floats) -> bool:
        """Whether every sample is 0 or 1 and the figure is the share of ones."""

    def is_credits(self, matrix: Floats) -> bool:
        """Whether the figure is a mean of credits between 0 and 1."""

    def difference(
        self,
        base: Floats,
        head: Floats,
        clusters: Sequence[str],
        groups: Sequence[str] | None,
        *,
        exact: bool,
        best: float | None,
    ) -> Difference:
        """The figure of head minus that of base; with `best`, the difference of their distances from it.

        `exact`: McNemar's test, for shares without clusters and groups; otherwise a bootstrap.
        """


@dataclass(frozen=True, slots=True)
class Sums:
    """Figures of sums of statistics.

    `finish`: totals (…, columns) → figures (…). `any_range`: see `Traits`.
    """

    finish: Callable[[Floats], Floats]
    any_range: bool = False

    def figure(self, matrix: Floats) -> float:
        return float(self.finish(matrix.sum(axis=0)))

    def each(self, matrix: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):  # a rate over 0 units is NaN
            return self.finish(matrix)

    def interval(self, matrix: Floats, clusters: Sequence[str]) -> tuple[float, float] | None:
        if self.any_range:
            return self.macro_interval([(matrix, clusters)])
        return intervals.interval(matrix, self.finish, clusters)

    def macro_interval(self, parts: Parts) -> tuple[float, float] | None:
        return intervals.macro_interval(parts, self.finish, graded=not self.any_range)

    def standard_error(
        self, matrix: Floats, clusters: Sequence[str], groups: Sequence[str] | None, draws: int
    ) -> tuple[float, float]:
        error, degrees = paired.standard_error(
            matrix, self.finish, clusters, groups=groups, draws=draws, scale=self.scale
        )
        return error or math.inf, degrees

    def is_shares(self, matrix: Floats) -> bool:
        return not self.any_range and intervals.is_shares(matrix)

    def is_credits(self, matrix: Floats) -> bool:
        return not self.any_range and intervals.is_credits(matrix)

    @property
    def scale(self) -> float:
        """See `paired.standard_error`."""
        return 0.0 if self.any_range else paired.SCALE

    def difference(
        self,
        base: Floats,
        head: Floats,
        clusters: Sequence[str],
        groups: Sequence[str] | None,
        *,
        exact: bool,
        best: float | None,
    ) -> Difference:
        def finish(totals: Floats) -> Floats:
            return _turned(self.finish(totals), best)

        if exact:
            return paired.paired_shares(base, head, finish)
        return paired.paired_bootstrap(base, head, finish, clusters, groups=groups, scale=self.scale)


@dataclass(frozen=True, slots=True)
class Values:
    """Figures of all samples' values. `aggregate`, `own`: `Kept.aggregate` and `Kept.each`.

    `whole_corpus`: see `Traits`. Such a figure has no interval if it is the same in all draws, because that
    does not show how much it varies.
    """

    aggregate: kept.Aggregate
    own: Callable[[Floats], Floats]
    whole_corpus: bool = False

    def figure(self, matrix: Floats) -> float:
        return kept.figure(matrix, self.aggregate)

    def each(self, matrix: Floats) -> Floats:
        return self.own(matrix)

    def interval(self, matrix: Floats, clusters: Sequence[str]) -> tuple[float, float] | None:
        return self.macro_interval([(matrix, clusters)])

    def macro_interval(self, parts: Parts) -> tuple[float, float] | None:
        try:
            found = kept.interval(parts, self.aggregate)
        except NotDrawn as error:
            logging.getLogger("evalkit").warning("%s", error)
            return None
        return None if found is not None and self.whole_corpus and found[0] == found[1] else found

    def standard_error(
        self, matrix: Floats, clusters: Sequence[str], groups: Sequence[str] | None, draws: int
    ) -> tuple[float, float]:
        return kept.standard_error(matrix, self.aggregate, clusters, groups=groups, draws=draws)

    def is_shares(self, matrix: Floats) -> bool:
        return False

    def is_credits(self, matrix: Floats) -> bool:
        return False

    def difference(
        self,
        base: Floats,
        head: Floats,
        clusters: Sequence[str],
        groups: Sequence[str] | None,
        *,
        exact: bool,
        best: float | None,
    ) -> Difference:
        def turned(figures: Floats) -> Floats:
            return _turned(figures, best)

        return kept.paired(base, head, self.aggregate, clusters, groups=groups, turned=turned)


def aggregate_of(metric: Metric) -> Aggregate:
    """How the figures of `metric`, or of the metric that it averages over groups, are computed."""
    inner = cast("Any", measured(metric))
    if hasattr(inner, "aggregate"):
        own = getattr(inner, "each", lambda values: values[:, 0])
        return Values(inner.aggregate, own, traits_of(inner).whole_corpus)
    return Sums(inner.finish, traits_of(inner).any_range)


def counted(metric: Metric, matrix: Floats) -> Floats:
    """(samples,) what each row of `matrix` adds to the figure's n; 0 if the figure leaves the sample out."""
    name = traits_of(metric).denominator
    return matrix[:, metric.columns.index(name)] if name else np.ones(len(matrix))


def _turned(figures: Floats, best: float | None) -> Floats:
    return figures if best is None else abs(figures - best)
