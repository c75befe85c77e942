"""The mean of ratios over benchmarks: by hand, its pairing, where there is none, and its coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from evalkit.stats import MeanRatio, Pair, ratio_draws
from evalkit.stats import mean_ratio as mean_of_draws
from evalkit.stats.resample import Floats


def share(totals: Floats) -> Floats:
    found: Floats = 100 * totals[..., 0] / totals[..., 1]
    return found


def mean_ratio(pairs: Sequence[Pair], draws: int = 2000) -> MeanRatio | None:
    """The mean, None if a pair has no ratio."""
    drawn = [ratio_draws(pair, seed, draws) for seed, pair in enumerate(pairs)]
    return mean_of_draws([one for one in drawn if one]) if drawn and all(drawn) else None


def outcomes(text: str) -> Floats:
    """(samples, 2) the right ones and a one for each."""
    return np.array([[float(mark == "+"), 1.0] for mark in text])


def pair(base: str, head: str, **more: object) -> Pair:
    return replace(Pair(outcomes(base), outcomes(head), share), **more)  # type: ignore[arg-type]


MATHS = pair("++++----++", "++++++--+-")  # 6 and 7 of 10
WORDS = pair("++------", "+++-----")  # 2 and 3 of 8
ERRORS = pair("+++++---", "++------", inverted=True)  # an error rate of 5 and 2 in 8


def known(found: MeanRatio | None) -> MeanRatio:
    assert found is not None
    return found


def test_by_hand() -> None:
    found = known(mean_ratio([MATHS, WORDS, ERRORS]))
    assert found.ratios == pytest.approx((7 / 6, 3 / 2, 5 / 2))
    assert found.value == pytest.approx((7 / 6 + 3 / 2 + 5 / 2) / 3)
    assert found == mean_ratio([MATHS, WORDS, ERRORS])  # the draws are the same each time
    assert MATHS.figures == pytest.approx((60.0, 70.0))


def test_the_interval_by_all_resamples() -> None:
    """Of three clusters, all 27 resamples are known; the draws have their mean ratios in their shares."""
    base, head = outcomes("++-++-+--"), outcomes("+++++-++-")
    clusters = list("aaabbbccc")
    one = Pair(base, head, share, clusters)
    whole = known(mean_ratio([one], draws=20_000))
    parts = [(base[i : i + 3], head[i : i + 3]) for i in (0, 3, 6)]
    every = sorted(
        sum(parts[k][1][:, 0].sum() for k in drawn) / sum(parts[k][0][:, 0].sum() for k in drawn)
        for drawn in np.ndindex(3, 3, 3)
    )
    value = 7 / 5
    spread = [value + (ratio - value) * math.sqrt(3 / 2) for ratio in every]
    assert whole.value == pytest.approx(value)
    assert whole.low == pytest.approx(max(0.0, spread[0]))  # t of 2 degrees reaches beyond all of 27
    assert whole.high == pytest.approx(spread[-1])


def test_both_runs_are_resampled_together() -> None:
    """A run against one that is right on the same samples and a few more: no wider than these few."""
    random = np.random.default_rng(3)
    base = (random.random(400) < 0.5).astype(float)
    head = np.where(np.arange(400) < 12, 1.0, base)
    ones = np.ones(400)
    first, second = (np.column_stack([right, ones]) for right in (base, head))
    paired = known(mean_ratio([Pair(first, second, share)]))
    apart = known(mean_ratio([Pair(first, second[random.permutation(400)], share)]))
    assert paired.low is not None
    assert paired.high is not None
    assert apart.low is not None
    assert apart.high is not None
    assert paired.high - paired.low < 0.25 * (apart.high - apart.low)


def test_clusters_and_groups_are_kept() -> None:
    halves = [str(number // 10) for number in range(80)]
    alike = "".join(mark * 10 for mark in "+-++--+-"), "".join(mark * 10 for mark in "+++-+-+-")
    wide, narrow = known(mean_ratio([pair(*alike, clusters=halves)])), known(mean_ratio([pair(*alike)]))
    assert None not in (wide.low, wide.high, narrow.low, narrow.high)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)  # type: ignore[operator]
    # The mean over groups is that of the groups' figures, not of all samples.
    groups = ["a"] * 8 + ["b"] * 2
    of_groups = known(mean_ratio([replace(MATHS, groups=groups)]))
    assert of_groups.value == pytest.approx((6 / 8 + 1 / 2) / (4 / 8 + 2 / 2))
    assert replace(MATHS, groups=groups).figures == pytest.approx((75.0, 62.5))


def test_where_there_is_no_ratio_or_no_interval() -> None:
    assert mean_ratio([MATHS, pair("----", "+-+-")]) is None  # never a mean over the rest
    assert mean_ratio([pair("+-+-", "----", inverted=True)]) is None
    assert known(mean_ratio([pair("+-+-", "----")])).value == 0.0
    for without in (
        replace(MATHS, clusters=["same"] * 10),
        pair("+-------", "++------"),  # many resamples have a base of 0
        replace(MATHS, head=MATHS.base, scale=0.0),  # of figures without bounds, equal ones show no variance
    ):
        found = known(mean_ratio([without, WORDS]))
        assert (found.low, found.high) == (None, None)
        assert len(found.ratios) == 2


def test_equal_runs_are_not_equal_for_certain() -> None:
    found = known(mean_ratio([replace(MATHS, head=MATHS.base)]))
    assert found.value == 1.0
    assert found.low is not None
    assert found.high is not None
    assert 0.2 < found.low < 0.8
    assert 1.2 < found.high < 1.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "kinds",
    [
        [(200, 0.3, 0.35, 1), (100, 0.8, 0.7, 1), (400, 0.6, 0.6, 4)],
        [(60, 0.4, 0.5, 4), (80, 0.5, 0.45, 1)],
        [(40, 0.5, 0.6, 1)] * 3,
    ],
)
def test_coverage(kinds: list[tuple[int, float, float, int]]) -> None:
    """A kind of benchmark: samples, shares right of base and head, samples in a cluster."""
    from scipy.special import ndtri

    random = np.random.default_rng(7)
    truth = float(np.mean([head / base for _, base, head, _ in kinds]))

    def made(samples: int, base: float, head: float, size: int) -> Pair:
        # Both runs find the same samples hard.
        clusters = np.repeat(np.arange(samples // size), size)
        shared = 0.8 * random.standard_normal(len(clusters) // size)[clusters]
        shared += 0.6 * random.standard_normal(samples)
        sides = []
        for part in (base, head):
            luck = shared + 0.7 * random.standard_normal(samples)
            sides.append(np.column_stack([luck < ndtri(part) * math.sqrt(1.49), np.ones(samples)]))
        of_base, of_head = sides
        return Pair(of_base, of_head, share, [*map(str, clusters)] if size > 1 else None)

    below = above = 0
    trials = 400
    for _ in range(trials):
        found = known(mean_ratio([made(*kind) for kind in kinds], draws=300))
        assert found.low is not None
        assert found.high is not None
        below += found.high < truth
        above += found.low > truth
    # 95 % with three standard errors of the simulation: 0.033
    assert 0.917 < 1 - (below + above) / trials < 0.985, (below, above)
    assert max(below, above) < 0.05 * trials, (below, above)
