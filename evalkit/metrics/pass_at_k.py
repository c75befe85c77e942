"""pass@k of model-written programs, unbiased."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from evalkit.identity.declared import versioned
from evalkit.metrics.base import Mean, Scored
from evalkit.samples import Sample


def estimate(n: int, c: int, k: int) -> float:
    """Unbiased pass@k of one problem: 1 − C(n−c, k) / C(n, k), with n draws of which c passed.

    Chen et al. 2021, equation 1; openai/human-eval at 6d43fb9, `estimate_pass_at_k`. Exact integer
    arithmetic where the original multiplies floats: equal to within 1e-12.
    """
    if k > n:
        raise ValueError(f"pass@{k} needs at least {k} draws, got {n}")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


@versioned("pass_at_k", 1)
@dataclass(frozen=True, slots=True)
class PassAtK(Mean):
    """Mean of `estimate` over problems, in percent."""

    k: int = 1
    variant: str = ""
    unit: str = "%"
    higher_is_better: bool = True

    @property
    def name(self) -> str:
        return f"pass@{self.k}" + (f" ({self.variant})" if self.variant else "")

    @property
    def outcome(self) -> Literal["right or wrong", "answered"]:
        """A sample counts as right when half of its programs are: that is no part of pass@10."""
        return "right or wrong" if self.k == 1 else "answered"

    @property
    def share_of_draws(self) -> bool:
        return self.k == 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name, "problems")

    @property
    def least_draws(self) -> int:
        return self.k

    def value(self, sample: Sample, scored: Scored) -> float:
        correct = scored.of(self.variant)
        return estimate(len(correct), sum(correct), self.k)
