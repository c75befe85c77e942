"""Paired tests, against SciPy, statsmodels and sacreBLEU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binomtest, ttest_ind, ttest_rel
from scipy.stats import bootstrap as scipy_bootstrap
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.proportion import proportion_confint

from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.bleu import Bleu
from evalkit.metrics.error_rate import ErrorRate
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.stats import bootstrap, mcnemar, paired_bootstrap, paired_ratio, paired_shares, wilson
from evalkit.stats.intervals import t_quantile
from evalkit.stats.power import Spread, draws_needed, effect_seen, power_of, samples_needed
from evalkit.stats.resample import Floats, resampled

RANDOM = np.random.default_rng(7)
ACCURACY, CREDIT = Accuracy().finish, MeanCredit("credit").finish


def of_one(values: Floats) -> Floats:
    return np.column_stack([values, np.ones(len(values))]).astype(float)


@pytest.mark.slow
def test_mcnemar_is_what_scipy_and_statsmodels_say() -> None:
    tables = [(0, 0), (0, 1), (5, 5), (700, 650), (0, 1200), *RANDOM.integers(0, 60, (200, 2)).tolist()]
    for lost, won in tables:
        found = mcnemar(lost, won)
        expected = statsmodels_mcnemar([[10, lost], [won, 10]], exact=True).pvalue if lost + won else 1.0
        assert found == pytest.approx(min(1.0, expected), rel=1e-9)
        if lost + won:
            assert found == pytest.approx(binomtest(lost, lost + won).pvalue, rel=1e-9)


def test_wilson_is_what_statsmodels_says() -> None:
    for n in RANDOM.integers(1, 3000, 200):
        right = RANDOM.integers(0, n + 1)
        assert wilson(right, n) == pytest.approx(proportion_confint(right, n, method="wilson"), abs=1e-12)


def fieller(base: Floats, head: Floats) -> tuple[float, float]:
    """Fieller's interval of a ratio of means (1954), from the textbook's variances and t quantile."""
    n = len(base)
    (v_base, shared), (_, v_head) = np.cov(base, head) / n
    x, y, t2 = base.mean(), head.mean(), t_quantile(n - 1) ** 2
    a, b, c = x * x - t2 * v_base, x * y - t2 * shared, y * y - t2 * v_head
    root = math.sqrt(b * b - a * c)
    return (b - root) / a, (b + root) / a


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 60, 3000])
def test_a_ratio_has_fieller_s_interval(n: int) -> None:
    random = np.random.default_rng(n)
    base = random.random(n)
    head = np.clip(0.7 * base + random.normal(0.05, 0.2, n), 0, 1)
    found = paired_ratio(of_one(base), of_one(head), CREDIT)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    low, high = fieller(base, head)
    assert found.value == pytest.approx(head.mean() / base.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03 * (high - low))
    scaled = paired_ratio(of_one(base), of_one(head), lambda totals: 5 * CREDIT(totals))
    assert scaled is not None
    assert (scaled.low, scaled.high) == pytest.approx((found.low, found.high))


def test_a_ratio_of_paired_figures_is_narrower_than_of_unpaired_ones() -> None:
    base = RANDOM.random(300)
    head = np.clip(base + RANDOM.normal(0, 0.05, 300), 0, 1)
    paired = paired_ratio(of_one(base), of_one(head), CREDIT)
    shuffled = paired_ratio(of_one(base), of_one(RANDOM.permutation(head)), CREDIT)
    assert paired is not None
    assert shuffled is not None
    assert paired.low is not None
    assert paired.high is not None
    assert shuffled.low is not None
    assert shuffled.high is not None
    assert paired.value == pytest.approx(shuffled.value)
    assert paired.high - paired.low < (shuffled.high - shuffled.low) / 3


def test_a_ratio_that_may_be_anything_has_no_interval() -> None:
    some, none = of_one(np.r_[1.0, np.zeros(19)]), of_one(np.zeros(20))
    assert paired_ratio(none, some, ACCURACY) is None
    unsure = paired_ratio(some, of_one(np.ones(20)), ACCURACY)  # base's own interval has 0 in it
    assert unsure is not None
    assert (unsure.value, unsure.low, unsure.high) == (20, None, None)
    zero = paired_ratio(of_one(np.r_[np.ones(15), np.zeros(5)]), none, ACCURACY)
    assert zero is not None
    assert zero.value == 0
    one = paired_ratio(of_one(np.ones(20)), of_one(np.ones(20)), ACCURACY, ["a"] * 20)
    assert one is not None
    assert (one.value, one.low, one.high) == (1, None, None)


@pytest.mark.slow
def test_a_ratio_of_means_over_groups() -> None:
    groups = ["a"] * 100 + ["b"] * 20
    base = np.r_[RANDOM.random(100) < 0.9, RANDOM.random(20) < 0.5].astype(float)
    head = np.r_[RANDOM.random(100) < 0.6, RANDOM.random(20) < 0.5].astype(float)
    found = paired_ratio(of_one(base), of_one(head), ACCURACY, groups=groups)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    means = [(values[:100].mean() + values[100:].mean()) / 2 for values in (base, head)]
    assert found.value == pytest.approx(means[1] / means[0])
    ratios = []
    for _ in range(4000):  # both groups' samples drawn anew, of both models together
        rows = np.r_[RANDOM.integers(0, 100, 100), RANDOM.integers(100, 120, 20)]
        drawn = [(of[rows[:100]].mean() + of[rows[100:]].mean()) / 2 for of in (base, head)]
        ratios.append(drawn[1] / drawn[0])
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.15 * (high - low))


@pytest.mark.parametrize("n", [8, 60, 3000])
def test_the_mean_of_credits_is_the_paired_t_test(n: int) -> None:
    """For a mean the bootstrap's standard error is the t test's, but for the draws' own chance of 1 %."""
    base = RANDOM.random(n)
    head = np.clip(base + RANDOM.normal(0.05, 0.2, n), 0, 1)
    found = paired_bootstrap(of_one(base), of_one(head), CREDIT)
    expected = ttest_rel(head, base)
    low, high = expected.confidence_interval()
    assert found.value == pytest.approx(100 * np.mean(head - base))
    assert found.error == pytest.approx(100 * np.std(head - base, ddof=1) / math.sqrt(n), rel=0.03)
    assert (found.low, found.high) == pytest.approx((100 * low, 100 * high), abs=0.08 * found.error)
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)
    assert found.p == pytest.approx(found.p_against(0), rel=1e-9)
    wider = expected.confidence_interval(0.99)
    assert found.interval(0.99) == pytest.approx((100 * wider.low, 100 * wider.high), abs=0.12 * found.error)
    assert found.interval(0.95) == pytest.approx((found.low, found.high))


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3, 4, 5))]
)
def test_the_bootstrap_is_scipys_on_random_tables(seed: int) -> None:
    """A difference of word error rates, and the interval of one; SciPy's draws are its own."""
    random = np.random.default_rng(seed)
    n = int(random.choice([12, 60, 150, 400]))
    words = 3 + random.poisson(8, n)
    before, after = (random.binomial(words, random.uniform(0.05, 0.4, n)) for _ in range(2))
    rows = [np.column_stack([e, 0 * e, 0 * e, words - e]).astype(float) for e in (before, after)]
    finish = ErrorRate().finish

    def apart(a: Any, b: Any, w: Any, axis: int = -1) -> Any:
        return 100 * (np.sum(b, axis=axis) - np.sum(a, axis=axis)) / np.sum(w, axis=axis)

    theirs: Any = scipy_bootstrap(
        (before, after, words), apart, paired=True, n_resamples=9999, method="percentile", rng=random
    )
    found = paired_bootstrap(rows[0], rows[1], finish)
    assert found.value == pytest.approx(apart(before, after, words))
    assert found.error == pytest.approx(theirs.standard_error * math.sqrt(n / (n - 1)), rel=0.05)

    level = 1 - 2 * float(ndtr(-math.sqrt(n / (n - 1)) * t_quantile(n - 1)))
    one: Any = scipy_bootstrap(
        (0 * before, before, words), apart, paired=True, confidence_level=level, n_resamples=9999,
        method="percentile", rng=random,
    )  # fmt: skip
    interval = bootstrap(rows[0], finish, draws=10_000)
    assert interval == pytest.approx(tuple(one.confidence_interval), abs=0.15 * one.standard_error)


