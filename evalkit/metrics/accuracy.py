"""Share of correct answers, in percent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.identity import versioned
from evalkit.metrics.base import Ratio, Scored
from evalkit.samples import Sample


@versioned("accuracy", 1)
@dataclass(frozen=True, slots=True)
class Accuracy(Ratio):
    """Correct answers over samples, question-weighted, in percent.

    A sample with several answers of its own (`ask_once` with draws > 1) counts by its share of right ones.
    """

    view: str = ""
    unit: str = "%"
    higher_is_better: bool = True
    columns: tuple[str, ...] = ("correct", "samples")
    least_draws: int = 1

    @property
    def name(self) -> str:
        return f"accuracy ({self.view})" if self.view else "accuracy"

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        correct = scored.of(self.view)
        return (sum(correct) / len(correct), 1.0)
