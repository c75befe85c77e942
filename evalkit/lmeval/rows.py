"""The metrics of lm-eval's tasks as metrics of evalkit: which statistics each has, by its aggregation."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.identity.declared import ATTRIBUTE, declared
from evalkit.lmeval.reading import numbers_of
from evalkit.metrics.base import Metric
from evalkit.metrics.by_size import BySize
from evalkit.metrics.lm_eval import HarnessItems, HarnessMean, HarnessNumbers, HarnessRate, HarnessTranslation
from evalkit.metrics.macro import Macro

_SHARES = re.compile(r"(^|_)acc($|_)|accuracy|^exact_match$|^em$|^pass@\d+$")
"""Metrics that are between 0 and 1 by their names; they are shown in percent."""
_MEANS = ("mean", "nanmean")
_RATES = ("perplexity", "weighted_perplexity", "bits_per_byte")
_NUMBERS = ("f1", "mcc", "matthews_corrcoef", "median")
"""Aggregations of lm-eval that take one or two numbers of each sample."""


@dataclass(frozen=True, slots=True)
class Row:
    """A metric of a task under one filter. `example`: a value of it, from a trial; None if there was none."""

    metric: str
    filter: str
    function: Callable[..., Any] | None
    higher_is_better: bool
    example: Any = None

    @property
    def aggregation(self) -> str:
        """The name of the aggregation in lm-eval's registry, "" for a function of the task's own."""
        from lm_eval.api.registry import AGGREGATION_REGISTRY

        if self.function is None:  # lm-eval takes the mean if the task names none
            return "mean"
        names = [name for name, known in AGGREGATION_REGISTRY.items() if known is self.function]
        return str(names[0]) if names else ""

    @property
    def shares(self) -> bool:
        return bool(_SHARES.search(self.metric)) and self.aggregation in _MEANS


def metric_of(row: Row, *, first: str, only: bool, items: Callable[..., Any], given: str) -> Metric:
    """The metric for a row. `first`: the filter whose answers are the headline. `only`: there is no other.

    `items`: the task's scores of an answer. `given`: the identity of the task, for functions of its own.
    """
    variant = "" if row.filter == first else row.filter
    label = row.metric if only or variant else f"{row.metric} ({row.filter})"
    name = row.aggregation
    common: dict[str, Any] = {
        "label": "" if label == row.metric else label,
        "variant": variant,
        "higher_is_better": row.higher_is_better,
    }
    if name in _MEANS:
        if row.shares:
            return HarnessMean(row.metric, **common, unit="%", scale=100.0, shares=True)
        if row.example is None or numbers_of(row.example) is not None:
            return HarnessMean(row.metric, **common)
    if name in _RATES:
        return HarnessRate(row.metric, name, **common)  # type: ignore[arg-type]
    numbers = None if row.example is None else numbers_of(row.example)
    if name in _NUMBERS and numbers is not None:
        width = len(numbers) if isinstance(row.example, tuple | list) else 0
        return HarnessNumbers(row.metric, name, width, **common)
    found: Any
    if name in ("bleu", "chrf"):
        kind: Any = name
        found = HarnessTranslation(row.metric, kind, items, label=common["label"], variant=variant)
    else:
        found = HarnessItems(row.metric, row.function or _mean, items, **common)
    known = declared(type(found))
    assert known is not None
    setattr(found, ATTRIBUTE, dataclasses.replace(known, given=f"{given}, {row.metric}, {row.filter}"))
    return found  # type: ignore[no-any-return]


def _mean(items: Sequence[Any]) -> Any:
    return sum(items) / len(items)


def grouped(metric: Metric, by_size: bool, tasks: Sequence[str]) -> Metric:
    """The metric of a group of `tasks`: the mean of their figures, by size or each counting the same.

    A mean over samples that is weighted by size is that of all samples together.
    """
    if not by_size:
        return Macro(metric)
    return metric if isinstance(metric, HarnessMean) else BySize(metric, tuple(tasks))
