"""The mean of a metric's figures over groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from evalkit.identity.declared import versioned
from evalkit.metrics.base import MACRO, Metric, Traits, traits_of


@dataclass(frozen=True, slots=True)
class OfFigures:
    """A base class of metrics that combine the figures of another one, `inner`, for groups of samples.

    What they do not change is that metric's.
    """

    inner: Metric
    way: ClassVar[str]
    """How the figures are combined, for the name."""

    @property
    def name(self) -> str:
        """`WER (macro)`, `WER (insertions, macro)`."""
        name = self.inner.name
        return f"{name[:-1]}, {self.way})" if name.endswith(")") else f"{name} ({self.way})"

    @property
    def unit(self) -> str:
        return self.inner.unit

    @property
    def higher_is_better(self) -> bool:
        return self.inner.higher_is_better

    @property
    def least_draws(self) -> int:
        return self.inner.least_draws

    @property
    def variant(self) -> str:
        return self.inner.variant


@versioned("macro", 1)
@dataclass(frozen=True, slots=True)
class Macro(OfFigures):
    """The mean of `inner`'s figures over the groups (`Sample.group`), each group counting the same.

    Samples without a group are left out. The statistics are those of `inner`, which may be any metric;
    tables, intervals and comparisons compute its figure for each group and take their mean. A task usually
    also has `inner` itself, the figure of all samples together: `averages(Accuracy())` is
    `(Macro(Accuracy()), Accuracy())`.
    """

    way: ClassVar[str] = "macro"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.inner.columns

    @property
    def traits(self) -> Traits:
        return dataclasses.replace(traits_of(self.inner), average=MACRO)

    @property
    def statistics(self) -> Callable[..., Sequence[float]]:
        return self.inner.statistics


def averages(*metrics: Metric) -> tuple[Metric, ...]:
    """Each of `metrics` as the mean over groups, followed by the same metric of all samples together."""
    return tuple(either for metric in metrics for either in (Macro(metric), metric))


def measured(metric: Metric) -> Metric:
    """The metric that a `Macro` averages, or the metric itself."""
    return metric.inner if isinstance(metric, Macro) else metric
