"""The interface of a metric: statistics of each sample, and a figure that is computed from them.

Most metrics have `statistics` and `finish`: sums of statistics can be added in any order, so streaming,
resuming, breakdowns, intervals and paired tests need only these two functions. A metric that is not a
function of sums, such as a median, keeps each sample's values and has `aggregate`. A metric whose statistics
depend on the other samples, such as on the document frequencies of their references, has `prepare`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from evalkit.errors import UsageError
from evalkit.samples import Answer, Sample

if TYPE_CHECKING:  # importing numpy takes longer than importing the rest of a task
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]
    Figures: TypeAlias = Callable[[Floats], Floats]
    """Weights (draws, samples) → figures (draws,)."""


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer with, for each of its finals, whether it is right, why, and its credit between 0 and 1."""

    answer: Answer
    correct: tuple[bool, ...]
    reasons: tuple[str, ...] = ()
    variants: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    """Whether the finals are right in each variant of the task and each branch of the answer, by name."""
    credits: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The credit of the finals in each variant and branch, by name; "" is the headline."""
    values: Mapping[str, tuple[Mapping[str, float] | None, ...]] = field(default_factory=dict)
    """The values of their verdicts (`Verdict.values`), likewise; None for a final without an answer."""

    def of(self, variant: str) -> tuple[bool, ...]:
        """Whether each final is right in `variant`; "" is the headline."""
        return self.variants[variant] if variant else self.correct


class Metric(Protocol):
    """The interface of a metric.

    `statistics`: `(sample, scored)` → finite numbers, one for each name in `columns`. `least_draws`: the
    number of answers per sample that it needs (pass@10: 10); under a protocol with fewer draws the metric is
    left out. `variant`: the variant or branch that it measures, "" for the headline; under a protocol
    without that branch the metric is left out. A metric also has one of these methods:

    - `finish(totals)`: totals (…, columns) → figures (…) in `unit`; the totals are of at least one sample;
    - `aggregate(values)`: values (samples, columns) → `Figures`, for a figure that is not a function of sums.

    A metric may have `prepare(samples)`, which is called with all scored samples after the last one was
    scored. Its statistics are then a function of `(sample, scored, corpus)`, where `corpus` is what `prepare`
    returned. `prepare_answers(answered)` is the same with pairs of a sample and its `Scored`, for statistics
    that are computed for many samples at once and do not depend on the others. `recall(answered)` is called
    with the pairs of a cell before figures are computed, for an `aggregate` that needs the answers.
    `try_on(samples)` is called with some samples before a run's first request, and raises `UsageError` if the
    metric cannot be computed. `Traits` lists further attributes that a metric may have. `MetricBase` provides
    defaults.
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
    """A base class with the most common attributes: of the headline, in percent, higher is better."""

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
    """A base class of metrics that are a ratio of sums: `scale` times the first column over the second.

    Such a figure can be computed from a run file alone, even for a user's own metric.
    """

    __slots__ = ()

    @property
    def scale(self) -> float:
        """The factor of the ratio: 100 gives percent."""
        return 100.0

    def finish(self, totals: Floats) -> Floats:
        return ratio(totals, self.scale)


def ratio(totals: Floats, scale: float) -> Floats:
    """`scale` times the first of the (…, 2) columns over the second; 0 over 0 is NaN."""
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        quotient: Floats = scale * totals[..., 0] / totals[..., 1]
    return quotient


class Mean(Ratio):
    """A base class of metrics that are the mean of one number per sample, `value`, in percent."""

    __slots__ = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ("value", "samples")

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        return (self.value(sample, scored), 1.0)

    @abstractmethod
    def value(self, sample: Sample, scored: Scored) -> float:
        """The value of a sample; if it has several answers, the mean of their values."""


class Counted(Ratio):
    """A base class of metrics that count in each sample how many items are right, and of how many: `counts`.

    The figure is the ratio of the totals, in percent. `columns` name the two counts; the figure's n is the
    total of the second, such as the number of instructions. A sample without items is left out of the
    figure, its n and its interval.
    """

    __slots__ = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ("counted", "of")

    @property
    def denominator(self) -> str:
        return self.columns[1]

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        right, of = self.counts(sample, scored)
        if of < 0 or (right and not of):
            raise ValueError(f"counts returned {right} of {of} {self.denominator}")
        return (right, of)

    @abstractmethod
    def counts(self, sample: Sample, scored: Scored) -> tuple[float, float]:
        """(how many items are right, of how many) in a sample; (0, 0) leaves the sample out."""


