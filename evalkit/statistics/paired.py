"""Two runs on the same samples: how far their figures lie apart, and whether that may be chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalkit.statistics.intervals import t_quantile
from evalkit.statistics.resample import Floats, cluster_index, resampled


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
    degrees: int
    p: float

    def p_against(self, bound: float) -> float:
        """Two-sided p of the true difference being `bound`; 1 where nothing varies and nothing differs."""
        return _p((self.value - bound), self.error, self.degrees)


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


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979), in the order given: p ≤ alpha keeps the family at alpha."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(order), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


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
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Difference:
    """The difference of two figures, both resampled with the same draws of the same samples.

    `base`, `head`: (samples, columns), rows aligned. `groups`: a name a row; the figure is then the mean of
    the groups' figures, each group resampled by itself. The draws give the standard error; interval and
    p come from it by Student's t with one degree of freedom less than there are clusters (than the smallest
    group has, and at least 1), so that they never contradict each other. What cannot be said, because
    everything is one cluster, has an infinite error, and p is 1.
    """
    names = groups if groups is not None else [""] * len(base)
    random = np.random.default_rng(seed)
    index = None if clusters is None or not any(clusters) else cluster_index(clusters)
    both = np.hstack([base, head])
    columns = base.shape[1]
    figures, moved, variance, fewest = [], [], 0.0, 0
    for name in dict.fromkeys(names):
        rows = np.flatnonzero(np.array([other == name for other in names]))
        units = _units(both[rows], None if index is None else index[rows])
        totals = both[rows].sum(axis=0)
        figures.append((float(finish(totals[:columns])), float(finish(totals[columns:]))))
        if len(units) == 1:
            variance = math.inf
            continue
        drawn = resampled(units, draws, random)
        apart = finish(drawn[:, columns:]) - finish(drawn[:, :columns])
        moved.append(apart)
        # The bootstrap's variance is that of n units; the sample's is of n - 1 (Hesterberg 2015).
        variance += len(units) / (len(units) - 1) * float(np.nanvar(apart))
        fewest = min(fewest or len(units), len(units))
    before, after = np.nanmean(figures, axis=0)
    error = math.sqrt(variance) / len(figures)
    value, degrees = float(after - before), max(1, fewest - 1)
    half = _quantile(degrees, confidence) * error
    p = _p(value, error, degrees)
    return Difference(float(before), float(after), value, value - half, value + half, error, degrees, p)


def _units(matrix: Floats, index: npt.NDArray[np.intp] | None) -> Floats:
    if index is None:
        return matrix
    place = np.unique(index, return_inverse=True)[1]
    totals = np.zeros((int(place.max()) + 1, matrix.shape[1]))
    np.add.at(totals, place, matrix)
    return totals


def _quantile(degrees: int, confidence: float) -> float:
    from scipy.special import ndtri

    level = (1 + confidence) / 2
    return t_quantile(degrees, level) if degrees else float(ndtri(level))


def _p(distance: float, error: float, degrees: int) -> float:
    from scipy.special import ndtr, stdtr

    if error == 0:
        return 1.0 if distance == 0 else 0.0
    if math.isinf(error) or math.isnan(distance):
        return 1.0
    at = -abs(distance) / error
    return 2 * float(stdtr(degrees, at) if degrees else ndtr(at))
