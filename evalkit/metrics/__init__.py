"""Metrics: each a module, each `statistics` and `finish`."""

from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.base import Metric, Ratio, Scored
from evalkit.metrics.macro import Macro, averages
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.metrics.pass_at_k import PassAtK

__all__ = ["Accuracy", "Macro", "MeanCredit", "Metric", "PassAtK", "Ratio", "Scored", "averages"]
