"""Mean of a value that verdicts name, such as a judge's score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from evalkit.errors import ScorerError
from evalkit.identity.declared import versioned
from evalkit.metrics.base import Counted, Scored
from evalkit.samples import Sample


@versioned("mean_value", 1)
@dataclass(frozen=True, slots=True)
class MeanValue(Counted):
    """Mean over samples of `Verdict.values[value]`, times `scale`, in `unit`.

    `label`: what a table calls it, `value` where that is "". `best`: see `Traits`. `unanswered`: what an
    answer counts that could not be read, in the value's own range; None leaves it out, and the figure's n
    says so. A sample with several answers counts by the mean of theirs.
    """

    value: str
    label: str = ""
    unit: str = ""
    scale: float = 1.0
    higher_is_better: bool = True
    best: float | None = None
    unanswered: float | None = 0.0
    variant: str = ""
    columns: ClassVar[tuple[str, ...]] = ("value", "samples")
    any_range: ClassVar[bool] = True
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def name(self) -> str:
        name = self.label or self.value
        return f"{name} ({self.variant})" if self.variant else name

    def counts(self, sample: Sample, scored: Scored) -> tuple[float, float]:
        found = [
            self.unanswered if given is None else self._of(given) for given in scored.values[self.variant]
        ]
        kept = [value for value in found if value is not None]
        return (sum(kept) / len(kept), 1.0) if kept else (0.0, 0.0)

    def _of(self, given: Mapping[str, float]) -> float:
        if self.value not in given:
            raise ScorerError(f"the judge's verdict has no value {self.value!r} among {list(given)}")
        return given[self.value]