def test_one_interval_and_one_p_never_contradict_each_other() -> None:
    for seed in range(40):
        random = np.random.default_rng(seed)
        base, head = random.random(30), random.random(30)
        found = paired_bootstrap(of_one(base), of_one(head), CREDIT, draws=500, seed=seed)
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_an_error_rate_is_a_ratio_of_totals() -> None:
    """Against the linearised standard error of a ratio."""
    n, finish = 2500, ErrorRate().finish
    words = 5 + RANDOM.poisson(10, n)
    rows = [
        np.column_stack([edits, 0 * edits, 0 * edits, words - edits]).astype(float)
        for edits in (RANDOM.binomial(words, 0.1), RANDOM.binomial(words, 0.12))
    ]
    found = paired_bootstrap(rows[0], rows[1], finish)
    apart = (rows[1][:, 0] - rows[0][:, 0]) / words.sum()
    rate = apart.sum() / words.sum()
    expected = 100 * math.sqrt(float(np.sum((apart - rate * words / n) ** 2)))
    assert found.value == pytest.approx(100 * apart.sum())
    assert found.error == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("n", [50, 5000])
def test_runs_that_agree_on_every_sample_may_differ_on_the_next(n: int) -> None:
    """The same interval as for zeros and ones, Bonett and Price's, whatever the metric."""
    same = of_one(RANDOM.random(n))
    found = paired_bootstrap(same, same, CREDIT)
    assert (found.value, found.p) == (0, 1)
    shares = paired_shares(of_one(np.ones(n)), of_one(np.ones(n)), CREDIT)
    assert found.error == pytest.approx(shares.error)
    assert (found.low, found.high) == pytest.approx((shares.low, shares.high), rel=0.03)
    assert found.p_against(-1) == pytest.approx(shares.p_against(-1), abs=0.02)
    words = np.column_stack([np.zeros((n, 3)), RANDOM.integers(1, 20, n)]).astype(float)
    assert paired_bootstrap(words, words, ErrorRate().finish).error == pytest.approx(shares.error)


