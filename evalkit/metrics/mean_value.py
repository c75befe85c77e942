"""The mean of a named value of the verdicts, such as a judge's grade."""

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
    """The mean over samples of `Verdict.values[value]`, times `scale`, in `unit`.

    `label`: its name in tables; "" means `value`. `best`: see `Traits`. `unanswered`: the value of an answer
    that could not be extracted, in the range of the other values; None leaves such an answer out, also from
    the figure's n. A sample with several answers counts by the mean of their values.
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
        values = [
            self.unanswered if named is None else self._of(named) for named in scored.values[self.variant]
        ]
        kept = [value for value in values if value is not None]
        return (sum(kept) / len(kept), 1.0) if kept else (0.0, 0.0)

    def _of(self, values: Mapping[str, float]) -> float:
        if self.value not in values:
            raise ScorerError(f"the scorer's verdict has no value {self.value!r} among {list(values)}")
        return values[self.value]
