"""The power law L(x) = α·x^β + γ with a falling power (β < 0), fitted to means over ranges of positions.

For a given β the law is linear in α and γ, so that weighted least squares give both at once; β is the best of
a grid, moved to the vertex of the parabola through its neighbours. All resamples are fitted together.

A mean over a range of positions is not the law at one position. With μ and σ² the mean and the variance of
the logarithms of its positions, the mean of x^β is exp(μβ)·(1 + σ²β²/2) up to the third moment: for an octave
that is exact to 0.1 % down to β = -1, and to 0.5 % at -2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evalkit.stats.resample import Floats

STEEPEST, FLATTEST = -3.0, -0.02
"""The ends of the grid of β. At an end the law is not determined: it may as well be a single step after the
first tokens, or a logarithm."""
GRID = -np.geomspace(-FLATTEST, -STEEPEST, 80)


class Laws(NamedTuple):
    """Fitted laws, each field (draws,). `edge`: whether β is at an end of the grid."""

    alpha: Floats
    beta: Floats
    gamma: Floats
    edge: npt.NDArray[np.bool_]


def fitted(means: Floats, logs: Floats, variances: Floats, weights: Floats) -> Laws:
    """The laws of several draws. `means`, `logs`, `variances`: (draws, ranges); `weights`: (ranges,).

    `logs`, `variances`: the mean and the variance of the natural logarithms of the positions of a range.
    """
    share = weights / weights.sum()
    level = means @ share
    apart = means - level[:, None]
    solved = [_solved(apart, logs, variances, share, beta) for beta in GRID]
    errors, slopes, middles = (np.array(part) for part in zip(*solved, strict=True))
    draws, best = np.arange(len(means)), errors.argmin(axis=0)
    edge = (best == 0) | (best == len(GRID) - 1)
    centre = np.clip(best, 1, len(GRID) - 2)
    before, here, after = (errors[centre + step, draws] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = np.where(bend > 0, 0.5 * (before - after) / bend, 0.0)
    moved = np.where(edge, best - centre, np.clip(moved, -1, 1))

    def between(values: Floats) -> Floats:
        """Lagrange's parabola through three points of the grid."""
        left, middle, right = (values[centre + step, draws] for step in (-1, 0, 1))
        found: Floats = middle + moved * (right - left) / 2 + moved**2 * (left - 2 * middle + right) / 2
        return found

    beta = -np.exp(between(np.repeat(np.log(-GRID)[:, None], len(means), axis=1)))
    alpha = between(slopes)
    return Laws(alpha, beta, level - between(slopes * middles), edge)


def _solved(
    apart: Floats, logs: Floats, variances: Floats, share: Floats, beta: float
) -> tuple[Floats, Floats, Floats]:
    """(squared error, α, mean of the powers) of each draw for one β."""
    powers = np.exp(beta * logs) * (1 + beta**2 * variances / 2)
    middle = powers @ share
    around = powers - middle[:, None]
    crossed, spread = (around * apart) @ share, around**2 @ share
    return (apart**2) @ share - crossed**2 / spread, crossed / spread, middle