@pytest.mark.parametrize("count", [2, 3, 5, 6, 20])
def test_few_clusters_say_little_however_alike(count: int) -> None:
    """No p is less than that of the test that flips every cluster's sign, against SciPy's binomial one."""
    base, head = of_one(np.full(4 * count, 0.75)), of_one(np.full(4 * count, 0.25))
    names = [f"clip {row // 4}" for row in range(4 * count)]
    found = paired_bootstrap(base, head, CREDIT, names)
    assert found.value == pytest.approx(-50)
    assert found.p >= binomtest(0, count).pvalue * (1 - 1e-6)
    assert (found.high < 0) == (found.p < 0.05)
    assert (found.p < 0.05) == (count > 5)
    head[0, 0] = 0.26
    assert paired_bootstrap(base, head, CREDIT, names).p >= binomtest(0, count).pvalue * (1 - 1e-6)


def test_a_mean_over_groups_has_welchs_degrees_of_freedom() -> None:
    """Of two groups it is half a difference of means, turned: Welch's t test, as SciPy has it."""
    sizes, spreads = (400, 12), (0.05, 0.1)
    apart = [RANDOM.normal(0.02, sd, n) for n, sd in zip(sizes, spreads, strict=True)]
    base = of_one(np.full(sum(sizes), 0.5))
    head = of_one(0.5 + np.concatenate(apart))
    groups = ["a"] * sizes[0] + ["b"] * sizes[1]
    found = paired_bootstrap(base, head, CREDIT, groups=groups, draws=20_000)
    expected = ttest_ind(apart[0], -apart[1], equal_var=False)
    assert found.value == pytest.approx(100 * (apart[0].mean() + apart[1].mean()) / 2)
    assert found.degrees == pytest.approx(expected.df, rel=0.05)
    assert found.p == pytest.approx(expected.pvalue, rel=0.1, abs=0.005)


