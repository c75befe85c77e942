"""The share of samples that have a property, whatever was answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from evalkit.identity.declared import versioned
from evalkit.metrics.base import Mean, Scored
from evalkit.samples import Sample


@versioned("share_of_samples", 1)
@dataclass(frozen=True, slots=True)
class ShareOfSamples(Mean):
    """The share of samples for which `Sample.meta[key]` is true, in percent; a missing key is false.

    It says something of the data beside the model's figure, and is the same for every model: the share of
    the commonest answer, which a constant reply would reach, or of samples whose passages hold an answer.
    """

    label: str
    key: str
    columns: tuple[str, ...] = ("value", "samples")
    unit: str = "%"
    higher_is_better: bool = True
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def name(self) -> str:
        return self.label

    def value(self, sample: Sample, scored: Scored) -> float:
        return float(bool(sample.meta.get(self.key)))
