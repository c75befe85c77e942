"""The course of a log-loss over positions: means by octave with intervals, and a power law through them.

Documents are the clusters: tokens of a document are not independent, so each resample draws documents, with
all their tokens. The means of all octaves and the power law come from the same resamples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from evalkit.metrics.log_loss import OCTAVES, PARTS
from evalkit.stats.intervals import t_quantile
from evalkit.stats.power_law import fitted
from evalkit.stats.resample import INTERVAL_DRAWS, Floats, by_cluster, weighed

FEWEST_DOCUMENTS, FEWEST_OCTAVES = 5, 5
"""What a power law needs: intervals of fewer documents mean nothing, and three parameters go through any
three means."""
_ROUNDING = 1e-20
"""A variance that is smaller than this share of the squared mean is a rounding error."""
_SAME = 1e-9
"""A smaller difference between resamples is a rounding error too."""
_DOUBT = 0.025
"""The largest share of resamples without a power law, or with the other sign, that leaves one determined."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval; None if it is of one document, or the same in every resample."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Octave:
    """The mean log-loss of the tokens at the positions `first` to `last`, counted from 1.

    `units`: the tokens, or bytes, that count. `documents`: how many have tokens there. `middle`: the
    geometric mean of their positions.
    """

    first: int
    last: int
    documents: int
    units: int
    middle: float
    mean: Estimate


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """L(x) = αx^β + γ through the means of the octaves from `first` to `last`."""

    alpha: Estimate
    beta: Estimate
    gamma: Estimate
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Course:
    """The octaves with tokens. `law`: the power law, or why it is not determined."""

    octaves: tuple[Octave, ...]
    law: PowerLaw | str


def course(
    matrix: Floats, clusters: Sequence[str] = (), *, scale: float = 1.0, draws: int = INTERVAL_DRAWS
) -> Course:
    """The course of the log-loss in the statistics of `evalkit.metrics.log_loss.LogLoss`.

    `matrix`: (samples, columns), at least one row. `scale`: what a nat is in the figure's unit. Samples of
    one cluster are one document. Intervals are those of `evalkit.stats.intervals.bootstrap`.
    """
    parts = by_cluster(matrix, clusters)[:, 1:].reshape(-1, OCTAVES, len(PARTS))
    there = np.flatnonzero(parts[:, :, 1].sum(axis=0) > 0)
    parts = parts[:, there]
    used, weights = _used(parts)
    lawful = len(parts) >= FEWEST_DOCUMENTS and len(used) >= FEWEST_OCTAVES

    def figures(given: Floats) -> Floats:
        """(draws, octaves + 4) the means, then α, β, γ and whether β is at an end of its range."""
        totals = (given @ parts.reshape(len(parts), -1)).reshape(-1, *parts.shape[1:])
        means = scale * _ratio(totals, 0)
        if not lawful:
            return means
        kept = totals[:, used]
        logs = _ratio(kept, 2)
        laws = fitted(means[:, used], logs, np.maximum(_ratio(kept, 3) - logs**2, 0.0), weights)
        return np.column_stack([means, *laws])

    own = figures(np.ones((1, len(parts))))[0]
    drawn = weighed(len(parts), draws, np.random.default_rng(0), figures) if len(parts) > 1 else None
    counts = (parts[:, :, 1] > 0).sum(axis=0)
    octaves = tuple(
        _octave(
            int(number), parts[:, i], _estimate(own[i], drawn if drawn is None else drawn[:, i], counts[i])
        )
        for i, number in enumerate(there)
    )
    if not lawful or drawn is None:
        return Course(octaves, _too_few(len(parts), len(used)))
    shape = slice(len(octaves), None)
    if doubt := _doubt(own[shape], drawn[:, shape]):
        return Course(octaves, doubt)
    alpha, beta, gamma = (
        _estimate(value, column, len(parts))
        for value, column in zip(own[shape][:3], drawn[:, shape].T[:3], strict=True)
    )
    return Course(octaves, PowerLaw(alpha, beta, gamma, octaves[used[0]].first, octaves[used[-1]].last))


