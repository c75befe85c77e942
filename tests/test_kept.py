"""Intervals and comparisons of figures that are no function of sums."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import spearmanr

from evalkit.metrics import MeanCredit, MeanValue, quantile
from evalkit.stats import bootstrap, kept, paired_bootstrap, standard_error
from evalkit.stats.aggregates import aggregate_of
from evalkit.stats.resample import Floats

Figures = Callable[[Floats], Floats]


def medians(values: Floats) -> Figures:
    return quantile(values[:, 0])


def means(values: Floats) -> Figures:
    """A mean is a function of sums too, so both rooms have to say the same of it."""
    return lambda weights: weights @ values[:, 0] / weights.sum(axis=1)


def columns(values: Floats) -> Floats:
    return np.column_stack([values, np.ones(len(values))])


def ratio(totals: Floats) -> Floats:
    found: Floats = totals[..., 0] / totals[..., 1]
    return found


@pytest.mark.parametrize("share", [0.5, 0.25, 0.9])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 317])
def test_quantiles_are_those_of_the_repeated_values(size: int, share: float) -> None:
    random = np.random.default_rng(size)
    for values in (random.normal(size=size), random.integers(0, 4, size).astype(float)):
        weights = random.integers(0, 5, size=(9, size))
        weights[weights.sum(axis=1) == 0] = 1
        found = quantile(values, share)(weights.astype(np.float32))
        for row, figure in zip(weights, found, strict=True):
            repeated = np.repeat(values, row)
            assert figure == np.quantile(repeated, share, method="averaged_inverted_cdf")


@pytest.mark.slow
@pytest.mark.parametrize("size", [12, 150, 1500])
@pytest.mark.parametrize("clustered", [False, True])
def test_a_mean_is_what_sums_make_of_it(size: int, clustered: bool) -> None:
    random = np.random.default_rng(size)
    names = [f"c{row // 3}" for row in range(size)] if clustered else [""] * size
    base = random.normal(size=(size, 1)) + np.repeat(random.normal(size=(-(-size // 3), 1)), 3, axis=0)[:size]
    head = base + random.normal(0.1, 0.4, size=(size, 1))
    shuffled = random.permutation(size)
    base, head, names = base[shuffled], head[shuffled], [names[row] for row in shuffled]
    expected = bootstrap(columns(base), ratio, names, draws=20_000)
    assert expected is not None
    found = kept.interval([(base, names)], means, draws=20_000)
    assert found == pytest.approx(expected, abs=0.03 * (expected[1] - expected[0]))
    sums = paired_bootstrap(columns(base), columns(head), ratio, names, draws=20_000)
    own = kept.paired(base, head, means, names, draws=20_000)
    assert (own.base, own.head, own.value) == pytest.approx((sums.base, sums.head, sums.value))
    assert own.error == pytest.approx(sums.error, rel=0.03)
    assert own.degrees == sums.degrees
    assert own.p == pytest.approx(sums.p, abs=0.02)
    single = standard_error(columns(base), ratio, names, draws=20_000)
    assert kept.standard_error(base, means, names, draws=20_000) == pytest.approx(single, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [False, True])
def test_a_mean_over_groups_is_what_sums_make_of_it(shared: bool) -> None:
    """With clusters in every group their figures vary together, and the mean varies more."""
    random = np.random.default_rng(4)
    groups = [f"g{row % 3}" for row in range(300)]
    names = [f"c{row // 3}" if shared else f"c{row}" for row in range(300)]
    effect = np.repeat(random.normal(size=(100, 1)), 3, axis=0) if shared else random.normal(size=(300, 1))
    base = effect + 0.3 * random.normal(size=(300, 1))
    head = base + 0.5 * effect + random.normal(0.1, 0.2, size=(300, 1))
    sums = paired_bootstrap(columns(base), columns(head), ratio, names, groups=groups, draws=20_000)
    own = kept.paired(base, head, means, names, groups=groups, draws=20_000)
    assert (own.base, own.head) == pytest.approx((sums.base, sums.head))
    assert own.error == pytest.approx(sums.error, rel=0.04)
    assert own.degrees <= len(set(names)) - 1
    assert own.p == pytest.approx(sums.p, abs=0.03)


def test_the_median_of_a_normal_sample_has_the_known_error() -> None:
    values = np.random.default_rng(1).normal(size=(4000, 1))
    error, degrees = kept.standard_error(values, medians)
    assert error == pytest.approx(math.sqrt(math.pi / 2) / math.sqrt(4000), rel=0.15)
    assert degrees == 3999
    low, high = kept.interval([(values, [])], medians) or (0.0, 0.0)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)


@pytest.mark.slow
def test_intervals_of_medians_hold_the_truth_about_as_often_as_they_say() -> None:
    random, held = np.random.default_rng(7), 0
    for _ in range(300):
        found = kept.interval([(random.exponential(size=(60, 1)), [])], medians, draws=400)
        held += found is not None and found[0] <= math.log(2) <= found[1]
    assert 0.91 <= held / 300 <= 0.99


def test_any_function_of_weighed_values_will_do() -> None:
    """Spearman's correlation of two columns, repeated as often as the weights say."""

    def correlation(values: Floats) -> Figures:
        def figures(weights: Floats) -> Floats:
            rows = (np.repeat(values, row.astype(int), axis=0) for row in weights)
            return np.array([spearmanr(one[:, 0], one[:, 1]).statistic for one in rows])

        return figures

    random = np.random.default_rng(3)
    first = random.normal(size=(80, 1))
    values = np.hstack([first, first + random.normal(size=(80, 1))])
    assert kept.figure(values, correlation) == pytest.approx(spearmanr(*values.T).statistic)
    low, high = kept.interval([(values, [])], correlation, draws=200) or (0.0, 0.0)
    assert low < spearmanr(*values.T).statistic < high
    assert 0.15 < high - low < 0.6


