"""Comparisons of two runs on the same samples: how far their figures differ, and whether by chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.stats.cells import Cells
from evalkit.stats.intervals import t_quantile
from evalkit.stats.resample import PAIRED_DRAWS, Floats

SCALE = 100.0
"""The scale of figures: between 0 and 100, or not far beyond."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The figure of head minus that of base, in the figure's unit.

    `low`, `high`: its interval. `error`: its standard error. `degrees`: the degrees of freedom of the t
    distribution that the interval and `p_against` use; 0 for the normal distribution. `p`: the two-sided p
    of no difference.
    """

    base: float
    head: float
    value: float
    low: float
    high: float
    error: float
    degrees: float
    p: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """The interval at another confidence; (-inf, inf) if the error is infinite."""
        if math.isinf(self.error):
            return -math.inf, math.inf
        middle, half = (self.low + self.high) / 2, _quantile(self.degrees, confidence) * self.error
        return middle - half, middle + half

    def p_against(self, bound: float) -> float:
        """The two-sided p of a true difference of `bound`: below 1 - confidence if outside the interval."""
        return _p((self.low + self.high) / 2 - bound, self.error, self.degrees)


@dataclass(frozen=True, slots=True)
class PairedRatio:
    """The figure of head over that of base.

    `low`, `high`: its interval; None if base's figure may be 0, or if all samples are in one cluster.
    """

    base: float
    head: float
    value: float
    low: float | None
    high: float | None


def mcnemar(base_only: int, head_only: int) -> float:
    """The two-sided exact p of McNemar's test, from the numbers of samples that only one run has right.

    It is the binomial tail with probability 1/2, doubled (McNemar 1947). With fewer than 1,000 such samples
    it is computed with exact integers.
    """
    n, few = base_only + head_only, min(base_only, head_only)
    tail = sum(math.comb(n, k) for k in range(few + 1))
    return min(1.0, 2 * tail / 2**n) if n < 1000 else _binomial_p(few, n)


def _binomial_p(few: int, n: int) -> float:
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(few, n, 0.5)))


def paired_shares(
    base: Floats, head: Floats, finish: Callable[[Floats], Floats], *, confidence: float = 0.95
) -> Difference:
    """The difference of two runs with 0 or 1 per sample: McNemar's p, Bonett and Price's interval (2012).

    `base`, `head`: (samples, 2), rows aligned. The interval adds one sample to each of the two kinds of
    discordant samples, so that its width is above 0 even if the runs agree on every sample.
    """
    n = len(base)
    lost = int(np.sum((base[:, 0] == 1) & (head[:, 0] == 0)))
    won = int(np.sum((base[:, 0] == 0) & (head[:, 0] == 1)))
    unit = float(finish(np.array([1.0, 1.0])) - finish(np.array([0.0, 1.0])))
    gain, loss = (won + 1) / (n + 2), (lost + 1) / (n + 2)
    error = math.sqrt((gain + loss - (gain - loss) ** 2) / (n + 2))
    half = _quantile(0, confidence) * error
    value = (won - lost) / n
    low, high = sorted((unit * (gain - loss - half), unit * (gain - loss + half)))
    return Difference(
        base=float(finish(base.sum(axis=0))),
        head=float(finish(head.sum(axis=0))),
        value=unit * value,
        low=low,
        high=high,
        error=abs(unit) * error,
        degrees=0,
        p=mcnemar(lost, won),
    )


def paired_bootstrap(
    base: Floats,
    head: Floats,
    finish: Callable[[Floats], Floats],
    clusters: Sequence[str] | None = None,
    *,
    groups: Sequence[str] | None = None,
    draws: int = PAIRED_DRAWS,
    seed: int = 0,
    confidence: float = 0.95,
    scale: float = SCALE,
) -> Difference:
    """The difference of two figures, both resampled with the same draws of the same samples.

    `base`, `head`: (samples, columns), rows aligned. `groups`: one name per row; the figure is then the mean
    of the groups' figures, and a cluster is resampled with its samples in all groups. The draws give the
    standard error; the interval and p follow from it by Student's t, so that they never contradict each
    other. If all samples are in one cluster, the error is infinite and p is 1. A few clusters are weak
    evidence even if they are all the same: p is at least 2 · 2^-clusters, the p of a sign-flip test in which
    all clusters have the same sign. `scale`: see `standard_error`.
    """
    columns = base.shape[1]

    def apart(totals: Floats) -> Floats:
        difference: Floats = finish(totals[..., columns:]) - finish(totals[..., :columns])
        return difference

    cells = cells_of(np.hstack([base, head]), clusters, groups)
    before = mean_of(cells.figures(lambda totals: finish(totals[..., :columns])))
    after = mean_of(cells.figures(lambda totals: finish(totals[..., columns:])))
    error, degrees = error_of(cells, apart, draws, seed, scale)
    return difference_of(before, after, error, degrees, cells.clusters, draws, confidence)


def difference_of(
    before: float, after: float, error: float, degrees: float, clusters: int, draws: int, confidence: float
) -> Difference:
    """The `Difference` of two figures by Student's t, with p at least 2 · 2^-clusters, as for sign flips.

    If `error` is 0, all draws had the same difference, which shows only that p is at most 1 / (draws + 1); if
    the difference is 0 too, the error is unknown, that is infinite.
    """
    value, tail = after - before, 0.5**clusters
    if not error:
        error = abs(value) / -t_quantile(degrees, 1 / (2 * (draws + 1))) or math.inf
    if tail < 0.5:
        error = max(error, abs(value) / -t_quantile(degrees, tail))
    half = _quantile(degrees, confidence) * error
    p = _p(value, error, degrees)
    return Difference(before, after, value, value - half, value + half, error, degrees, p)


def paired_ratio(
    base: Floats,
    head: Floats,
    finish: Callable[[Floats], Floats],
    clusters: Sequence[str] | None = None,
    *,
    groups: Sequence[str] | None = None,
    draws: int = PAIRED_DRAWS,
    seed: int = 0,
    confidence: float = 0.95,
    scale: float = SCALE,
) -> PairedRatio | None:
    """The ratio of two figures, both resampled with the same draws of the same samples.

    None unless base's figure is above 0. The arguments are those of `paired_bootstrap`. The interval contains
    every ratio r for which head - r · base does not differ significantly from 0 (Fieller 1954), with the
    variances and the covariance of the draws. So it is wide on the upper side if base is hardly above 0, and
    there is none if base may be 0.
    """
    columns = base.shape[1]
    cells = cells_of(np.hstack([base, head]), clusters, groups)

    def less(ratio: float) -> Callable[[Floats], Floats]:
        return lambda totals: finish(totals[..., columns:]) - ratio * finish(totals[..., :columns])

    before = mean_of(cells.figures(lambda totals: finish(totals[..., :columns])))
    after = mean_of(cells.figures(less(0.0)))
    if not before > 0 or math.isnan(after):
        return None
    value = after / before
    apart, degrees = error_of(cells, less(value), draws, seed, scale)
    of_base = error_of(cells, lambda totals: finish(totals[..., :columns]), draws, seed, scale)
    base_error, head_error = of_base[0], error_of(cells, less(0.0), draws, seed, scale)[0]
    if not all(map(math.isfinite, (apart, base_error, head_error))):
        return PairedRatio(before, after, value, None, None)
    factor = _quantile(degrees, confidence) ** 2
    # The terms of before²·r² - 2·before·after·r + after² = factor · (variance of head - r·base).
    shared = (head_error**2 + value**2 * base_error**2 - apart**2) / 2  # value · covariance
    square = before**2 - factor * base_error**2
    if square <= 0:
        return PairedRatio(before, after, value, None, None)
    middle = before * after - factor * (shared / value if value else 0.0)
    least = after**2 - factor * head_error**2
    root = math.sqrt(max(0.0, middle**2 - square * least))
    return PairedRatio(before, after, value, (middle - root) / square, (middle + root) / square)


def standard_error(
    matrix: Floats,
    finish: Callable[[Floats], Floats],
    clusters: Sequence[str] | None = None,
    *,
    groups: Sequence[str] | None = None,
    draws: int = PAIRED_DRAWS,
    seed: int = 0,
    scale: float = SCALE,
) -> tuple[float, float]:
    """(standard error by the bootstrap, degrees of freedom) of a figure, or of the mean of groups' figures.

    The degrees of freedom are the number of clusters minus one; for a mean over groups they follow
    Satterthwaite (`Cells.spread`). The error is infinite if a group is a single cluster. If all clusters of a
    group are the same, the next cluster may still differ: the figure, between 0 and `scale`, then has the
    error that Bonett and Price give it, which is correlated between groups that share clusters. With `scale`
    0, for figures without bounds, it has no such error.
    """
    return error_of(cells_of(matrix, clusters, groups), finish, draws, seed, scale)


def error_of(
    cells: Cells, finish: Callable[[Floats], Floats], draws: int, seed: int, scale: float
) -> tuple[float, float]:
    """`standard_error` of the mean of the groups' figures of `cells`."""
    nothing = np.flatnonzero(np.isnan(cells.figures(finish)))
    if len(nothing) == cells.groups:
        return math.inf, 1
    if len(nothing):  # a mean leaves out a rate over nothing
        cells = cells.without(nothing)
    counts = cells.counts
    if (counts == 1).any():
        return math.inf, 1
    influences, alike = cells.influences(finish)
    varies = np.flatnonzero(~alike)
    variance = 0.0
    if len(varies):
        drawn = cells.without(np.flatnonzero(alike)) if alike.any() else cells
        moved = influences[~alike[cells.group]]
        # The bootstrap's variance divides by n, the sample's by n - 1 (Hesterberg 2015).
        figures = drawn.drawn(finish, draws, np.random.default_rng(seed))
        variance = drawn.correction(moved) * float(np.nanvar(figures))
    unknown = np.sqrt(2 * (counts - 1)) * scale / (counts + 2) / counts
    same = np.where(alike, unknown, 0.0)[cells.group]
    variance += cells.spread(same)[0]
    degrees = cells.spread(influences + same)[1]
    return math.sqrt(variance) / cells.groups, degrees


def cells_of(matrix: Floats, clusters: Sequence[str] | None, groups: Sequence[str] | None) -> Cells:
    """The cells of `matrix`: one group if there are no `groups`, otherwise without samples of no group."""
    if groups is None or not any(groups):
        return Cells.of(matrix, clusters)
    named = [row for row, group in enumerate(groups) if group]
    numbers = np.unique([groups[row] for row in named], return_inverse=True)[1]
    return Cells.of(matrix[named], [clusters[row] for row in named] if clusters else None, numbers)


def mean_of(figures: Floats) -> float:
    """The mean of the figures that are not NaN; NaN if all are."""
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if len(known) else math.nan


def _quantile(degrees: float, confidence: float) -> float:
    from scipy.special import ndtri

    level = (1 + confidence) / 2
    return t_quantile(degrees, level) if degrees else float(ndtri(level))


def _p(distance: float, error: float, degrees: float) -> float:
    from scipy.special import ndtr, stdtr

    if math.isinf(error) or math.isnan(distance):
        return 1.0
    at = -abs(distance) / error
    return 2 * float(stdtr(degrees, at) if degrees else ndtr(at))
