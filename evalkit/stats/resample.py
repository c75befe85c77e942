"""Resampled totals: many bootstrap draws as matrix products, in bounded memory, on every core.

Up to `EXACT` units a draw is multinomial: n units, with replacement (Efron 1979). Above, each unit gets a
weight of its own, 0 to 5, in the manner of the weighted bootstrap (Præstgaard & Wellner 1993): the weights'
first two moments are those of the Poisson(1) that a multinomial count nears (both 1, exactly), their third is
4.98 instead of 5. One random byte decides a weight, so that a thousand million of them take about a second.
A figure is a ratio of totals, so it does not matter that such a draw has n units only on average.
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

EXACT = 200
"""Units up to which draws are multinomial; they cost 30 ns a unit and draw."""
_ROUNDING = 1e-9
"""A figure moves by more if a sample that is not like the others is left out."""
_STEPS = (94, 189, 235, 251, 255)
"""A unit's weight is how many of these its random byte has reached: 0 for 94 of 256 bytes, 5 for one."""
_BLOCK = 1 << 18
"""Weights in work at a time, a thread: 1 MB as numbers, which a core's cache holds."""
_DRAWS = 128
"""Draws to a block, at most. Every block has a stream of its own, so that threads do not change a result."""
_STEP = _BLOCK // _DRAWS
_KEPT, _TILE = 1 << 20, 1 << 17
"""Weights in work at a time, a thread, where each sample's is needed, 4 MB, drawn in tiles for a cache."""
_Piece: TypeAlias = tuple[npt.NDArray[np.float32], slice | npt.NDArray[np.intp]]
"""(`_STEP` units or fewer, some columns) of the totals, and which columns these are."""


class Part(NamedTuple):
    """What units have in each of several groups: only where they have anything.

    `values`: (cells, columns); `unit`, `group`: (cells,) numbers from 0, none left out; no pair twice.
    """

    values: Floats
    unit: npt.NDArray[np.intp]
    group: npt.NDArray[np.intp]


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
    part: Part, draws: int, random: np.random.Generator, finish: Callable[[Floats], Floats]
) -> Floats:
    """(draws,) figures of units that are resampled with what they have in every group.

    `finish`: (draws, groups, columns) totals → (draws,); it is given some draws at a time, in any thread.
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
    """(draws, …) `figures` of drawn weights (some draws, units), some draws at a time and in any thread.

    Of many units the weights are float32, whole numbers all the same.
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


def _pieces(part: Part) -> Iterator[_Piece]:
    """Units of the same groups stand together, so that a piece has few columns that are empty."""
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
    """(draws, …) `finish` of the totals of weighted units whose own totals are `sums`."""
    starts = range(0, draws, _DRAWS)
    streams = random.spawn(len(starts))

    def block(start: int, stream: np.random.Generator) -> Floats:
        total = np.zeros((min(_DRAWS, draws - start), len(sums)))
        for units, columns in pieces:
            total[:, columns] += _weights(len(total), len(units), stream) @ units
        return finish(total + sums)

    # One thread for each product: theirs on top of ours would wait for each other.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as threads:
        return np.concatenate(list(threads.map(block, starts, streams)))


def _weights(draws: int, units: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """(draws, units) weights less 1: what the units themselves add up to is added once, unrounded."""
    words = random.bit_generator.random_raw(-(-draws * units // 8))
    drawn = words.variant(np.uint8)[: draws * units]
    weights = (drawn >= _STEPS[0]).variant(np.uint8)
    for step_up in _STEPS[1:]:
        weights += drawn >= step_up
    return (weights.astype(np.float32) - 1).reshape(draws, units)
