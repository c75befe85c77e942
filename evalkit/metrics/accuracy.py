"""Share of correct answers, in percent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from evalkit.identity.declared import versioned
from evalkit.metrics.base import Mean, Scored
from evalkit.samples import Sample


@versioned("accuracy", 1)
@dataclass(frozen=True, slots=True)
class Accuracy(Mean):
    """Correct answers over samples, question-weighted, in percent.

    A sample with several answers of its own (`ask_once` with draws > 1) counts by its share of right ones.
    """

    variant: str = ""
    unit: str = "%"
    higher_is_better: bool = True
    columns: tuple[str, ...] = ("correct", "samples")
    least_draws: int = 1
    share_of_draws: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"accuracy ({self.variant})" if self.variant else "accuracy"

    def value(self, sample: Sample, scored: Scored) -> float:
        correct = scored.of(self.variant)
        return sum(correct) / len(correct)
