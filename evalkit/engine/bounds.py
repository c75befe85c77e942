"""The ranges of the numbers that a run is given."""

from __future__ import annotations

import math
from typing import Literal, TypeVar

from evalkit.engine.shared_draws import MOST
from evalkit.errors import UsageError

_N = TypeVar("_N", int, float)
Bounded = Literal["timeout", "retries", "concurrency", "limit", "seed", "draws-per-request", "max_cost"]
_BOUNDS: dict[Bounded, tuple[float, float, str]] = {
    "timeout": (0.001, 86_400, "seconds, of which a day has 86,400"),
    "retries": (0, 100, "further attempts"),
    "concurrency": (1, 4096, "requests in flight, each with a connection of its own"),
    "limit": (1, 10**12, "samples"),
    "draws-per-request": (1, MOST, "draws"),
    "max_cost": (0, 10**9, "US dollars"),
    "seed": (-(2**63), 2**63 - 1, "an integer of 64 bits"),
}
"""The least and the greatest value, and what is counted."""


def bounded(name: Bounded, value: _N, shown: str = "") -> _N:
    """Returns `value`. Raises `UsageError` if it is out of range; `shown`: the name that the user typed."""
    least, most, what = _BOUNDS[name]
    if not math.isnan(value) and least <= value <= most:
        return value
    least_text = f"{least:,}" if name != "seed" else "-2^63"
    most_text = f"{most:,}" if name != "seed" else "2^63 - 1"
    number = str(value) if math.isnan(value) or abs(value) < 10**30 else "so large a number"
    raise UsageError(f"{shown or name} must be from {least_text} to {most_text} ({what}), not {number}")