def test_a_group_without_a_figure_has_no_part_in_the_mean() -> None:
    """Its references are all empty, and a rate over nothing is none."""
    rows = np.array([[1.0, 0, 0, 9]] * 6 + [[0.0, 0, 1, 0]] * 6)
    head = rows + np.array([[k % 3, 0, 0, -(k % 3)] for k in range(6)] + [[0, 0, 1, 0]] * 6)
    groups = ["spoken"] * 6 + ["silent"] * 6
    found = paired_bootstrap(rows, head, ErrorRate().finish, groups=groups)
    alone = paired_bootstrap(rows[:6], head[:6], ErrorRate().finish)
    assert (found.base, found.head, found.value) == (alone.base, alone.head, alone.value)
    assert found.error == pytest.approx(alone.error, rel=0.05)


def test_runs_of_one_cluster() -> None:
    same = of_one(RANDOM.random(50))
    other = of_one(RANDOM.random(50))
    one = paired_bootstrap(same, other, CREDIT, ["one"] * 50)
    assert math.isinf(one.error)
    assert one.p == one.p_against(5) == 1
    alone = paired_bootstrap(same[:1], other[:1], CREDIT)
    assert alone.p == 1


@pytest.mark.slow
def test_clusters_and_groups() -> None:
    base = of_one(np.repeat(RANDOM.random(40) < 0.6, 5))
    head = of_one(np.repeat(RANDOM.random(40) < 0.6, 5))
    clusters = [f"picture {row // 5}" for row in range(200)]
    alone = paired_bootstrap(base, head, ACCURACY)
    together = paired_bootstrap(base, head, ACCURACY, clusters)
    assert together.error == pytest.approx(alone.error * math.sqrt(5), rel=0.1)
    assert together.degrees == 39
    # Two groups of very different size count the same.
    names = ["big"] * 190 + ["small"] * 10
    grouped = paired_bootstrap(base, head, ACCURACY, groups=names)
    figures = [100 * (head[rows, 0].mean() - base[rows, 0].mean()) for rows in (slice(190), slice(190, 200))]
    assert grouped.value == pytest.approx(np.mean(figures))
    assert 9 < grouped.degrees < 198


@pytest.mark.slow
def test_zeros_and_ones_have_an_interval_where_nothing_differs() -> None:
    """Bonett and Price 2012: 95 % of the time for shares of any size; checked by drawing."""
    same = of_one(np.ones(20))
    agreed = paired_shares(same, same, ACCURACY)
    assert (agreed.value, agreed.p) == (0, 1)
    assert agreed.low < -10 < 10 < agreed.high
    held = 0
    for _ in range(2000):
        kinds = RANDOM.choice(4, 80, p=[0.7, 0.1, 0.06, 0.14])
        base, head = of_one((kinds == 0) | (kinds == 1)), of_one((kinds == 0) | (kinds == 2))
        found = paired_shares(base, head, ACCURACY)
        held += found.low <= 6 - 10 <= found.high
    assert 0.94 < held / 2000 < 0.975


