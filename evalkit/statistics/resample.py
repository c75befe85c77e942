"""Resampled totals: many bootstrap draws as matrix products, in bounded memory, on every core.

Up to `_EXACT` units a draw is multinomial: n units, with replacement (Efron 1979). Above, each unit gets a
weight of its own, 0 to 5, in the manner of the weighted bootstrap (Præstgaard & Wellner 1993): the weights'
first two moments are those of the Poisson(1) that a multinomial count nears (both 1, exactly), their third is
4.98 instead of 5. One random byte decides a weight, so that a thousand million of them take about a second.
A figure is a ratio of totals, so it does not matter that such a draw has n units only on average.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]

_EXACT = 200
"""Units up to which draws are multinomial; they cost 30 ns a unit and draw."""
_ROUNDING = 1e-9
"""A figure moves by more if a sample that is not like the others is left out."""
_STEPS = (94, 189, 235, 251, 255)
"""A unit's weight is how many of these its random byte has reached: 0 for 94 of 256 bytes, 5 for one."""
_BLOCK = 1 << 18
"""Weights in work at a time, a thread: 1 MB as numbers, which a core's cache holds."""
_DRAWS = 128
"""Draws to a block, at most. Every block has a stream of its own, so that threads do not change a result."""


def by_cluster(matrix: Floats, clusters: Sequence[str] | None) -> Floats:
    """(clusters, columns) totals; a sample without a cluster's name is one of its own."""
    if clusters is None or not any(clusters):
        return matrix
    index = cluster_index(clusters)
    totals = np.zeros((int(index.max()) + 1, matrix.shape[1]))
    np.add.at(totals, index, matrix)
    return totals


def cluster_index(clusters: Sequence[str]) -> npt.NDArray[np.intp]:
    """(samples,) the number of each sample's cluster, from 0."""
    names = [cluster or f"\0{row}" for row, cluster in enumerate(clusters)]
    return np.unique(np.array(names), return_inverse=True)[1]


def alike(units: Floats, finish: Callable[[Floats], Floats]) -> bool:
    """Whether leaving any of several units out gives the same figure, but for rounding: none varies."""
    return bool(np.ptp(finish(units.sum(axis=0) - units)) < _ROUNDING)


def resampled(units: Floats, draws: int, random: np.random.Generator) -> Floats:
    """(draws, columns) totals of resampled units; `units` is (units, columns)."""
    if len(units) <= _EXACT:
        even = np.full(len(units), 1 / len(units))
        step = max(1, _BLOCK // len(units))
        parts = [
            random.multinomial(len(units), even, size=min(step, draws - start)) @ units
            for start in range(0, draws, step)
        ]
        return np.concatenate(parts)
    starts = range(0, draws, _DRAWS)
    streams = random.spawn(len(starts))
    narrow = units.astype(np.float32)

    def block(start: int, stream: np.random.Generator) -> Floats:
        return _weighted(narrow, min(_DRAWS, draws - start), stream)

    # One thread for each product: theirs on top of ours would wait for each other.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as threads:
        moves = np.concatenate(list(threads.map(block, starts, streams)))
    totals: Floats = moves + units.sum(axis=0)
    return totals


def _weighted(units: npt.NDArray[np.float32], draws: int, random: np.random.Generator) -> Floats:
    """(draws, columns): how far the totals move from those of the units themselves."""
    total = np.zeros((draws, units.shape[1]))
    step = _BLOCK // draws
    for start in range(0, len(units), step):
        part = units[start : start + step]
        words = random.bit_generator.random_raw(-(-draws * len(part) // 8))
        drawn = words.view(np.uint8)[: draws * len(part)]
        weights = (drawn >= _STEPS[0]).view(np.uint8)
        for step_up in _STEPS[1:]:
            weights += drawn >= step_up
        moves = (
            weights.astype(np.float32) - 1
        )  # less 1: what the units themselves add is added once, unrounded
        total += moves.reshape(draws, len(part)) @ part
    return total
