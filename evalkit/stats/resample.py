"""Resampled totals: many bootstrap draws as matrix products, in bounded memory, on every core.

With up to `EXACT` units, a draw is multinomial: n units with replacement (Efron 1979). With more, each unit
gets an independent weight from 0 to 5, as in the weighted bootstrap (Præstgaard & Wellner 1993): the mean and
the variance of the weights are exactly 1, as for the Poisson(1) distribution that a multinomial count
approaches, and their third moment is 4.98 instead of 5. One random byte decides a weight, so that 10⁹ of
them take about a second. A figure is a ratio of totals, so it does not matter that such a draw has n units
only on average.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]

INTERVAL_DRAWS, PAIRED_DRAWS, ERROR_DRAWS = 2_000, 10_000, 4_000
"""The draws for an interval, for the difference or ratio of two figures, and for the standard error of a
metric that keeps its samples. That error is then exact to 1 %; its draws take about twice as long."""
EXACT = 200
"""The largest number of units for which draws are multinomial, at 30 ns per unit and draw."""
_ROUNDING = 1e-9
"""Smaller changes of a figure are rounding errors: leaving out a sample that differs changes it by more."""
_STEPS = (94, 189, 235, 251, 255)
"""A unit's weight is how many of these its random byte reaches: 0 for 94 of 256 bytes, 5 for one of them."""
_BLOCK = 1 << 18
"""Weights that a thread handles at a time: 1 MB as float32, which fits into the cache of a core."""
_DRAWS = 128
"""The most draws in a block. Each block has its own random stream, so threads do not change a result."""
_STEP = _BLOCK // _DRAWS
_KEPT, _TILE = 1 << 20, 1 << 17
"""Weights that a thread handles at a time if figures need the weight of each sample (4 MB); they are drawn
in tiles that fit into a cache."""
_Piece: TypeAlias = tuple[npt.NDArray[np.float32], slice | npt.NDArray[np.intp]]
"""A part of the totals (at most `_STEP` units, some of the columns) and the numbers of its columns."""


class Totals(NamedTuple):
    """The totals of units in several groups, without the pairs (unit, group) that have none.

    `values`: (cells, columns); `unit`, `group`: (cells,) numbers from 0, each of which occurs; each pair
    occurs once.
    """

    values: Floats
    unit: npt.NDArray[np.intp]
    group: npt.NDArray[np.intp]


def by_cluster(matrix: Floats, clusters: Sequence[str] | None) -> Floats:
    """(clusters, columns) totals; a sample without a cluster name is its own cluster."""
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
    """Whether leaving out any one of several units gives the same figure, except for rounding."""
    return bool(np.ptp(finish(units.sum(axis=0) - units)) < _ROUNDING)


