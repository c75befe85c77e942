"""Metrics of lm-eval's tasks: means, perplexities, and figures that lm-eval's own functions compute.

The values are those that the task's scorer put into `Verdict.values`: one for each metric, or several for a
metric whose value is a sequence, `f1[0]`, `f1[1]`. A sample whose values lack the metric's is left out of its
figure, as in lm-eval, where a task may score a document by some of its metrics only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from evalkit.errors import ScorerError
from evalkit.identity.declared import versioned
from evalkit.metrics.base import Counted, MetricBase, Scored
from evalkit.metrics.bleu import Bleu, ChrF, _bleu, _chrf, _mean
from evalkit.samples import Sample

if TYPE_CHECKING:
    from evalkit.metrics.base import Figures, Floats

ITEM_DRAWS = 10
"""Of this many draws, one is computed for a figure of items that are not numbers: such a draw is a call of
lm-eval's function over all samples. lm-eval itself draws 100 for BLEU and chrF."""
Items = Callable[[str, Sample], Mapping[str, Any]]
"""(answer, sample) → the values that lm-eval's task gives it, by metric."""


def _name(label: str, value: str, variant: str) -> str:
    name = label or value
    return f"{name} ({variant})" if variant else name


def _values(scored: Scored, variant: str) -> Mapping[str, float] | None:
    """The values of the answer's verdict; None if there is no answer."""
    (found,) = scored.values[variant]
    return found


@versioned("lm_eval_mean", 1)
@dataclass(frozen=True, slots=True)
class HarnessMean(Counted):
    """The mean of a metric whose aggregation in lm-eval is `mean` or `nanmean`, times `scale`, in `unit`.

    `shares`: whether its values are between 0 and 1, such as those of an accuracy. An answer that was refused
    counts 0, or is left out if lower is better. `label`: the name in tables; "" means `value`.
    """

    value: str
    label: str = ""
    unit: str = ""
    scale: float = 1.0
    higher_is_better: bool = True
    shares: bool = False
    variant: str = ""
    columns: ClassVar[tuple[str, ...]] = ("value", "samples")

    @property
    def name(self) -> str:
        return _name(self.label, self.value, self.variant)

    @property
    def any_range(self) -> bool:
        return not self.shares

    @property
    def outcome(self) -> Literal["right or wrong", "answered"]:
        return "right or wrong" if self.shares else "answered"

    def counts(self, sample: Sample, scored: Scored) -> tuple[float, float]:
        values = _values(scored, self.variant)
        if values is None:
            return (0.0, 1.0) if self.higher_is_better else (0.0, 0.0)
        return (values[self.value], 1.0) if self.value in values else (0.0, 0.0)


@versioned("lm_eval_rate", 1)
@dataclass(frozen=True, slots=True)
class HarnessRate(MetricBase):
    """A perplexity or a number of bits, from sums of log-probabilities (lm-eval 0.4.13, api/metrics.py).

    `form`: `perplexity` is exp of minus the mean log-probability of the samples; `weighted_perplexity` and
    `bits_per_byte` divide the sum of log-probabilities by the sum of words or bytes.
    """

    value: str
    form: Literal["perplexity", "weighted_perplexity", "bits_per_byte"] = "perplexity"
    label: str = ""
    higher_is_better: bool = False
    variant: str = ""
    unit: str = ""
    columns: ClassVar[tuple[str, ...]] = ("log-probability", "units", "samples")
    denominator: ClassVar[str] = "samples"
    whole_corpus: ClassVar[bool] = True
    any_range: ClassVar[bool] = True
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def name(self) -> str:
        return _name(self.label, self.value, self.variant)

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        values = _values(scored, self.variant) or {}
        if self.form == "perplexity":
            return (values[self.value], 1.0, 1.0) if self.value in values else (0.0, 0.0, 0.0)
        pair = f"{self.value}[0]", f"{self.value}[1]"
        if any(name not in values for name in pair):
            return (0.0, 0.0, 0.0)
        return (values[pair[0]], values[pair[1]], 1.0)

    def finish(self, totals: Floats) -> Floats:
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            rate = -totals[..., 0] / totals[..., 1]
            figures: Floats = rate / math.log(2) if self.form == "bits_per_byte" else np.exp(rate)
        return figures


