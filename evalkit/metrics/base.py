"""The shape of a metric: sufficient statistics per sample, and a finish.

Sums of statistics merge in any order, so streaming, resuming, breakdowns, intervals and paired tests
need nothing from a metric but these two functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, TypeAlias

from evalkit.samples import Answer, Sample

if TYPE_CHECKING:  # numpy costs more to import than the rest of a task
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scored:
    """An answer and, for each of its finals, its credit between 0 and 1, whether it is right, and why."""

    answer: Answer
    correct: tuple[bool, ...]
    reasons: tuple[str, ...] = ()
    views: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    """Whether they are right in each view of the task and each leg of the answer, by name."""
    credits: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Their credit in each view and leg, and under "" the headline's."""

    def of(self, view: str) -> tuple[bool, ...]:
        """Whether the answers are right in `view`; "" is the headline."""
        return self.views[view] if view else self.correct


class Metric(Protocol):
    """`columns` name the statistics; `finish` maps totals (…, columns) to figures (…) in `unit`.

    `finish` is never given the totals of no samples. `least_draws`: answers per sample that it needs
    (pass@10: 10); under a protocol with fewer draws the metric is left out. `view`: the view or leg that
    it measures, "" for the headline; under a protocol without that leg the metric is left out. `Traits` are
    attributes that it may have besides.
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
    def view(self) -> str: ...

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]: ...

    def finish(self, totals: Floats) -> Floats: ...


class Ratio:
    """A base of metrics that are a ratio of two sums: `scale` times the first column over the second.

    Such a figure is known from a run file alone, also where the metric is a user's own.
    """

    __slots__ = ()
    scale: ClassVar[float] = 100.0
    """100 for percent."""

    def finish(self, totals: Floats) -> Floats:
        return self.scale * totals[..., 0] / totals[..., 1]


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
    is in its reference, as an answer that goes on for ever does in WER.
    """

    whole_corpus: bool = False
    best: float | None = None
    outcome: Literal["right or wrong", "answered"] = "right or wrong"
    average: str = ""
    unbounded: bool = False

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
    return Traits(**{f.name: getattr(metric, f.name) for f in fields(Traits) if hasattr(metric, f.name)})
