"""Intervals, paired tests and power, as pure functions of matrices of sufficient statistics."""

from evalkit.stats.intervals import bootstrap, interval, macro_interval, wilson
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
    "PairedRatio",
    "bootstrap",
    "interval",
    "macro_interval",
    "mcnemar",
    "paired_bootstrap",
    "paired_ratio",
    "paired_shares",
    "standard_error",
    "wilson",
]
