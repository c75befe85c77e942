"""How many samples, or draws of each, a comparison of two runs needs.

The difference of two runs on the same n samples has the standard error sd / √n, where sd is the spread of
the samples' own differences. With probability `power` a true `effect` comes out significant at `alpha`
(two-sided) if effect = (z(1 - alpha/2) + z(power)) · sd / √n: the usual normal approximation (Cohen 1988).
With a margin the question is whether head is no worse than base by the margin or more (non-inferiority),
where the effect is the margin plus what head is truly better by. `bench/gate.py` measures how well it holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviations of a sample's figure, in the metric's unit.

    `between`: of what the samples' own differences between the two runs vary by, whatever is drawn;
    `within`: of a single draw's difference around it.
    """

    between: float
    within: float = 0.0

    def of(self, draws: int) -> float:
        """Of a sample's mean over `draws`."""
        return math.sqrt(self.between**2 + self.within**2 / draws)


def samples_needed(effect: float, sd: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Samples at which a true `effect` (not 0, in `sd`'s unit) comes out significant so often."""
    return max(2, math.ceil((_reach(alpha, power) * sd / effect) ** 2))


def effect_seen(n: int, sd: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true effect that comes out significant so often with n samples."""
    return _reach(alpha, power) * sd / math.sqrt(n)


def power_of(effect: float, sd: float, n: int, *, alpha: float = 0.05) -> float:
    """How often a true `effect` comes out significant, on the right side, with n samples."""
    if sd == 0:
        return 1.0 if effect else 0.0
    return _NORMAL.cdf(abs(effect) * math.sqrt(n) / sd - _NORMAL.inv_cdf(1 - alpha / 2))


def draws_needed(
    effect: float, spread: Spread, n: int, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Draws of each of n samples that are needed; None where no number of draws would do."""
    room = (effect * math.sqrt(n) / _reach(alpha, power)) ** 2 - spread.between**2
    if room <= 0:
        return None
    return max(1, math.ceil(spread.within**2 / room))


def _reach(alpha: float, power: float) -> float:
    return _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)