class Kept(MetricBase):
    """A base class of metrics that are a function of all samples' values but not of sums, such as a median.

    The figure is a function of weights, which say how often each sample counts; intervals and comparisons
    draw thousands of weights. `aggregate` should do what all draws share, such as sorting, before it returns
    that function.
    """

    __slots__ = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return ("value",)

    @abstractmethod
    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        """The values of a sample, one for each column."""

    @abstractmethod
    def aggregate(self, values: Floats) -> Figures:
        """(samples, columns) values → a function of (draws, samples) weights → (draws,) figures.

        No draw has only weights of 0.
        """

    def each(self, values: Floats) -> Floats:
        """(samples, columns) values → (samples,) figures that decide wins and losses; default: column 0."""
        own: Floats = values[:, 0]
        return own


MACRO = "macro over groups"
"""The `Traits.average` of a mean over groups, each group counting the same."""


@dataclass(frozen=True, slots=True)
class Traits:
    """Optional attributes of a metric. A metric without one of them has the default given here.

    `whole_corpus`: whether the figure is one of all samples together and not a mean over them, such as BLEU.
    `best`: the best value if both higher and lower values are worse, such as 0 for a bias;
    `higher_is_better` is then ignored. `outcome`: what a table says about samples: `right or wrong`, or only
    that they were `answered`, for a figure that is not made of the verdicts (WER does not count an answer
    with one wrong word as wrong). `average`: "" for all samples together, or `MACRO`. `unbounded`: whether a
    sample may count for more than its whole reference, as an endless answer does in WER. `span`: the
    difference between the greatest and the least possible figure, if the statistics do not show it.
    `share_of_draws`: whether a sample's figure is the share of right answers among its draws. `denominator`:
    the column whose total is the figure's n (`Counted`). `any_range`: whether its values may have any range,
    so that zeros and ones among them are not shares. `prepared`: whether its statistics depend on all scored
    samples (`prepare`). `own_units`: whether the units of `denominator` are the model's own, such as its
    tokens, so that figures are only comparable if as many of them were counted.
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
    own_units: bool = False

    @property
    def right_or_wrong(self) -> bool:
        return self.outcome == "right or wrong"


def merit(value: float, higher_is_better: bool, best: float | None) -> float:
    """A number that is higher for a better `value`: the value, its negative, or its negative distance from
    `best`."""
    return -abs(value - best) if best is not None else value if higher_is_better else -value


def traits_of(metric: Metric) -> Traits:
    """The traits of `metric`: its attribute `traits`, or else those of its attributes that `Traits` lists."""
    whole = getattr(metric, "traits", None)
    if isinstance(whole, Traits):
        return whole
    own = {f.name: getattr(metric, f.name) for f in fields(Traits) if hasattr(metric, f.name)}
    return Traits(**{"prepared": hasattr(metric, "prepare"), **own})


class NotDrawn(UsageError):
    """The figures of draws of samples are not computed, such as because they would take too long.

    The function that a metric's `aggregate` returns may raise it: the figure then has no interval, and cannot
    be compared.
    """


def is_prepared(metric: Metric) -> bool:
    """Whether the metric's statistics are computed once all samples are scored.

    That is so with `prepare` or `prepare_answers`. It does not compute the metric's other traits, because it
    is called for every sample.
    """
    whole = getattr(metric, "traits", None)
    if isinstance(whole, Traits):
        return whole.prepared
    later = hasattr(metric, "prepare") or hasattr(metric, "prepare_answers")
    return bool(getattr(metric, "prepared", later))


def prepare(metric: Metric, answered: Iterable[tuple[Sample, Callable[[], Scored]]]) -> Any:
    """The result of the metric's `prepare` or `prepare_answers` for all scored samples and their answers."""
    if (of_answers := getattr(metric, "prepare_answers", None)) is not None:
        return of_answers((sample, scored()) for sample, scored in answered)
    return metric.prepare(sample for sample, _ in answered)  # type: ignore[attr-defined]
