"""Metrics, one module each. `base` defines their interface and base classes for your own metrics."""

from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.base import Counted, Kept, Mean, Metric, MetricBase, Ratio, Scored
from evalkit.metrics.macro import Macro, averages
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.metrics.mean_value import MeanValue
from evalkit.metrics.pass_at_k import PassAtK
from evalkit.metrics.quantile import quantile
from evalkit.metrics.share_of_samples import ShareOfSamples

__all__ = [
    "Accuracy",
    "Counted",
    "Kept",
    "Macro",
    "Mean",
    "MeanCredit",
    "MeanValue",
    "Metric",
    "MetricBase",
    "PassAtK",
    "Ratio",
    "Scored",
    "ShareOfSamples",
    "averages",
    "quantile",
]
