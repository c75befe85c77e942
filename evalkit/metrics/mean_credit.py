"""Mean credit of answers that may be partly right, in percent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from evalkit.identity.declared import versioned
from evalkit.metrics.base import Mean, Scored
from evalkit.samples import Sample


@versioned("mean_credit", 1)
@dataclass(frozen=True, slots=True)
class MeanCredit(Mean):
    """Credit over samples, question-weighted, in percent: VQA accuracy, ANLS.

    `label`: what the benchmark calls it. A sample with several answers counts by their mean credit.
    """

    label: str
    variant: str = ""
    unit: str = "%"
    higher_is_better: bool = True
    columns: tuple[str, ...] = ("credit", "samples")
    least_draws: int = 1
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def name(self) -> str:
        return f"{self.label} ({self.variant})" if self.variant else self.label

    def value(self, sample: Sample, scored: Scored) -> float:
        credit = scored.credits[self.variant]
        return sum(credit) / len(credit)