def resampled(units: Floats, draws: int, random: np.random.Generator) -> Floats:
    """(draws, columns) totals of resampled units; `units`: (units, columns)."""
    if len(units) <= EXACT:
        even = np.full(len(units), 1 / len(units))
        step = max(1, _BLOCK // len(units))
        parts = [
            random.multinomial(len(units), even, size=min(step, draws - start)) @ units
            for start in range(0, draws, step)
        ]
        return np.concatenate(parts)
    narrow = units.astype(np.float32)
    pieces: list[_Piece] = [
        (narrow[start : start + _STEP], slice(None)) for start in range(0, len(narrow), _STEP)
    ]
    return _moved(pieces, units.sum(axis=0), draws, random, lambda totals: totals)


def resampled_together(
    part: Totals, draws: int, random: np.random.Generator, finish: Callable[[Floats], Floats]
) -> Floats:
    """(draws,) figures of units, each of which is resampled with its totals in all groups.

    `finish`: (draws, groups, columns) totals → (draws,); it is called with some draws at a time, in any
    thread.
    """
    units, groups = int(part.unit.max()) + 1, int(part.group.max()) + 1
    columns = part.values.shape[1]
    if units <= EXACT:
        whole = np.zeros((units, groups, columns))
        whole[part.unit, part.group] = part.values
        return finish(resampled(whole.reshape(units, -1), draws, random).reshape(draws, groups, columns))
    sums = np.zeros((groups, columns))
    np.add.at(sums, part.group, part.values)

    def shaped(totals: Floats) -> Floats:
        return finish(totals.reshape(-1, groups, columns))

    return _moved(list(_pieces(part)), sums.ravel(), draws, random, shaped)


def weighed(
    units: int, draws: int, random: np.random.Generator, figures: Callable[[Floats], Floats]
) -> Floats:
    """(draws, …) figures of resampled weights.

    `figures`: (some draws, units) weights → (some draws, …); it is called in any thread. The weights are
    integers; those of many units are stored as float32.
    """
    step = max(1, min(_DRAWS, _KEPT // units))
    starts = range(0, draws, step)
    streams = random.spawn(len(starts))

    def block(start: int, stream: np.random.Generator) -> Floats:
        count = min(step, draws - start)
        if units <= EXACT:
            even = np.full(units, 1 / units)
            return figures(stream.multinomial(units, even, size=count).astype(np.float64))
        weights: Any = np.empty(count * units, np.float32)
        for at in range(0, len(weights), _TILE):
            part = weights[at : at + _TILE]
            np.add(_weights(1, len(part), stream)[0], 1, out=part)
        return figures(weights.reshape(count, units))

    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as threads:
        return np.concatenate(list(threads.map(block, starts, streams)))


def _pieces(part: Totals) -> Iterator[_Piece]:
    """Pieces of the totals. Units of the same groups are put together, so that few columns are empty."""
    # Equal sets of groups have equal sums of random numbers; the first group keeps like sets near.
    marks = np.random.default_rng(0).random(int(part.group.max()) + 1)
    first = np.full(int(part.unit.max()) + 1, len(marks))
    np.minimum.at(first, part.unit, part.group)
    place = np.empty(len(first), np.intp)
    place[np.lexsort((np.bincount(part.unit, marks[part.group]), first))] = np.arange(len(first))
    at = place[part.unit]
    order = np.argsort(at, kind="stable")
    at, columns = at[order], part.values.shape[1]
    for start in range(0, len(first), _STEP):
        rows = order[slice(*np.searchsorted(at, (start, start + _STEP)))]
        present, where = np.unique(part.group[rows], return_inverse=True)
        piece = np.zeros((min(_STEP, len(first) - start), len(present), columns), np.float32)
        piece[place[part.unit[rows]] - start, where] = part.values[rows]
        yield piece.reshape(len(piece), -1), (present[:, None] * columns + np.arange(columns)).ravel()


def _moved(
    pieces: Sequence[_Piece],
    sums: Floats,
    draws: int,
    random: np.random.Generator,
    finish: Callable[[Floats], Floats],
) -> Floats:
    """(draws, …) results of `finish` for the totals of weighted units; `sums`: the unweighted totals."""
    starts = range(0, draws, _DRAWS)
    streams = random.spawn(len(starts))

    def block(start: int, stream: np.random.Generator) -> Floats:
        total = np.zeros((min(_DRAWS, draws - start), len(sums)))
        for units, columns in pieces:
            total[:, columns] += _weights(len(total), len(units), stream) @ units
        return finish(total + sums)

    # One BLAS thread per product: more of them would compete with the threads started here.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as threads:
        return np.concatenate(list(threads.map(block, starts, streams)))


def _weights(draws: int, units: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """(draws, units) weights minus 1: the caller adds the units' own totals once, unrounded."""
    words = random.bit_generator.random_raw(-(-draws * units // 8))
    drawn = words.view(np.uint8)[: draws * units]
    weights = (drawn >= _STEPS[0]).view(np.uint8)
    for step_up in _STEPS[1:]:
        weights += drawn >= step_up
    return (weights.astype(np.float32) - 1).reshape(draws, units)
