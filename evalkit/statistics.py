"""Intervals from a matrix of sufficient statistics. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""
_CHUNK = 1 << 22
"""Weights drawn at once: 32 MB."""


def wilson(successes: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a proportion (Wilson 1927): (low, high) in 0..1, sound near both ends."""
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


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
    name is a cluster of its own. One matrix product gives the totals of all draws.
    """
    figures = _resampled(matrix, finish, clusters, draws, np.random.default_rng(seed))
    return None if figures is None else _between(figures)


def macro_interval(
    parts: Sequence[tuple[Floats, Sequence[str]]],
    finish: Callable[[Floats], Floats],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """95 % percentile bootstrap of the mean of several groups' figures, each group resampled by itself.

    `parts`: (matrix, clusters) of each group. The groups themselves are held: they are the benchmark's
    languages, not a sample of languages. None where a group has a single cluster, which says nothing of
    how much the group's figure might vary.
    """
    random = np.random.default_rng(seed)
    figures = []
    for matrix, clusters in parts:
        resampled = _resampled(matrix, finish, clusters, draws, random)
        if resampled is None:
            return None
        figures.append(resampled)
    return _between(np.mean(figures, axis=0))


def _resampled(
    matrix: Floats,
    finish: Callable[[Floats], Floats],
    clusters: Sequence[str] | None,
    draws: int,
    random: np.random.Generator,
) -> Floats | None:
    """(draws,) figures of resampled clusters; None for a single one."""
    totals = _by_cluster(matrix, clusters)
    units = len(totals)
    if units == 1:
        return None
    step = max(1, _CHUNK // units)
    return np.concatenate(
        [
            finish(
                random.multinomial(units, np.full(units, 1 / units), size=min(step, draws - start)) @ totals
            )
            for start in range(0, draws, step)
        ]
    )


def _between(figures: Floats) -> tuple[float, float]:
    low, high = np.percentile(figures, [2.5, 97.5])
    return float(low), float(high)


def _by_cluster(matrix: Floats, clusters: Sequence[str] | None) -> Floats:
    if clusters is None or not any(clusters):
        return matrix
    names = [cluster or f"\0{row}" for row, cluster in enumerate(clusters)]
    _, index = np.unique(np.array(names), return_inverse=True)
    totals = np.zeros((int(index.max()) + 1, matrix.shape[1]))
    np.add.at(totals, index, matrix)
    return totals


def interval(
    matrix: Floats, finish: Callable[[Floats], Floats], clusters: Sequence[str] | None = None
) -> tuple[float, float] | None:
    """95 % interval of a figure over `matrix` (at least one sample), in the figure's own unit.

    None where nothing can be said: everything is one cluster, such as questions about a single picture.

    Wilson's where every sample is 0 or 1 of 1 and stands by itself; the cluster bootstrap otherwise.
    """
    one_of_one = matrix.shape[1] == 2 and bool(
        np.all(matrix[:, 1] == 1) and np.all((matrix[:, 0] == 0) | (matrix[:, 0] == 1))
    )
    if not one_of_one or (clusters is not None and any(clusters)):
        return bootstrap(matrix, finish, clusters)
    low, high = wilson(float(matrix[:, 0].sum()), len(matrix))
    at = finish(np.array([[low, 1.0], [high, 1.0]]))
    return float(at[0]), float(at[1])
