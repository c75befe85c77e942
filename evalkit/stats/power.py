"""How many samples, or draws per sample, a comparison of two runs needs.

The difference of two runs on the same n samples has the standard error sd / √n, where sd is the standard
deviation of the samples' own differences. With probability `power` a true `effect` comes out significant at
`alpha` (two-sided) if effect = (z(1 - alpha/2) + z(power)) · sd / √n: the usual normal approximation (Cohen
1988). With a margin, the question is whether head is worse than base by less than the margin
(non-inferiority); the effect is then the margin plus the true gain of head.

`exact`: the power of McNemar's exact test, for zeros and ones in percent. The test is more conservative than
the normal approximation, especially if few samples differ, so its power is summed over the number of samples
that may differ. `effect` and `sd` determine how many samples are won and lost. `bench/gate.py` measures how
accurate both are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()
_MANY = 50_000
"""With more differing samples, the power of the exact test is the normal one to within half a point."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The standard deviations of a sample's difference between two runs, in the metric's unit.

    `between`: that of the samples' expected differences, which more draws do not reduce; `within`: that of
    the difference of a single draw around the sample's expected difference.
    """

    between: float
    within: float = 0.0

    def of(self, draws: int) -> float:
        """The standard deviation of a sample's mean difference over `draws`."""
        return math.sqrt(self.between**2 + self.within**2 / draws)


def samples_needed(
    effect: float, sd: float, *, alpha: float = 0.05, power: float = 0.8, exact: bool = False
) -> int:
    """The number of samples with which a true `effect` is significant with probability `power`.

    `effect`: not 0, in the unit of `sd`.
    """
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
    """The smallest true effect that n samples show with probability `power`; inf if there is none."""
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
    """The probability that a true `effect` is significant, in the right direction, with n samples."""
    if exact:
        return _exact_power(abs(effect), sd, n, alpha)
    if sd == 0:
        return 1.0 if effect else 0.0
    return _normal_power(abs(effect), sd, n, alpha)


def _normal_power(effect: float, sd: float, n: int, alpha: float) -> float:
    return _NORMAL.cdf(effect * math.sqrt(n) / sd - _NORMAL.inv_cdf(1 - alpha / 2))


def _exact_power(effect: float, sd: float, n: int, alpha: float) -> float:
    """The power of McNemar's test, summed over the binomial number of samples that differ."""
    import numpy as np
    from scipy.special import bdtr, gammaln, xlog1py, xlogy

    apart = min(1.0, effect / 100)
    # The variance of a difference is lost + won - (lost - won)²; lost + won is at least `apart`.
    differ = min(1.0, max((sd / 100) ** 2 + apart**2, apart))
    if not differ:
        return 0.0
    if n * differ > _MANY:
        return _normal_power(effect, 100 * math.sqrt(max(differ - apart**2, 1e-12)), n, alpha)
    reach = 8 * math.sqrt(n * differ) + 8
    counts = np.arange(max(1, math.floor(n * differ - reach)), min(n, math.ceil(n * differ + reach)) + 1)
    ways = gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
    likely = np.exp(ways + xlogy(counts, differ) + xlog1py(n - counts, -differ))
    # `most` is the largest number won for which 2 · P(won or fewer of the counts) is below alpha. It is at
    # most 2 above the value for the normal distribution.
    most = np.floor((counts + _NORMAL.inv_cdf(alpha / 2) * np.sqrt(counts)) / 2) + 2
    while (too_many := (most >= 0) & (bdtr(np.maximum(most, 0), counts, 0.5) >= alpha / 2)).any():
        most -= too_many
    seen = np.where(most < 0, 0.0, bdtr(np.maximum(most, 0), counts, (1 - apart / differ) / 2))
    return float(likely @ seen)


def draws_needed(
    effect: float, spread: Spread, n: int, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """The number of draws needed for each of n samples; None if no number of draws is enough."""
    room = (effect * math.sqrt(n) / _reach(alpha, power)) ** 2 - spread.between**2
    if room <= 0:
        return None
    return max(1, math.ceil(spread.within**2 / room))


def _reach(alpha: float, power: float) -> float:
    return _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)