@pytest.mark.parametrize(
    ("seed", "share"),
    [(1, 0.34), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((2, 0.34), (3, 0.38), (4, 0.33)))],
)
def test_bleu_is_what_sacrebleus_paired_bootstrap_says(seed: int, share: float) -> None:
    """sacreBLEU 2.6's paired bootstrap on the same two systems: its figures, its interval, and its p.

    Its p counts how often the size of a resampled difference lies above the sizes' mean by more than the
    real one does, which our draws say too. That is a p of one side as long as hardly any resampled
    difference changes sign; ours is of both sides, twice as large.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.significance import PairedTest

    random = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(200)]

    def wrong(sentence: list[str], part: float) -> str:
        return " ".join(w if random.random() > part else random.choice(words) for w in sentence)

    references = [[str(random.choice(words)) for _ in range(random.integers(6, 20))] for _ in range(150)]
    systems: Any = [(name, [wrong(r, part) for r in references]) for name, part in (("a", 0.3), ("b", share))]
    lines = [" ".join(reference) for reference in references]
    metric: Any = BLEU(references=[lines])
    test: Any = PairedTest(systems, {"BLEU": metric}, references=None, test_type="bs", n_samples=4000)
    theirs = test()[1]["BLEU"][1]
    scored = [
        [metric.corpus_score([line], [[ref]]) for line, ref in zip(s[1], lines, strict=True)] for s in systems
    ]
    matrices = [
        np.array([(one.sys_len, one.ref_len, *one.counts, *one.totals) for one in rows], dtype=float)
        for rows in scored
    ]
    found = paired_bootstrap(matrices[0], matrices[1], Bleu().finish)
    assert found.head == pytest.approx(theirs.score)
    drawn = Bleu().finish(resampled(matrices[1], 4000, np.random.default_rng(0)))
    assert float(np.mean(drawn)) == pytest.approx(theirs.mean, abs=0.1)
    assert 1.96 * float(np.std(drawn)) == pytest.approx(theirs.ci, rel=0.1)
    both = resampled(np.hstack(matrices), 4000, np.random.default_rng(0))
    apart = np.abs(Bleu().finish(both[:, 10:]) - Bleu().finish(both[:, :10]))
    p = float(np.mean(apart - apart.mean() > abs(found.value)))
    assert p == pytest.approx(theirs.p_value, abs=5 * math.sqrt(2 * p * (1 - p) / 4000))
    assert theirs.p_value < 0.06
    assert found.p == pytest.approx(2 * theirs.p_value, rel=0.35, abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize("n", [201, 5000])
def test_many_units_are_resampled_as_few_are(n: int) -> None:
    """Above 200 units the weights come from bytes: the moments of the totals are the multinomial's."""
    units = np.column_stack([RANDOM.exponential(1, n), np.ones(n)])
    drawn = resampled(units, 20_000, np.random.default_rng(1))
    figures, mean = drawn[:, 0] / drawn[:, 1], units[:, 0].mean()
    error = units[:, 0].std() / math.sqrt(n)
    assert figures.mean() == pytest.approx(mean, abs=5 * error / math.sqrt(20_000))
    assert figures.std() == pytest.approx(error, rel=0.02)
    exact = np.random.default_rng(2).multinomial(n, np.full(n, 1 / n), 20_000) @ units[:, 0] / n
    for share in (0.025, 0.16, 0.84, 0.975):
        assert np.quantile(figures, share) == pytest.approx(np.quantile(exact, share), abs=0.08 * error)
    again = resampled(units, 20_000, np.random.default_rng(1))
    assert np.array_equal(drawn, again)
    assert drawn[:, 1].mean() == pytest.approx(n, abs=5 * math.sqrt(n / 20_000))


def test_power_is_how_often_a_difference_is_found() -> None:
    sd, effect, n = 30.0, 4.0, samples_needed(4.0, 30.0)
    assert n == 442  # (1.960 + 0.842)² · 30² / 4²
    assert effect_seen(n, sd) == pytest.approx(effect, rel=0.002)
    assert power_of(effect, sd, n) == pytest.approx(0.8, abs=0.002)
    found = 0
    for _ in range(2000):
        apart = RANDOM.normal(effect, sd, n)
        found += abs(apart.mean()) > 1.96 * apart.std(ddof=1) / math.sqrt(n)
    assert found / 2000 == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("effect", "sd", "n", "alpha"),
    [(20, 45, 40, 0.05), (30, 40, 25, 0.05), (5, 20, 60, 0.1), (50, 50, 12, 0.01), (90, 20, 10, 0.05)],
)
def test_exact_power_is_the_sum_over_all_tables(effect: float, sd: float, n: int, alpha: float) -> None:
    differ = max((sd / 100) ** 2 + (effect / 100) ** 2, effect / 100)
    shares = (differ + effect / 100) / 2, (differ - effect / 100) / 2, 1 - differ
    expected = sum(
        math.comb(n, lost) * math.comb(n - lost, won)
        * shares[0] ** lost * shares[1] ** won * shares[2] ** (n - lost - won)
        for lost in range(n + 1)
        for won in range(min(lost, n - lost + 1))
        if mcnemar(lost, won) < alpha
    )  # fmt: skip
    assert power_of(effect, sd, n, alpha=alpha, exact=True) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_exact_numbers_of_samples() -> None:
    """More than the normal approximation asks for, and nearer to it the more there are."""
    for effect, sd, most in ((20.0, 50.0, 1.4), (2.0, 50.0, 1.03), (0.8, 50.0, 1.01)):
        n = samples_needed(effect, sd, exact=True)
        assert 1 < n / samples_needed(effect, sd) < most
        assert power_of(effect, sd, n, exact=True) == pytest.approx(0.8, abs=0.01)
        assert effect_seen(n, sd, exact=True) == pytest.approx(effect, rel=0.02)
    assert math.isinf(effect_seen(5, 50.0, exact=True)), "five samples that all fell have p = 0.06"
    assert power_of(0.0, 0.0, 5, exact=True) == 0


