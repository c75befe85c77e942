"""The mean of groups' figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from evalkit.identity import versioned
from evalkit.metrics.base import MACRO, Metric, Scored, traits_of
from evalkit.samples import Sample

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats


@versioned("macro", 1)
@dataclass(frozen=True, slots=True)
class Macro:
    """The mean of `inner`'s figures of the groups (`Sample.group`), each group counting the same.

    Samples of no group are left out. Statistics and `finish` are those of `inner`, of any samples together;
    tables, intervals and comparisons finish each group and take the mean. Beside it stands `inner` itself,
    the figure of all samples together: `metrics=(Macro(Accuracy()), Accuracy())`, which `averages` writes.
    """

    inner: Metric
    average: ClassVar[str] = MACRO

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
    def view(self) -> str:
        return self.inner.view

    @property
    def whole_corpus(self) -> bool:
        return traits_of(self.inner).whole_corpus

    @property
    def best(self) -> float | None:
        return traits_of(self.inner).best

    @property
    def outcome(self) -> Literal["right or wrong", "answered"]:
        return traits_of(self.inner).outcome

    @property
    def unbounded(self) -> bool:
        return traits_of(self.inner).unbounded

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        return self.inner.statistics(sample, scored)

    def finish(self, totals: Floats) -> Floats:
        return self.inner.finish(totals)


def averages(*metrics: Metric) -> tuple[Metric, ...]:
    """Each as the mean over groups, and beside it of all samples together."""
    return tuple(one for metric in metrics for one in (Macro(metric), metric))


def measured(metric: Metric) -> Metric:
    """What a mean over groups is of, or the metric itself."""
    return metric.inner if isinstance(metric, Macro) else metric
