"""Quantiles of values that are weighed again and again, such as in a bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.metrics.base import Figures, Floats


def quantile(values: Floats, share: float = 0.5) -> Figures:
    """(samples,) values → weights (draws, samples) → (draws,) quantiles, for `Kept.aggregate`; 0.5: medians.

    The least value that has `share` of the weight at it and below; where a value has exactly that, the mean
    of it and the next one, so that the median is the usual one (Hyndman & Fan 1996, type 2).
    """
    import numpy as np

    order = np.argsort(values, kind="stable")
    ordered = values[order]
    # Blocks of sorted values are summed first, and only the one that is looked for is gone through.
    size = max(1, int(len(values) ** 0.5))
    starts = np.arange(0, len(values), size)
    filled = np.append(ordered, np.full(len(starts) * size - len(values), ordered[-1]))

    def at(mine: Floats, blocks: Floats, wanted: Floats, *, beyond: bool) -> Floats:
        """(draws,) the first value with the weight `wanted`, or with more, at it and below."""
        reached = np.cumsum(blocks, axis=1)
        there = reached > wanted[:, None] if beyond else reached >= wanted[:, None]
        block = np.where(there.any(axis=1), there.argmax(axis=1), len(starts) - 1)
        draws = np.arange(len(mine))
        before = np.where(block > 0, reached[draws, block - 1], 0)
        places = block[:, None] * size + np.arange(size)
        inside = places < len(values)
        weights = np.where(inside, mine[draws[:, None], np.minimum(places, len(values) - 1)], 0)
        within = before[:, None] + np.cumsum(weights, axis=1)
        found = within > wanted[:, None] if beyond else within >= wanted[:, None]
        last = inside.sum(axis=1) - 1
        place = np.where(found.any(axis=1), found.argmax(axis=1), last)
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
