"""Whether a model's probabilities are right: reliability diagrams and the expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.stats.intervals import wilson

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """The samples whose confidence is above `above` and at most `until`; all numbers are in 0..1.

    `confidence`: their mean confidence. `accuracy`: the share that is right, `low` and `high` its 95 %
    interval by Wilson.
    """

    above: float
    until: float
    count: int
    confidence: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """The bins that have samples, and the expected calibration error, in 0..1."""

    bins: tuple[Bin, ...]
    error: float

    @property
    def count(self) -> int:
        return sum(part.count for part in self.bins)


def reliability(confidences: Sequence[float], right: Sequence[bool]) -> Reliability:
    """The reliability of confidences in 0..1, of which there must be at least one.

    The bins are of equal width, and the error is the mean over samples of |accuracy - confidence| of their
    bins: equations 2 and 3 of Guo et al. (2017, arXiv 1706.04599), who draw 10 bins in their diagrams.
    """
    chances, hits = np.asarray(confidences, float), np.asarray(right, float)
    place = np.clip(np.ceil(chances * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for number in np.unique(place).tolist():
        inside = place == number
        count = int(inside.sum())
        low, high = wilson(float(hits[inside].sum()), count)
        mean, share = float(chances[inside].mean()), float(hits[inside].mean())
        bins.append(Bin(number / BINS, (number + 1) / BINS, count, mean, share, low, high))
    error = sum(part.count * abs(part.accuracy - part.confidence) for part in bins) / len(chances)
    return Reliability(tuple(bins), error)
