"""The geometric mean of how alike an answer and its reference are, letter by letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from evalkit.api import MetricBase, Sample, Scored


@dataclass(frozen=True)
class LetterSimilarity(MetricBase):
    """100 times the geometric mean over samples of the share of letters in their places.

    `least`: what a sample without such a letter counts, because a geometric mean has no 0.
    """

    name: str = "letter similarity"
    least: float = 0.01

    @property
    def columns(self) -> tuple[str, ...]:
        return ("logarithm", "samples")

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        said, wanted = scored.answer.finals[0].value or "", sample.target[0]
        right = sum(a == b for a, b in zip(said, wanted, strict=False))
        return log(max(self.least, right / max(len(said), len(wanted)))), 1.0

    def finish(self, totals: Any) -> Any:
        """(…, 2) totals → (…) figures."""
        import numpy as np

        return 100.0 * np.exp(totals[..., 0] / totals[..., 1])
