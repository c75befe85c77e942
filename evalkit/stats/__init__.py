"""Intervals, paired tests and power, as pure functions of matrices of sufficient statistics."""

from evalkit.stats.intervals import bootstrap, interval, macro_interval, wilson
from evalkit.stats.mean_ratio import MeanRatio, Pair, RatioDraws, mean_ratio, ratio_draws
from evalkit.stats.paired import (
    Difference,
    PairedRatio,
    mcnemar,
    paired_bootstrap,
    paired_ratio,
    paired_shares,
    standard_error,
)

__all__ = [
    "Difference",
    "MeanRatio",
    "Pair",
    "PairedRatio",
    "RatioDraws",
    "bootstrap",
    "interval",
    "macro_interval",
    "mcnemar",
    "mean_ratio",
    "paired_bootstrap",
    "paired_ratio",
    "paired_shares",
    "ratio_draws",
    "standard_error",
    "wilson",
]
