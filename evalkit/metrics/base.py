"""The shape of a metric: what it takes of each sample, and what makes a figure of that.

Most are `statistics` and a `finish`: sums of statistics merge in any order, so streaming, resuming,
breakdowns, intervals and paired tests need nothing from them but these two functions. What is no function of
sums, such as a median, keeps each sample's values and has an `aggregate`. What depends on the other samples,
such as the document frequencies of their references, has a `prepare`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from evalkit.samples import Answer, Sample

if TYPE_CHECKING:  # numpy costs more to import than the rest of a task
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]
    Figures: TypeAlias = Callable[[Floats], Floats]
    """Weights (draws, samples) → figures (draws,)."""


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer and, for each of its finals, its credit between 0 and 1, whether it is right, and why."""

    answer: Answer
    correct: tuple[bool, ...]
    reasons: tuple[str, ...] = ()
    variants: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    """Whether they are right in each variant of the task and each branch of the answer, by name."""
    credits: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Their credit in each variant and branch, and under "" the headline's."""
    values: Mapping[str, tuple[Mapping[str, float] | None, ...]] = field(default_factory=dict)
    """Likewise the values of their verdicts (`Verdict.values`); None where there was no answer to judge."""

    def of(self, variant: str) -> tuple[bool, ...]:
        """Whether the answers are right in `variant`; "" is the headline."""
        return self.variants[variant] if variant else self.correct


class Metric(Protocol):
    """`columns` name the statistics that `statistics` takes of a sample: `(sample, scored)` → finite numbers.

    `least_draws`: answers per sample that it needs (pass@10: 10); under a protocol with fewer draws the
    metric is left out. `variant`: the variant or branch that it measures, "" for the headline; under a protocol
    without that branch the metric is left out. It has one of

    - `finish(totals)`: totals (…, columns) → figures (…) in `unit`; it is never given totals of no samples;
    - `aggregate(values)`: values (samples, columns) → `Figures`, for what is no function of sums.

    With `prepare(samples)`, which is given all samples that were scored once the last one is, its statistics
    are `(sample, scored, corpus)`, where `corpus` is what `prepare` returned. `Traits` are attributes that it
    may have besides. `MetricBase` has what most metrics have in common.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def least_draws(self) -> int: ...
    @property
    def variant(self) -> str: ...
    @property
    def statistics(self) -> Callable[..., Sequence[float]]: ...


class MetricBase:
    """A base with what most metrics are: of the headline, in percent, more is better."""

    __slots__ = ()

    @property
    def variant(self) -> str:
        return ""

    @property
    def unit(self) -> str:
        return "%"

    @property
    def higher_is_better(self) -> bool:
        return True

    @property
    def least_draws(self) -> int:
        return 1


class Ratio(MetricBase):
    """A base of metrics that are a ratio of two sums: `scale` times the first column over the second.

    Such a figure is known from a run file alone, also where the metric is a user's own.
    """

    __slots__ = ()

    @property
    def scale(self) -> float:
        """100 for percent."""
        return 100.0

    def finish(self, totals: Floats) -> Floats:
        return ratio(totals, self.scale)


def ratio(totals: Floats, scale: float) -> Floats:
    """`scale` times the first of (…, 2) columns over the second; of nothing over nothing it is NaN."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = scale * totals[..., 0] / totals[..., 1]
    return found


class Mean(Ratio):
    """A base of metrics that are the mean over samples of one number of each, `value`, in percent."""

    __slots__ = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ("value", "samples")

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        return (self.value(sample, scored), 1.0)

    @abstractmethod
    def value(self, sample: Sample, scored: Scored) -> float:
        """Of a sample; of several answers their mean."""


