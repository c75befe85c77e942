"""How many samples, or draws of each, a comparison of two runs needs.

The difference of two runs on the same n samples has the standard error sd / √n, where sd is the spread of
the samples' own differences. With probability `power` a true `effect` comes out significant at `alpha`
(two-sided) if effect = (z(1 - alpha/2) + z(power)) · sd / √n: the usual normal approximation (Cohen 1988).
With a margin the question is whether head is no worse than base by the margin or more (non-inferiority),
where the effect is the margin plus what head is truly better by.

`exact`: of zeros and ones in percent that McNemar's exact test compares. It is more cautious than the normal
approximation, the more so the fewer samples differ, so its power is summed over how many may. `effect` and
`sd` say how many are lost and won. `bench/gate.py` measures how well both hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()
_MANY = 50_000
"""Samples that differ, beyond which the exact test's power is the normal one's to half a point."""


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


def samples_needed(
    effect: float, sd: float, *, alpha: float = 0.05, power: float = 0.8, exact: bool = False
) -> int:
    """Samples at which a true `effect` (not 0, in `sd`'s unit) comes out significant so often."""
    about = max(2, math.ceil((_reach(alpha, power) * sd / effect) ** 2))
    if not exact:
        return about
    few, many = 1, about
    while _exact_power(effect, sd, many, alpha) < power:
        few, many = many, 2 * many
    while many - few > max(1, many // 2000):
        middle = (few + many) // 2
        enough = _exact_power(effect, sd, middle, alpha) >= power
        few, many = (few, middle) if enough else (middle, many)
    return many


def effect_seen(n: int, sd: float, *, alpha: float = 0.05, power: float = 0.8, exact: bool = False) -> float:
    """The smallest true effect that comes out significant so often with n samples; infinite: none."""
    if not exact:
        return _reach(alpha, power) * sd / math.sqrt(n)
    small, large = 0.0, 100.0
    if _exact_power(large, sd, n, alpha) < power:
        return math.inf
    for _ in range(30):  # to a millionth of a point
        middle = (small + large) / 2
        enough = _exact_power(middle, sd, n, alpha) >= power
        small, large = (small, middle) if enough else (middle, large)
    return large


def power_of(effect: float, sd: float, n: int, *, alpha: float = 0.05, exact: bool = False) -> float:
    """How often a true `effect` comes out significant, on the right side, with n samples."""
    if exact:
        return _exact_power(abs(effect), sd, n, alpha)
    if sd == 0:
        return 1.0 if effect else 0.0
    return _normal_power(abs(effect), sd, n, alpha)


def _normal_power(effect: float, sd: float, n: int, alpha: float) -> float:
    return _NORMAL.cdf(effect * math.sqrt(n) / sd - _NORMAL.inv_cdf(1 - alpha / 2))


def _exact_power(effect: float, sd: float, n: int, alpha: float) -> float:
    """Sum over the samples that differ, binomial in number, of how often the test then says so."""
    import numpy as np
    from scipy.special import bdtr, gammaln, xlog1py, xlogy

    apart = min(1.0, effect / 100)
    # The variance of a difference is lost + won - (lost - won)²; a loss of `apart` takes that many at least.
    differ = min(1.0, max((sd / 100) ** 2 + apart**2, apart))
    if not differ:
        return 0.0
    if n * differ > _MANY:
        return _normal_power(effect, 100 * math.sqrt(max(differ - apart**2, 1e-12)), n, alpha)
    reach = 8 * math.sqrt(n * differ) + 8
    counts = np.arange(max(1, math.floor(n * differ - reach)), min(n, math.ceil(n * differ + reach)) + 1)
    ways = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
    likely = np.exp(ways + xlogy(counts, differ) + xlog1py(n - counts, -differ))
    # What may be won at most for 2 · P(won or fewer of the counts) to be less than alpha: no more than
    # 2 above what the normal distribution says.
    most = np.floor((counts + _NORMAL.inv_cdf(alpha / 2) * np.sqrt(counts)) / 2) + 2
    while (too_many := (most >= 0) & (bdtr(np.maximum(most, 0), counts, 0.5) >= alpha / 2)).any():
        most -= too_many
    seen = np.where(most < 0, 0.0, bdtr(np.maximum(most, 0), counts, (1 - apart / differ) / 2))
    return float(likely @ seen)


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