def test_what_does_not_vary_says_nothing() -> None:
    same, other = np.full((30, 1), 2.0), np.full((30, 1), 3.0)
    assert kept.interval([(same, [])], medians) is None
    assert kept.interval([(np.arange(5.0)[:, None], ["one"] * 5)], medians) is None
    nothing = kept.paired(same, same, medians)
    assert (nothing.value, nothing.p, math.isinf(nothing.error)) == (0.0, 1.0, True)
    single = kept.paired(np.arange(5.0)[:, None], np.arange(5.0)[:, None] + 1, medians, ["one"] * 5)
    assert (single.value, single.p) == (1.0, 1.0)
    steady = kept.paired(np.arange(30.0)[:, None], np.arange(30.0)[:, None] + 1, medians)
    assert steady.value == 1.0
    assert 0 < steady.p <= 2 / 4000, "all draws say so, and no p is below what so many can show"
    varied = kept.paired(same, other, medians)
    assert varied.p < 0.001


def test_a_distance_from_the_best_is_compared_where_there_is_one() -> None:
    random = np.random.default_rng(0)
    base = random.normal(3, 1, size=(200, 1))
    found = kept.paired(base, base - 6, medians, turned=abs)
    assert found.head == pytest.approx(abs(float(np.median(base)) - 6))
    assert found.base == pytest.approx(float(np.median(base)))
    assert found.value == pytest.approx(found.head - found.base)


def test_threads_change_no_draw() -> None:
    values = np.random.default_rng(2).normal(size=(5000, 1))
    first = kept.interval([(values, [])], medians)
    assert first == kept.interval([(values, [])], medians)
    assert first == kept.interval([(values[::-1], [])], medians), "nor does the order of the samples"


def test_values_of_any_range_are_no_shares() -> None:
    """Scores of 0 to 5 that happen to be 0 and 1: nothing bounds the next one."""
    metric = MeanValue("score")
    open_ended, share = aggregate_of(metric), aggregate_of(MeanCredit("credit"))
    ones = columns(np.ones((40, 1)))
    assert share.is_shares(ones)
    assert not open_ended.is_shares(ones)
    assert not open_ended.is_credits(ones)
    assert share.interval(ones, [""] * 40) is not None
    assert open_ended.interval(ones, [""] * 40) is None, "no score differs, which says nothing of others"
    mixed = columns(np.tile([[0.0], [1.0]], (20, 1)))
    low, high = open_ended.interval(mixed, [""] * 40) or (0.0, 0.0)
    assert (low, high) == pytest.approx(bootstrap(mixed, ratio), abs=1e-9)
    same = open_ended.difference(ones, ones, [""] * 40, None, exact=False, best=None)
    assert (same.value, same.p) == (0.0, 1.0)
    shifted = ones + np.array([2.0, 0.0])
    moved = open_ended.difference(ones, shifted, [""] * 40, None, exact=False, best=None)
    assert moved.value == pytest.approx(2.0)
    assert 0 < moved.p < 0.001
    far = open_ended.difference(ones, shifted, [""] * 40, None, exact=False, best=3.0)
    assert (far.base, far.head) == pytest.approx((2.0, 0.0))
    assert math.isinf(open_ended.standard_error(ones, [""] * 40, None, 100)[0])
