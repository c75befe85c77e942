"""The perplexity of references: how unlikely a model finds them, for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from evalkit.errors import ScorerError
from evalkit.identity.declared import versioned
from evalkit.metrics.base import MetricBase, Scored
from evalkit.samples import Sample

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats


@versioned("perplexity", 1)
@dataclass(frozen=True, slots=True)
class Perplexity(MetricBase):
    """exp of minus the mean log-probability of a sample's reference, in nats; 1 is the least.

    Each sample counts the same, however many tokens its reference has, as in the `perplexity` of
    lm-evaluation-harness 0.4.13 (api/metrics.py). The log-probability is `Answer.detail["logprob"]`, which
    `greedy_reference` sets. `variant`: the branch that only protocols with such a reader have.
    """

    variant: str = "likelihood"
    unit: str = ""
    higher_is_better: bool = False
    columns: tuple[str, ...] = ("log-probability", "samples")
    least_draws: int = 1
    whole_corpus: ClassVar[bool] = True
    any_range: ClassVar[bool] = True
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def name(self) -> str:
        return "perplexity"

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        logprob = scored.answer.detail.get("logprob")
        if not isinstance(logprob, int | float):
            raise ScorerError("perplexity: the answer has no log-probability of the reference")
        return (float(logprob), 1.0)

    def finish(self, totals: Floats) -> Floats:
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            figures: Floats = np.exp(-totals[..., 0] / totals[..., 1])
        return figures
