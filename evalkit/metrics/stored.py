"""Metrics in a run file: how they are stored, and how they are restored without the code of the task."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from evalkit.convert import from_json, to_json
from evalkit.errors import UsageError
from evalkit.identity.declared import code_identity, declared, parameters
from evalkit.metrics.base import Metric, Ratio, Scored, Traits, ratio, traits_of
from evalkit.metrics.by_size import BySize
from evalkit.metrics.macro import Macro
from evalkit.metrics.plugged import is_plugged, plugged_kind, plugged_metric
from evalkit.metrics.spec import MetricSpec
from evalkit.samples import JSON, Sample

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats

KINDS = {
    "accuracy": "evalkit.metrics.accuracy:Accuracy",
    "bleu": "evalkit.metrics.bleu:Bleu",
    "chrf": "evalkit.metrics.bleu:ChrF",
    "error_rate": "evalkit.metrics.error_rate:ErrorRate",
    "guessing_accuracy": "evalkit.metrics.guessing:GuessingAccuracy",
    "lm_eval_by_size": "evalkit.metrics.by_size:BySize",
    "lm_eval_mean": "evalkit.metrics.lm_eval:HarnessMean",
    "lm_eval_numbers": "evalkit.metrics.lm_eval:HarnessNumbers",
    "lm_eval_rate": "evalkit.metrics.lm_eval:HarnessRate",
    "log_loss": "evalkit.metrics.log_loss:LogLoss",
    "macro": "evalkit.metrics.macro:Macro",
    "mean_value": "evalkit.metrics.mean_value:MeanValue",
    "perplexity": "evalkit.metrics.perplexity:Perplexity",
    "mean_credit": "evalkit.metrics.mean_credit:MeanCredit",
    "over_100": "evalkit.metrics.error_rate:Over100",
    "pass_at_k": "evalkit.metrics.pass_at_k:PassAtK",
    "share_of_samples": "evalkit.metrics.share_of_samples:ShareOfSamples",
}
"""evalkit's metrics by their declared names: `module:class`."""


def metric_spec(metric: Metric) -> MetricSpec:
    """What a run file stores about `metric`."""
    known = declared(metric)
    kind = known.name if known is not None and known.name in KINDS else plugged_kind(metric)
    given = parameters(metric) if kind else {}
    if "inner" in given:
        given["inner"] = metric_spec(given["inner"])
    finish = getattr(type(metric), "finish", None)
    return MetricSpec(
        name=metric.name,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        columns=tuple(metric.columns),
        identity=code_identity(metric),
        variant=metric.variant,
        traits=traits_of(metric),
        kind=kind,
        parameters={name: to_json(value) for name, value in given.items()},
        scale=metric.scale if isinstance(metric, Ratio) and finish is Ratio.finish else None,
    )


@dataclass(frozen=True, slots=True)
class StoredRatio:
    """A user's `Ratio` restored from a run file: it can sum up stored statistics, but not measure samples."""

    spec: MetricSpec
    least_draws: int = 1

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def unit(self) -> str:
        return self.spec.unit

    @property
    def higher_is_better(self) -> bool:
        return self.spec.higher_is_better

    @property
    def columns(self) -> tuple[str, ...]:
        return self.spec.columns

    @property
    def variant(self) -> str:
        return self.spec.variant

    @property
    def traits(self) -> Traits:
        return self.spec.traits

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        raise UsageError(f"{self.name} cannot be measured again without its code: give it with --task-file")

    def finish(self, totals: Floats) -> Floats:
        assert self.spec.scale is not None
        return ratio(totals, self.spec.scale)


def stored_metric(spec: MetricSpec) -> Metric | None:
    """The metric that `spec` describes, or None if that takes the code of its task.

    For a metric of evalkit, or of an installed package, it is the current version, whose identity may differ
    from the stored one.
    """
    if is_plugged(spec.kind) and (metric := plugged_metric(spec.kind, spec.parameters)) is not None:
        return metric
    if spec.kind not in KINDS:
        return None if spec.scale is None else StoredRatio(spec)
    return metric_of_kind(spec.kind, spec.parameters)


def metric_of_kind(kind: str, given: Mapping[str, JSON]) -> Metric | None:
    """One of evalkit's metrics; None if it does not accept `given`, as in a file of another version."""
    if "inner" in given:
        inner = stored_metric(from_json(MetricSpec, given["inner"], kind))
        if inner is None:
            return None
        if kind == "macro":
            return Macro(inner)
        return BySize(inner, tuple(map(str, cast("list[JSON]", given.get("tasks", [])))))
    module, _, name = KINDS[kind].partition(":")
    kind_of_metric = getattr(importlib.import_module(module), name)
    if not {field.name for field in dataclasses.fields(kind_of_metric) if field.init} >= given.keys():
        return None
    metric: Metric = kind_of_metric(**given)
    return metric
