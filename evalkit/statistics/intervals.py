"""95 % intervals of a figure, by what its statistics are.

| statistics                            | interval                                                          |
|---------------------------------------|-------------------------------------------------------------------|
| 0 or 1 of each sample                 | Wilson's (1927)                                                   |
| the same, in clusters                 | Wilson's with the effective number of samples and t quantiles     |
| anything else                         | bootstrap of clusters, its percentiles spread for few clusters    |
| mean of groups' figures               | the groups' intervals, combined by MOVER                          |

`bench/coverage.py` measures how often they hold the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from evalkit.statistics.resample import Floats, by_cluster, resampled

Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


def wilson(successes: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a proportion (Wilson 1927): (low, high) in 0..1, sound near both ends."""
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
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """95 % percentile bootstrap of a figure: clusters resampled with replacement; None for a single one.

    `matrix`: (samples, columns) of statistics. Samples of one cluster come and go together; an empty
    name is a cluster of its own. The percentiles lie further out the fewer the clusters are, as far as t
    quantiles and the variance's n - 1 do for a mean (Hesterberg 2015, "expanded percentile interval").
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
    """95 % interval of a figure over `matrix` (at least one sample), in the figure's own unit.

    None where nothing can be said: everything is one cluster, such as questions about a single picture,
    or no sample differs from another in a figure without bounds.
    """
    clustered = clusters is not None and any(clusters)
    if is_shares(matrix):
        if not clustered:
            return _in_unit(wilson(float(matrix[:, 0].sum()), len(matrix)), finish)
        assert clusters is not None
        return _clustered_shares(matrix, finish, clusters)
    found = bootstrap(matrix, finish, clusters)
    if found is None or found[0] < found[1]:
        return found
    bounded = matrix.shape[1] == 2 and bool(np.all(matrix[:, 1] == 1) and np.all(abs(matrix - 0.5) <= 0.5))
    if not bounded:
        return None
    # Credits that are all the same vary at most as much as zeros and ones with their mean would.
    units = len(by_cluster(matrix, clusters))
    return _in_unit(wilson(float(matrix[:, 0].mean()) * units, units), finish)


def is_shares(matrix: Floats) -> bool:
    """Whether every sample is 0 or 1 of 1."""
    return matrix.shape[1] == 2 and bool(
        np.all(matrix[:, 1] == 1) and np.all((matrix[:, 0] == 0) | (matrix[:, 0] == 1))
    )


def _in_unit(shares: tuple[float, float], finish: Callable[[Floats], Floats]) -> tuple[float, float]:
    at = finish(np.array([[shares[0], 1.0], [shares[1], 1.0]]))
    return float(at[0]), float(at[1])


def _clustered_shares(
    matrix: Floats, finish: Callable[[Floats], Floats], clusters: Sequence[str]
) -> tuple[float, float] | None:
    """Wilson's interval with n divided by the design effect (Kish 1965; Dean & Pagano 2015)."""
    units = by_cluster(matrix, clusters)
    count, n = len(units), len(matrix)
    if count == 1:
        return None
    share = float(matrix[:, 0].mean())
    spread = units[:, 0] - share * units[:, 1]
    variance = count / (count - 1) * float(spread @ spread) / n**2
    simple = share * (1 - share) / n
    # Where all samples agree nothing shows how alike those of a cluster are: each cluster is one sample.
    effective = min(float(n), n * simple / variance) if variance > 0 and simple > 0 else float(count)
    return _in_unit(wilson(share * effective, effective, t_quantile(count - 1)), finish)


def macro_interval(
    parts: Sequence[tuple[Floats, Sequence[str]]], finish: Callable[[Floats], Floats]
) -> tuple[float, float] | None:
    """95 % interval of the mean of several groups' figures, each group resampled by itself.

    `parts`: (matrix, clusters) of each group. The groups themselves are held: they are the benchmark's
    languages, not a sample of languages. Each group's interval is taken for itself and they are combined
    (MOVER: Zou & Donner 2008), which keeps Wilson's good manners near 0 and 1 % where a resampled group
    of few samples would show no spread. None where a group has no interval.
    """
    values, lows, highs = [], [], []
    for matrix, clusters in parts:
        found = interval(matrix, finish, clusters)
        if found is None:
            return None
        values.append(float(finish(matrix.sum(axis=0))))
        lows.append(found[0])
        highs.append(found[1])
    mean, below, above = np.mean(values), np.subtract(values, lows), np.subtract(highs, values)
    count = len(values)
    return float(mean - np.sqrt(below @ below) / count), float(mean + np.sqrt(above @ above) / count)
