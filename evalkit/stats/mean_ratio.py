"""The mean over benchmarks of one run's figure divided by another's, with a paired bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.stats.cells import Cells
from evalkit.stats.intervals import t_quantile
from evalkit.stats.paired import SCALE, cells_of, error_of, mean_of
from evalkit.stats.resample import PAIRED_DRAWS, Floats


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs on the same samples of one benchmark.

    `base`, `head`: (samples, columns) statistics, rows aligned. `finish`: totals (…, columns) → figures (…).
    `clusters`, `groups`, `scale`: as in `evalkit.stats.paired_bootstrap`. `inverted`: the ratio is that of
    base to head, for a figure of which lower values are better.
    """

    base: Floats
    head: Floats
    finish: Callable[[Floats], Floats]
    clusters: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    scale: float = SCALE
    inverted: bool = False

    @property
    def figures(self) -> tuple[float, float]:
        """The figures of (base, head); with groups, the means over the groups of which both have one."""
        cells = _known(self.cells, self.of_base, self.of_head)
        if cells is None:
            return math.nan, math.nan
        return mean_of(cells.figures(self.of_base)), mean_of(cells.figures(self.of_head))

    @property
    def cells(self) -> Cells:
        """The statistics of both runs: base's columns, then head's."""
        return cells_of(np.hstack([self.base, self.head]), self.clusters, self.groups)

    def of_base(self, totals: Floats) -> Floats:
        return self.finish(totals[..., : self.base.shape[1]])

    def of_head(self, totals: Floats) -> Floats:
        return self.finish(totals[..., self.base.shape[1] :])


@dataclass(frozen=True, slots=True)
class MeanRatio:
    """The mean of `ratios`, one for each benchmark. `low`, `high`: its interval, None if there is none."""

    value: float
    low: float | None
    high: float | None
    ratios: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RatioDraws:
    """A benchmark's ratio, and its `ratios` in each draw.

    `error`: its standard error, infinite if it is not known. `degrees`: the degrees of freedom of that.
    """

    value: float
    ratios: Floats
    error: float
    degrees: float


def ratio_draws(pair: Pair, seed: int = 0, draws: int = PAIRED_DRAWS) -> RatioDraws | None:
    """The ratio of two figures; None unless it divides by a figure above 0 and is not below 0 itself.

    In each draw the clusters are resampled, the same for both runs. The ratios are spread by √(n / (n - 1)),
    because a bootstrap is too narrow for few clusters (Hesterberg 2015, The American Statistician 69, 371).
    If all clusters are alike, or those of a group, so that resampling shows no variance, Bonett and Price's
    is added, as in `evalkit.stats.standard_error`. The error is infinite if there is only one cluster, in the
    benchmark or in a group, or if all draws are the same. Give each benchmark a `seed` of its own.
    """
    over, under = (pair.of_base, pair.of_head) if pair.inverted else (pair.of_head, pair.of_base)
    cells = _known(pair.cells, over, under)
    if cells is None:
        return None
    above, below = mean_of(cells.figures(over)), mean_of(cells.figures(under))
    if not below > 0 or not above >= 0:
        return None
    value = above / below

    def apart(totals: Floats) -> Floats:
        return over(totals) - value * under(totals)

    if (cells.counts == 1).any():
        return RatioDraws(value, np.full(draws, value), math.inf, 1.0)
    # The same seed gives the same draws.
    tops, bottoms = (cells.drawn(of, draws, np.random.default_rng(seed)) for of in (over, under))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nan_to_num(tops / bottoms, nan=math.inf, posinf=math.inf)
    influences, alike = cells.influences(apart)
    ratios = value + (ratios - value) * math.sqrt(cells.correction(influences))
    variance = float(np.var(ratios[np.isfinite(ratios)]))
    degrees = cells.spread(influences)[1]
    if alike.any():
        error, degrees = error_of(cells, apart, draws, seed, pair.scale)
        lacking = max(0.0, (error / below) ** 2 - variance)
        variance += lacking
        normal = np.random.default_rng((seed, 1)).standard_normal(draws)
        ratios = ratios + normal * math.sqrt(lacking)
    return RatioDraws(value, ratios, math.sqrt(variance) or math.inf, degrees)


def mean_ratio(found: Sequence[RatioDraws], confidence: float = 0.95) -> MeanRatio:
    """The mean of the benchmarks' ratios, at least one; benchmarks are independent of each other.

    The interval has the means of the draws between two percentiles, which are those of Student's t instead of
    the normal distribution (Hesterberg 2015). There is none if the error of a ratio is not known, or if so
    many draws divide by 0 that an end is not finite.
    """
    ratios = tuple(one.value for one in found)
    value = sum(ratios) / len(ratios)
    if not all(math.isfinite(one.error) for one in found):
        return MeanRatio(value, None, None, ratios)
    variances = np.array([one.error**2 for one in found])
    degrees = np.array([one.degrees for one in found])
    pooled = float(variances.sum()) ** 2 / float(np.sum(variances**2 / degrees))  # Welch and Satterthwaite
    ordered = np.sort(np.sum([one.ratios for one in found], axis=0) / len(found))
    outside = int(_normal_tail(t_quantile(pooled, (1 + confidence) / 2)) * (len(ordered) - 1))
    low, high = float(ordered[outside]), float(ordered[-1 - outside])
    if not math.isfinite(high):
        return MeanRatio(value, None, None, ratios)
    return MeanRatio(value, max(0.0, low), high, ratios)


def _known(cells: Cells, *finishes: Callable[[Floats], Floats]) -> Cells | None:
    """The cells of the groups in which both runs have a figure; None without such a group."""
    missing = np.any([np.isnan(cells.figures(finish)) for finish in finishes], axis=0)
    if missing.all():
        return None
    return cells.without(np.flatnonzero(missing)) if missing.any() else cells


def _normal_tail(quantile: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(-quantile))
