"""95 % intervals of a figure; the method depends on its statistics.

| statistics                            | interval                                                          |
|---------------------------------------|-------------------------------------------------------------------|
| 0 or 1 for each sample                | Wilson's (1927)                                                   |
| the same, in clusters                 | Wilson's with the effective number of samples and t quantiles     |
| anything else                         | bootstrap of clusters, with percentiles widened for few clusters  |
| mean of groups' shares or credits     | Wilson's with the effective number of samples and t quantiles     |
| mean of groups' other figures         | bootstrap of clusters with all their groups, widened likewise     |
| all values, such as for a median      | the same with weighted values: `evalkit.stats.kept`               |

A cluster may be in several groups, such as a sentence in eleven languages: see `evalkit.stats.cells`.
`bench/coverage.py` measures how often the intervals contain the true value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from evalkit.stats.cells import Cells
from evalkit.stats.resample import INTERVAL_DRAWS, Floats, alike, by_cluster, resampled

Z95 = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""


def wilson(successes: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a proportion (Wilson 1927): (low, high) in 0..1, valid near 0 and 1 too."""
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def t_quantile(degrees: float, level: float = 0.975) -> float:
    """The quantile of Student's t distribution at `level`."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, level))


def bootstrap(
    matrix: Floats,
    finish: Callable[[Floats], Floats],
    clusters: Sequence[str] | None = None,
    *,
    draws: int = INTERVAL_DRAWS,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The 95 % percentile bootstrap interval of a figure; None if there is only one cluster.

    `matrix`: (samples, columns) of statistics. Clusters are resampled with replacement, so the samples of a
    cluster stay together; a sample with an empty cluster name is its own cluster. The fewer the clusters, the
    further out are the percentiles, by as much as t quantiles and the n - 1 of the variance widen the
    interval of a mean (Hesterberg 2015, "expanded percentile interval").
    """
    units = by_cluster(matrix, clusters)
    count = len(units)
    if count == 1:
        return None
    figures = finish(resampled(units, draws, np.random.default_rng(seed)))
    outer = NormalDist().cdf(-math.sqrt(count / (count - 1)) * t_quantile(count - 1))
    low, high = np.nanquantile(figures, [outer, 1 - outer])
    return float(low), float(high)


def interval(
    matrix: Floats, finish: Callable[[Floats], Floats], clusters: Sequence[str] | None = None
) -> tuple[float, float] | None:
    """The 95 % interval of a figure over `matrix` (at least one sample), in the figure's own unit.

    None if there is no basis for an interval: all samples are in one cluster, such as questions about a
    single picture, or all samples are the same and the figure has no bounds.
    """
    clustered = clusters is not None and any(clusters)
    if is_shares(matrix):
        if not clustered:
            return _in_unit(wilson(float(matrix[:, 0].sum()), len(matrix)), finish)
        return macro_interval([(matrix, clusters or ())], finish)
    units = by_cluster(matrix, clusters)
    if len(units) == 1 or not alike(units, finish):
        return bootstrap(matrix, finish, clusters)
    # Credits that are all the same vary at most as much as zeros and ones with the same mean.
    return macro_interval([(matrix, clusters or ())], finish) if is_credits(matrix) else None


def is_shares(matrix: Floats) -> bool:
    """Whether the columns of every sample are 0 or 1, and 1."""
    return matrix.shape[1] == 2 and bool(
        np.all(matrix[:, 1] == 1) and np.all((matrix[:, 0] == 0) | (matrix[:, 0] == 1))
    )


def is_credits(matrix: Floats) -> bool:
    """Whether the columns of every sample are a credit between 0 and 1, and 1."""
    return matrix.shape[1] == 2 and bool(np.all(matrix[:, 1] == 1) and np.all(abs(matrix - 0.5) <= 0.5))


def _in_unit(shares: tuple[float, float], finish: Callable[[Floats], Floats]) -> tuple[float, float]:
    at = finish(np.array([[shares[0], 1.0], [shares[1], 1.0]]))
    return float(at[0]), float(at[1])


