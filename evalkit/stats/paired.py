"""Two runs on the same samples: how far their figures lie apart, and whether that may be chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.stats.cells import Cells
from evalkit.stats.intervals import t_quantile
from evalkit.stats.resample import PAIRED_DRAWS, Floats

SCALE = 100.0
"""Figures stand between 0 and 100, or not far beyond."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Head's figure less base's, in the figure's unit.

    `low`, `high`: its interval. `error`: its standard error. `degrees`: of freedom of the t distribution
    that the interval and `p_against` use, 0 for the normal distribution. `p`: two-sided, of no difference.
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
        """The interval at another confidence; without bounds where the error is infinite."""
        if math.isinf(self.error):
            return -math.inf, math.inf
        middle, half = (self.low + self.high) / 2, _quantile(self.degrees, confidence) * self.error
        return middle - half, middle + half

    def p_against(self, bound: float) -> float:
        """Two-sided p of the true difference being `bound`: below 1 - confidence outside of the interval."""
        return _p((self.low + self.high) / 2 - bound, self.error, self.degrees)


@dataclass(frozen=True, slots=True)
class PairedRatio:
    """Head's figure over base's. `low`, `high`: None where base's may be 0, or everything is one cluster."""

    base: float
    head: float
    value: float
    low: float | None
    high: float | None


def mcnemar(base_only: int, head_only: int) -> float:
    """Two-sided exact p of McNemar's test: samples that only one of the two runs has right.

    The binomial tail with probability 1/2, doubled (McNemar 1947), in exact integers.
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
    """Two runs with 0 or 1 of each sample: McNemar's exact p, and Bonett and Price's interval (2012).

    `base`, `head`: (samples, 2), rows aligned. The interval adds a sample to each kind of discordance, so
    that it has a width also where the runs agree on every sample.
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

    `base`, `head`: (samples, columns), rows aligned. `groups`: a name a row; the figure is then the mean of
    the groups' figures, and a cluster is resampled with all that it has in any of them. The draws give the
    standard error; interval and p come from it by Student's t, so that they never contradict each other. What
    cannot be said, because everything is one cluster, has an infinite error, and p is 1. Few clusters say
    little however alike they are: p is at least what flipping every cluster's sign would give,
    2 · 2^-clusters. `scale`: see `standard_error`.
    """
    columns = base.shape[1]

    def apart(totals: Floats) -> Floats:
        found: Floats = finish(totals[..., columns:]) - finish(totals[..., :columns])
        return found

    cells = _cells(np.hstack([base, head]), clusters, groups)
    before = _mean(cells.figures(lambda totals: finish(totals[..., :columns])))
    after = _mean(cells.figures(lambda totals: finish(totals[..., columns:])))
    error, degrees = _standard_error(cells, apart, draws, seed, scale)
    return difference_of(before, after, error, degrees, cells.clusters, draws, confidence)


def difference_of(
    before: float, after: float, error: float, degrees: float, clusters: int, draws: int, confidence: float
) -> Difference:
    """By Student's t, with p at least what flipping every cluster's sign would give.

    `error` 0: all draws had the same difference, so that p is less than one in so many, and no more is known;
    where there is none either, nothing is.
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
    """The ratio of two figures, both resampled with the same draws of the same samples; None unless base's is
    above 0.

    Arguments as of `paired_bootstrap`. The interval has every ratio r from which head - r · base does not
    differ significantly (Fieller 1954), with the variances and the covariance that the draws give. So a base
    that is hardly above 0 makes it wide on the side where it is, and one that may be 0 leaves none.
    """
    columns = base.shape[1]
    cells = _cells(np.hstack([base, head]), clusters, groups)

    def less(ratio: float) -> Callable[[Floats], Floats]:
        return lambda totals: finish(totals[..., columns:]) - ratio * finish(totals[..., :columns])

    before = _mean(cells.figures(lambda totals: finish(totals[..., :columns])))
    after = _mean(cells.figures(less(0.0)))
    if not before > 0 or math.isnan(after):
        return None
    value = after / before
    apart, degrees = _standard_error(cells, less(value), draws, seed, scale)
    of_base = _standard_error(cells, lambda totals: finish(totals[..., :columns]), draws, seed, scale)
    base_error, head_error = of_base[0], _standard_error(cells, less(0.0), draws, seed, scale)[0]
    if not all(map(math.isfinite, (apart, base_error, head_error))):
        return PairedRatio(before, after, value, None, None)
    factor = _quantile(degrees, confidence) ** 2
    # Terms of before²·r² - 2·before·after·r + after² = factor · (variance of head - r·base).
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

    Degrees of freedom: clusters less one; of a mean over groups after Satterthwaite (`Cells.spread`). An
    error is infinite where a group is a single cluster. Clusters that are all alike do not show that the next
    one is: their figure, on a scale of 0 to `scale`, then has the error that Bonett and Price give it, and
    groups that have the same clusters have it together. 0: they have none, for the figure has no bounds.
    """
    return _standard_error(_cells(matrix, clusters, groups), finish, draws, seed, scale)


def _standard_error(
    cells: Cells, finish: Callable[[Floats], Floats], draws: int, seed: int, scale: float
) -> tuple[float, float]:
    nothing = np.flatnonzero(np.isnan(cells.figures(finish)))
    if len(nothing) == cells.groups:
        return math.inf, 1
    if len(nothing):  # a rate over nothing has no part in a mean
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
        # The bootstrap's variance is that of n units; the sample's is of n - 1 (Hesterberg 2015).
        figures = drawn.drawn(finish, draws, np.random.default_rng(seed))
        variance = drawn.correction(moved) * float(np.nanvar(figures))
    unknown = np.sqrt(2 * (counts - 1)) * scale / (counts + 2) / counts
    same = np.where(alike, unknown, 0.0)[cells.group]
    variance += cells.spread(same)[0]
    degrees = cells.spread(influences + same)[1]
    return math.sqrt(variance) / cells.groups, degrees


def _cells(matrix: Floats, clusters: Sequence[str] | None, groups: Sequence[str] | None) -> Cells:
    """Of a single group without `groups`; with them, samples of no group have no part in the mean."""
    if groups is None or not any(groups):
        return Cells.of(matrix, clusters)
    named = [row for row, group in enumerate(groups) if group]
    numbers = np.unique([groups[row] for row in named], return_inverse=True)[1]
    return Cells.of(matrix[named], [clusters[row] for row in named] if clusters else None, numbers)


def _mean(figures: Floats) -> float:
    """Of the groups that have one; NaN where none has."""
    there = figures[~np.isnan(figures)]
    return float(there.mean()) if len(there) else math.nan


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