def test_draws_help_until_the_samples_are_what_varies() -> None:
    spread = Spread(between=10, within=40)
    n = samples_needed(2.0, spread.of(8))
    assert draws_needed(2.0, spread, n) == 8
    assert draws_needed(0.1, spread, n) is None
    assert draws_needed(50.0, spread, n) == 1
    assert power_of(1.0, 0.0, 5) == 1
    assert power_of(0.0, 0.0, 5) == 0


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 500])
def test_a_comparison_said_eleven_times_over_is_no_surer(n: int) -> None:
    """The same clusters and figures in eleven groups: one group's error, degrees of freedom and p."""
    random = np.random.default_rng(11)
    words = 5 + random.poisson(8, n)
    base, head = (
        np.column_stack([edits, 0 * edits, 0 * edits, words - edits]).astype(float)
        for edits in (random.binomial(words, 0.2), random.binomial(words, 0.22))
    )
    finish, names = ErrorRate().finish, [f"sentence {row}" for row in range(n)]
    once = paired_bootstrap(base, head, finish, names)
    groups = [f"language {row // n}" for row in range(11 * n)]
    many, other = np.tile(base, (11, 1)), np.tile(head, (11, 1))
    together = paired_bootstrap(many, other, finish, 11 * names, groups=groups)
    assert together.value == pytest.approx(once.value)
    assert together.error == pytest.approx(once.error, rel=0.06)
    assert together.degrees == once.degrees == n - 1
    apart = paired_bootstrap(many, other, finish, None, groups=groups)
    assert apart.error == pytest.approx(once.error / math.sqrt(11), rel=0.06)
    same = paired_bootstrap(many, many, finish, 11 * names, groups=groups)
    assert same.error == pytest.approx(paired_bootstrap(base, base, finish, names).error)


@pytest.mark.slow
def test_no_more_false_alarms_where_groups_share_their_clusters() -> None:
    """Eleven languages, the same 60 sentences, nothing changed: 5 of 100 comparisons alarm, not 40."""
    random, alarms = np.random.default_rng(12), 0
    groups, names = np.repeat([f"{g}" for g in range(11)], 60).tolist(), 11 * [f"s{i}" for i in range(60)]
    for _ in range(200):
        moved = np.tile(random.normal(0, 0.2, 60), 11) + random.normal(0, 0.1, 660)
        base = random.random(660)
        found = paired_bootstrap(of_one(base), of_one(base + moved), CREDIT, names, groups=groups, draws=400)
        alarms += found.p < 0.05
    assert alarms < 22


def test_samples_of_no_group_have_no_part_in_the_mean() -> None:
    base, head = of_one(np.array([0.0, 1, 0, 1, 1, 1])), of_one(np.array([1.0, 1, 0, 1, 0, 0]))
    found = paired_bootstrap(base, head, CREDIT, None, groups=["a", "a", "b", "b", "", ""])
    assert (found.base, found.head) == (50.0, 75.0)