def _octave(number: int, parts: Floats, mean: Estimate) -> Octave:
    """`parts`: (documents, parts) of the octave."""
    _, units, logs, _ = parts.sum(axis=0)
    documents = int((parts[:, 1] > 0).sum())
    return Octave(2**number, 2 ** (number + 1) - 1, documents, round(units), math.exp(logs / units), mean)


def _ratio(totals: Floats, part: int) -> Floats:
    """A part of the totals per unit; NaN for an octave without a token in a draw."""
    with np.errstate(invalid="ignore", divide="ignore"):
        quotient: Floats = totals[..., part] / totals[..., 1]
    return quotient


def _used(parts: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """(numbers of the octaves that a power law is fitted to, their weights).

    They are the longest run of octaves that have tokens of every document, because others are of other texts,
    and that differ between documents: a word with which all begin says nothing of other documents. (If
    nothing differs, that is not required.) A weight is one over the variance of the mean. Its estimate
    between documents (Cochran 1977, equation 6.13) is smoothed to a + b / tokens: it would otherwise depend
    on the mean that it weighs, because the distribution of log-probabilities is skewed.
    """
    totals = parts.sum(axis=0)
    rest = parts[:, :, 0] - _ratio(totals, 0) * parts[:, :, 1]
    variances = (rest**2).sum(axis=0) / totals[:, 1] ** 2
    whole: npt.NDArray[np.bool_] = np.all(parts[:, :, 1] > 0, axis=0)
    varies: npt.NDArray[np.bool_] = whole & (variances > _ROUNDING * (totals[:, 0] / totals[:, 1]) ** 2)
    if not varies.any():
        used = _longest_run(whole)
        return used, np.ones(len(used))
    used = _longest_run(varies)
    return used, 1 / _smooth(variances[used], totals[used, 1])


def _smooth(variances: Floats, tokens: Floats) -> Floats:
    """a + b / tokens, with a and b not below 0, by least squares of the relative errors."""
    explained = np.column_stack([np.ones(len(tokens)), 1 / tokens])
    relative = explained / variances[:, None]
    both = np.linalg.lstsq(relative, np.ones(len(tokens)))[0]
    if (both >= 0).all():
        smooth: Floats = explained @ both
        return smooth
    factors = relative.sum(axis=0) / (relative**2).sum(axis=0)
    alone = explained * factors
    best: Floats = alone[:, int(((alone / variances[:, None] - 1) ** 2).sum(axis=0).argmin())]
    return best


def _longest_run(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The numbers of the longest run of set flags, the last one of several; none if no flag is set."""
    runs = np.split(np.arange(len(flags)), np.flatnonzero(~flags))
    return max((run[flags[run]] for run in reversed(runs)), key=len)


def _estimate(value: float, drawn: Floats | None, count: int) -> Estimate:
    """`drawn`: the figure in each resample. The percentiles are widened for few documents, `count`."""
    if drawn is None or count < 2 or np.nanmax(drawn) - np.nanmin(drawn) < _SAME:
        return Estimate(float(value), None, None)
    outer = NormalDist().cdf(-math.sqrt(count / (count - 1)) * t_quantile(count - 1))
    low, high = np.nanquantile(drawn, [outer, 1 - outer])
    return Estimate(float(value), float(low), float(high))


def _too_few(documents: int, octaves: int) -> str:
    if documents < FEWEST_DOCUMENTS:
        return f"{documents} documents, and it takes {FEWEST_DOCUMENTS}"
    return f"documents differ and all have tokens in {octaves} octaves, and it takes {FEWEST_OCTAVES}"


def _doubt(own: Floats, drawn: Floats) -> str:
    """Why the law with the parameters `own` is not determined; "" if it is. Each: α, β, γ, edge."""
    if not np.isfinite(own).all() or own[3] or float((drawn[:, 3] > 0).mean()) > _DOUBT:
        return "the means do not bend as a power does: β is at an end of its range, -3 to -0.02"
    if float((np.sign(drawn[:, 0]) != np.sign(own[0])).mean()) > _DOUBT:
        return "the course is flat within its intervals, so any β fits"
    return ""