class Counted(Ratio):
    """A base of metrics that count in each sample what is right of what there is: `counts`, in percent.

    `columns` name both; a figure's n is the total of the second, such as the instructions that were given.
    Samples with nothing to count are outside: they are no part of the figure, its n or its interval.
    """

    __slots__ = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ("counted", "of")

    @property
    def denominator(self) -> str:
        return self.columns[1]

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        found, of = self.counts(sample, scored)
        if of < 0 or (found and not of):
            raise ValueError(f"{found} of {of} {self.denominator}")
        return (found, of)

    @abstractmethod
    def counts(self, sample: Sample, scored: Scored) -> tuple[float, float]:
        """(how many are right, of how many) in a sample; (0, 0): it is outside."""


class Kept(MetricBase):
    """A base of metrics that are a function of all samples' values and of no sums of them, such as a median.

    Weights say how often each sample counts: intervals and comparisons draw thousands of them. What can be
    done once for all draws, such as sorting, is done before the function of weights is returned.
    """

    __slots__ = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ("value",)

    @abstractmethod
    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        """What is kept of a sample."""

    @abstractmethod
    def aggregate(self, values: Floats) -> Figures:
        """(samples, columns) values → (draws, samples) weights, none of them all 0 → (draws,) figures."""

    def each(self, values: Floats) -> Floats:
        """(samples, columns) → each sample's own figure, by which wins and losses are told: column 0."""
        own: Floats = values[:, 0]
        return own


MACRO = "macro over groups"
"""`Traits.average` of a mean over groups, each counting the same."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a metric may say of itself, as attributes of these names; those that it lacks are as here.

    `whole_corpus`: one figure of all samples together and no mean over them, such as BLEU. `best`: the value
    that is best where more and less are both worse, such as 0 of a bias; `higher_is_better` is not consulted.
    `outcome`: what a table says of samples: `right or wrong`, or only that they were `answered`, where the
    judge's verdict is not what the figure is made of: an answer with a word wrong is not a wrong one to WER.
    `average`: "" for all samples together, or `MACRO`. `unbounded`: a sample may count for more than all that
    is in its reference, as an answer that goes on for ever does in WER. `span`: between the least and the
    greatest figure, where that cannot be told from the statistics. `share_of_draws`: a sample's figure is its
    draws' share of right ones. `denominator`: the column whose total is the figure's n (`Counted`).
    `any_range`: its values have no bounds of their own, so that a 0 or 1 among them is no share of anything.
    `prepared`: its statistics depend on all samples that were scored (`prepare`).
    """

    whole_corpus: bool = False
    best: float | None = None
    outcome: Literal["right or wrong", "answered"] = "right or wrong"
    average: str = ""
    unbounded: bool = False
    span: float | None = None
    share_of_draws: bool = False
    denominator: str = ""
    any_range: bool = False
    prepared: bool = False

    @property
    def right_or_wrong(self) -> bool:
        return self.outcome == "right or wrong"


def merit(value: float, higher_is_better: bool, best: float | None) -> float:
    """More is better: the value, less it, or less its distance from the best."""
    return -abs(value - best) if best is not None else value if higher_is_better else -value


def traits_of(metric: Metric) -> Traits:
    """The metric's own attributes where it has them, or all of them as `traits`."""
    whole = getattr(metric, "traits", None)
    if isinstance(whole, Traits):
        return whole
    own = {f.name: getattr(metric, f.name) for f in fields(Traits) if hasattr(metric, f.name)}
    return Traits(**{"prepared": hasattr(metric, "prepare"), **own})


def is_prepared(metric: Metric) -> bool:
    """`Traits.prepared`, without the others: it is asked of every sample."""
    whole = getattr(metric, "traits", None)
    if isinstance(whole, Traits):
        return whole.prepared
    return bool(getattr(metric, "prepared", hasattr(metric, "prepare")))


def prepare(metric: Metric, samples: Iterable[Sample]) -> Any:
    """What the metric makes of all samples that were scored; it has `prepare` (`Traits.prepared`)."""
    return metric.prepare(samples)  # type: ignore[attr-defined]
