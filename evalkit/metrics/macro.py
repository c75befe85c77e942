"""The mean of groups' figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalkit.identity.declared import versioned
from evalkit.metrics.base import MACRO, Metric, Traits, traits_of


@versioned("macro", 1)
@dataclass(frozen=True, slots=True)
class Macro:
    """The mean of `inner`'s figures of the groups (`Sample.group`), each group counting the same.

    Samples of no group are left out. Statistics are those of `inner`, whatever it is; tables, intervals and
    comparisons take the mean of what it makes of each group. Beside it stands `inner` itself,
    the figure of all samples together: `metrics=(Macro(Accuracy()), Accuracy())`, which `averages` writes.
    """

    inner: Metric

    @property
    def name(self) -> str:
        """`WER (macro)`, `WER (insertions, macro)`."""
        name = self.inner.name
        return f"{name[:-1]}, macro)" if name.endswith(")") else f"{name} (macro)"

    @property
    def unit(self) -> str:
        return self.inner.unit

    @property
    def higher_is_better(self) -> bool:
        return self.inner.higher_is_better

    @property
    def columns(self) -> tuple[str, ...]:
        return self.inner.columns

    @property
    def least_draws(self) -> int:
        return self.inner.least_draws

    @property
    def variant(self) -> str:
        return self.inner.variant

    @property
    def traits(self) -> Traits:
        return dataclasses.replace(traits_of(self.inner), average=MACRO)

    @property
    def statistics(self) -> Callable[..., Sequence[float]]:
        return self.inner.statistics


def averages(*metrics: Metric) -> tuple[Metric, ...]:
    """Each as the mean over groups, and beside it of all samples together."""
    return tuple(one for metric in metrics for one in (Macro(metric), metric))


def measured(metric: Metric) -> Metric:
    """What a mean over groups is of, or the metric itself."""
    return metric.inner if isinstance(metric, Macro) else metric