def _of_shares(
    cells: Cells, shares: Sequence[bool], finish: Callable[[Floats], Floats]
) -> tuple[float, float] | None:
    """Wilson's interval of the mean of groups' shares, with the effective number of samples.

    `shares`: for each group, whether its samples are zeros and ones. The effective number gives a share the
    same variance as the mean has: it is the number of samples divided by the design effect (Kish 1965; Dean
    & Pagano 2015). The variance, with covariances between groups through shared clusters, and the degrees of
    freedom are those of `Cells.spread`. A group whose clusters all have the same value does not show how they
    vary: it is assumed to vary as a group with the mean of all groups would, and to be correlated with other
    such groups as far as they share clusters.
    """
    alike, group, counts = cells.influences(finish)[1], cells.group, cells.counts
    credit, samples = cells.totals.T
    sizes = np.bincount(group, samples)
    means = np.bincount(group, credit) / sizes
    mean, small = float(means.mean()), counts / np.maximum(1, counts - 1)
    moved = np.where(alike[group], 0.0, (credit - means[group] * samples) / sizes[group])
    variances = np.bincount(group, moved**2) * small
    # A sample in a cluster does not carry more information than an independent one.
    least = np.where(np.array(shares) & ~alike, means * (1 - means) / sizes, 0.0)
    varies = variances > 0
    moved *= np.sqrt(np.maximum(1.0, least / np.where(varies, variances, 1.0)))[group]
    unknown = (np.sqrt((mean * (1 - mean) or 1.0) / small) / counts)[group]
    variance, degrees = cells.spread(np.where(varies[group], moved, unknown))
    each = max(variance, float(least.sum())) / cells.groups**2
    if mean * (1 - mean):
        effective = mean * (1 - mean) / each
    else:  # all samples are right, or all are wrong
        effective, degrees = 1 / each, max(1.0, cells.clusters - cells.components)
    return _in_unit(wilson(mean * effective, effective, t_quantile(degrees)), finish)


def macro_interval(
    parts: Sequence[tuple[Floats, Sequence[str]]],
    finish: Callable[[Floats], Floats],
    *,
    draws: int = INTERVAL_DRAWS,
    graded: bool = True,
) -> tuple[float, float] | None:
    """The 95 % interval of the mean of the figures of several groups.

    `parts`: (matrix, clusters) of each group. The same cluster name in several groups is one cluster, which
    is resampled with its samples in all groups. The groups themselves are fixed: they are the benchmark's
    languages, not a sample of languages. None if a group is a single cluster, or if its samples are all the
    same and not shares or credits. `graded`: whether statistics between 0 and 1 are credits.
    """
    cells = _cells(parts)
    if graded and all(is_credits(matrix) for matrix, _ in parts):
        shares = [is_shares(matrix) for matrix, _ in parts]
        known = zip(parts, cells.counts, shares, strict=True)
        if any(count == 1 and (any(clusters) or not share) for (_, clusters), count, share in known):
            return None
        return _of_shares(cells, shares, finish)
    influences, alike = cells.influences(finish)
    if alike.any():
        return None
    figures = cells.drawn(finish, draws, np.random.default_rng(0)) / cells.groups
    wider = math.sqrt(cells.correction(influences))
    outer = NormalDist().cdf(-wider * t_quantile(cells.spread(influences)[1]))
    low, high = np.nanquantile(figures, [outer, 1 - outer])
    return float(low), float(high)


def _cells(parts: Sequence[tuple[Floats, Sequence[str]]]) -> Cells:
    sizes = [len(matrix) for matrix, _ in parts]
    names = [name for (_, clusters), n in zip(parts, sizes, strict=True) for name in (clusters or [""] * n)]
    return Cells.of(np.concatenate([m for m, _ in parts]), names, np.repeat(np.arange(len(parts)), sizes))