def _computed(function: Callable[[Sequence[Any]], Any], items: Sequence[Any]) -> float:
    """The figure of items; NaN where lm-eval's function has none, such as an F1 of one class."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(function(items))
    except (ValueError, ZeroDivisionError, IndexError):
        return math.nan


def _weighted(items: Sequence[Any], function: Callable[[Sequence[Any]], Any], every: int = 1) -> Figures:
    """(draws, samples) weights → figures; of several draws, only each `every`-th is computed."""
    import numpy as np

    def figures(weights: Floats) -> Floats:
        found = np.full(len(weights), np.nan)
        for row in range(0, len(weights), every):
            counts = np.rint(weights[row]).astype(int)
            drawn = [item for item, count in zip(items, counts, strict=True) for _ in range(count)]
            found[row] = _computed(function, drawn) if drawn else np.nan
        return found

    return figures


@versioned("lm_eval_numbers", 1, packages=("lm_eval", "scikit-learn"))
@dataclass(frozen=True, slots=True)
class HarnessNumbers(MetricBase):
    """A figure that a function of lm-eval computes from one or more numbers of each sample, such as an F1.

    `function`: the name in lm-eval's registry of aggregations. `width`: how many numbers an item has; 0: it
    is one number by itself.
    """

    value: str
    function: str
    width: int = 0
    label: str = ""
    higher_is_better: bool = True
    variant: str = ""
    unit: str = ""
    whole_corpus: ClassVar[bool] = True
    any_range: ClassVar[bool] = True
    outcome: ClassVar[Literal["answered"]] = "answered"
    denominator: ClassVar[str] = "samples"

    @property
    def name(self) -> str:
        return _name(self.label, self.value, self.variant)

    @property
    def columns(self) -> tuple[str, ...]:
        numbers = [f"value {i + 1}" for i in range(self.width)] if self.width else ["value"]
        return (*numbers, "samples")

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        values = _values(scored, self.variant) or {}
        names = [f"{self.value}[{i}]" for i in range(self.width)] if self.width else [self.value]
        if any(name not in values for name in names):
            return (*(0.0 for _ in names), 0.0)
        return (*(values[name] for name in names), 1.0)

    def aggregate(self, values: Floats) -> Figures:
        from lm_eval.api.registry import get_aggregation

        function = get_aggregation(self.function)
        rows = values[:, :-1]
        items = [tuple(row) for row in rows] if self.width else [float(row[0]) for row in rows]
        return _weighted(items, function)

    def each(self, values: Floats) -> Floats:
        own: Floats = values[:, 0]
        return own


class _OfItems(MetricBase):
    """A base class of figures of a whole corpus that are computed from the items of lm-eval's task."""

    whole_corpus: ClassVar[bool] = True
    outcome: ClassVar[Literal["answered"]] = "answered"

    def __init__(self, value: str, items: Items, label: str, variant: str) -> None:
        self._value, self._items, self._variant = value, items, variant
        self._name = _name(label, value, variant)

    @property
    def name(self) -> str:
        return self._name

    @property
    def unit(self) -> str:
        return ""

    @property
    def variant(self) -> str:
        return self._variant

    def _answer(self, scored: Scored) -> str | None:
        answer = scored.answer.branches[self._variant] if self._variant else scored.answer.finals
        return answer[0].value


@versioned("lm_eval_items", 1, packages=("lm_eval",))
class HarnessItems(_OfItems):
    """A figure that a function computes from items that are not all numbers, or a function of a task's own.

    The items are computed again from the stored answers once all samples are scored, so that nothing but the
    answers is stored. A run file alone does not give such a figure of other samples.
    """

    any_range: ClassVar[bool] = True
    denominator: ClassVar[str] = "samples"

    def __init__(
        self,
        value: str,
        function: Callable[[Sequence[Any]], Any],
        items: Items,
        *,
        label: str = "",
        higher_is_better: bool = True,
        variant: str = "",
    ) -> None:
        super().__init__(value, items, label, variant)
        self._function, self._higher = function, higher_is_better
        self._kept: list[Any] = []

    @property
    def higher_is_better(self) -> bool:
        return self._higher

    @property
    def columns(self) -> tuple[str, ...]:
        return ("number of the item", "samples")

    def prepare(self, samples: Iterable[Sample]) -> list[Any]:
        """An empty list for the items; the statistics fill it."""
        self._kept = []
        return self._kept

    def statistics(self, sample: Sample, scored: Scored, kept: list[Any]) -> Sequence[float]:
        answer = self._answer(scored)
        if answer is None:
            return (0.0, 0.0)
        found = self._items(answer, sample)
        if self._value not in found:
            return (0.0, 0.0)
        kept.append(found[self._value])
        return (float(len(kept) - 1), 1.0)

    def aggregate(self, values: Floats) -> Figures:
        if len(values) and int(values[:, 0].max()) >= len(self._kept):
            raise ScorerError(f"{self._name} is computed from answers, by the run that has them")
        return _weighted([self._kept[int(row)] for row in values[:, 0]], self._function, ITEM_DRAWS)


def _pair(item: Any) -> tuple[list[str], str]:
    """(references, translation) of an item of lm-eval's BLEU, chrF and TER (`_sacreformat`)."""
    reference, translation = item
    references = [reference] if isinstance(reference, str) else [*reference]
    return references, translation if isinstance(translation, str) else translation[0]


@versioned("lm_eval_translation", 1, packages=("sacrebleu", "lm_eval"))
class HarnessTranslation(_OfItems):
    """Corpus BLEU or chrF of lm-eval, which are those of sacreBLEU with its defaults, from sums of counts."""

    span: ClassVar[float] = 100.0

    def __init__(
        self, value: str, kind: Literal["bleu", "chrf"], items: Items, *, label: str = "", variant: str = ""
    ) -> None:
        super().__init__(value, items, label, variant)
        self._kind = kind
        self._inner: Bleu | ChrF = Bleu() if kind == "bleu" else ChrF()

    @property
    def columns(self) -> tuple[str, ...]:
        return self._inner.columns

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        found = self._items(self._answer(scored) or "", sample)
        if self._value not in found:
            return (0.0,) * len(self.columns)
        references, translation = _pair(found[self._value])
        if self._kind == "bleu":
            score = _bleu("13a").corpus_score([translation], [[one] for one in references])
            return (score.sys_len, score.ref_len, *score.counts, *score.totals)
        return _mean(_chrf()._extract_corpus_statistics([translation], [[one] for one in references]))

    def finish(self, totals: Floats) -> Floats:
        return self._inner.finish(totals)
