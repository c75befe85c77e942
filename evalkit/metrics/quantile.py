"""Quantiles of the same values under many weights, such as in a bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.metrics.base import Figures, Floats


def quantile(values: Floats, share: float = 0.5) -> Figures:
    """(samples,) values → a function of (draws, samples) weights → (draws,) quantiles, for `Kept.aggregate`.

    A quantile is the least value such that it and the values below have at least `share` of the weight. If
    they have exactly `share`, it is the mean of that value and the next, so that `share` 0.5 gives the usual
    median (Hyndman & Fan 1996, type 2).
    """
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = values[order]
    # Weights are summed by blocks of sorted values first; only the block with the quantile is searched.
    size = max(1, int(len(values) ** 0.5))
    starts = np.arange(0, len(values), size)
    filled = np.append(ordered, np.full(len(starts) * size - len(values), ordered[-1]))

    def at(mine: Floats, blocks: Floats, wanted: Floats, *, beyond: bool) -> Floats:
        """(draws,) the first value with at least the cumulative weight `wanted`; `beyond`: with more."""
        reached = np.cumsum(blocks, axis=1)
        enough = reached > wanted[:, None] if beyond else reached >= wanted[:, None]
        block = np.where(enough.any(axis=1), enough.argmax(axis=1), len(starts) - 1)
        draws = np.arange(len(mine))
        before = np.where(block > 0, reached[draws, block - 1], 0)
        places = block[:, None] * size + np.arange(size)
        inside = places < len(values)
        weights = np.where(inside, mine[draws[:, None], np.minimum(places, len(values) - 1)], 0)
        within = before[:, None] + np.cumsum(weights, axis=1)
        enough = within > wanted[:, None] if beyond else within >= wanted[:, None]
        last = inside.sum(axis=1) - 1
        place = np.where(enough.any(axis=1), enough.argmax(axis=1), last)
        chosen: Floats = filled[block * size + place]
        return chosen

    def quantiles(weights: Floats) -> Floats:
        mine = np.take(weights, order, axis=1)
        blocks = np.add.reduceat(mine, starts, axis=1).astype(float)
        wanted = share * blocks.sum(axis=1)
        low, high = (at(mine, blocks, wanted, beyond=beyond) for beyond in (False, True))
        middle: Floats = (low + high) / 2
        return middle

    return quantiles
