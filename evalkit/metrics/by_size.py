"""The mean of the figures of a group's tasks, weighted by the tasks' sizes, as lm-eval computes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from evalkit.identity.declared import versioned
from evalkit.metrics.base import Metric, Scored, Traits, traits_of
from evalkit.metrics.macro import OfFigures
from evalkit.samples import Sample

if TYPE_CHECKING:
    from evalkit.metrics.base import Figures, Floats


@versioned("lm_eval_by_size", 1)
@dataclass(frozen=True, slots=True)
class BySize(OfFigures):
    """The sum of `inner`'s figure of each task times the task's number of samples, over that of all samples.

    lm-eval 0.4.13 aggregates a group's tasks so by default (api/metrics.py: aggregate_subtask_metrics), also
    where the figure is no mean over samples, such as an F1 or a perplexity, and so is another one than that
    of all samples together. `tasks`: the names of the tasks, which are the groups of the samples. For a mean
    over samples `inner` itself is the same figure.
    """

    tasks: tuple[str, ...]
    way: ClassVar[str] = "by size"

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.inner.columns, "number of the task")

    @property
    def traits(self) -> Traits:
        return dataclasses.replace(traits_of(self.inner), whole_corpus=True, any_range=True)

    def prepare(self, samples: Iterable[Sample]) -> Any:
        """What `inner` prepares. It is called only if `inner` has it (`Traits.prepared`)."""
        inner: Any = self.inner
        return inner.prepare(samples)

    def statistics(self, sample: Sample, scored: Scored, *corpus: Any) -> Sequence[float]:
        return (*self.inner.statistics(sample, scored, *corpus), float(self.tasks.index(sample.group)))

    def aggregate(self, values: Floats) -> Figures:
        """As `Kept.aggregate`. In a draw without samples of a task, the task's figure is its own."""
        import numpy as np

        of, numbers = np.unique(values[:, -1], return_inverse=True)
        parts = [np.flatnonzero(numbers == at) for at in range(len(of))]
        found = [_figures(self.inner, values[rows, :-1]) for rows in parts]
        sizes = [len(rows) for rows in parts]

        def figures(weights: Floats) -> Floats:
            total = np.zeros(len(weights))
            for rows, size, figure in zip(parts, sizes, found, strict=True):
                drawn = weights[:, rows]
                total += size * figure(np.where(drawn.any(axis=1, keepdims=True), drawn, 1.0))
            return total / sum(sizes)

        return figures

    def each(self, values: Floats) -> Floats:
        """As `Kept.each`: the value of a sample, or `inner`'s figure of it alone."""
        inner: Any = self.inner
        own = values[:, :-1]
        found: Floats = own[:, 0] if hasattr(inner, "aggregate") else inner.finish(own)
        return found


def _figures(metric: Metric, values: Floats) -> Figures:
    inner: Any = metric
    if hasattr(inner, "aggregate"):
        figures: Figures = inner.aggregate(values)
        return figures

    def figures_of_sums(weights: Floats) -> Floats:
        found: Floats = inner.finish(weights @ values)
        return found

    return figures_of_sums
