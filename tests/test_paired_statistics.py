"""Paired tests, against SciPy, statsmodels and sacreBLEU."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.bleu import Bleu
from evalkit.metrics.error_rate import ErrorRate
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.statistics import holm, mcnemar, paired_bootstrap, paired_shares, wilson
from evalkit.statistics.power import Spread, draws_needed, effect_seen, power_of, samples_needed
from evalkit.statistics.resample import Floats, resampled

RANDOM = np.random.default_rng(7)
ACCURACY, CREDIT = Accuracy().finish, MeanCredit("credit").finish


def of_one(values: Floats) -> Floats:
    return np.column_stack([values, np.ones(len(values))]).astype(float)


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


def test_holm_is_what_statsmodels_says() -> None:
    for count in range(1, 60):
        p = RANDOM.random(count) ** 3
        assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist())
    assert holm([]) == []


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
    assert found.p == found.p_against(0)


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


def test_identical_runs_and_runs_of_one_cluster() -> None:
    same = of_one(RANDOM.random(50))
    found = paired_bootstrap(same, same, CREDIT)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
    other = of_one(RANDOM.random(50))
    one = paired_bootstrap(same, other, CREDIT, ["one"] * 50)
    assert math.isinf(one.error)
    assert one.p == one.p_against(5) == 1
    alone = paired_bootstrap(same[:1], other[:1], CREDIT)
    assert alone.p == 1


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
    assert grouped.degrees == 9


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


def test_bleu_is_what_sacrebleus_paired_bootstrap_says() -> None:
    """sacreBLEU 2.6's paired bootstrap on the same two systems.

    Its p is of one side: it counts how often a resampled difference lies above its mean by more than the
    real one, where all resampled differences have one sign. Ours is of both sides, twice as large.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.significance import PairedTest

    words = [f"w{i}" for i in range(200)]

    def spoiled(sentence: list[str], share: float) -> str:
        return " ".join(w if RANDOM.random() > share else RANDOM.choice(words) for w in sentence)

    references = [[str(RANDOM.choice(words)) for _ in range(RANDOM.integers(6, 20))] for _ in range(150)]
    systems: Any = [
        (name, [spoiled(r, share) for r in references]) for name, share in (("a", 0.3), ("b", 0.34))
    ]
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
    assert 0.001 < theirs.p_value < 0.2
    assert found.p == pytest.approx(2 * theirs.p_value, rel=0.35)
    drawn = Bleu().finish(resampled(matrices[1], 4000, np.random.default_rng(0)))
    assert float(np.mean(drawn)) == pytest.approx(theirs.mean, abs=0.1)
    assert 1.96 * float(np.std(drawn)) == pytest.approx(theirs.ci, rel=0.1)


def test_many_units_are_resampled_as_few_are() -> None:
    """Above 2,000 units the weights come from bytes: the moments of the totals are the multinomial's."""
    units = np.column_stack([RANDOM.exponential(1, 5000), np.ones(5000)])
    drawn = resampled(units, 20_000, np.random.default_rng(1))
    figures, mean = drawn[:, 0] / drawn[:, 1], units[:, 0].mean()
    error = units[:, 0].std() / math.sqrt(5000)
    assert figures.mean() == pytest.approx(mean, abs=5 * error / math.sqrt(20_000))
    assert figures.std() == pytest.approx(error, rel=0.02)
    for share in (0.025, 0.16, 0.84, 0.975):
        expected = mean + error * statistics.NormalDist().inv_cdf(share)
        assert np.quantile(figures, share) == pytest.approx(expected, abs=0.08 * error)
    again = resampled(units, 20_000, np.random.default_rng(1))
    assert np.array_equal(drawn, again)
    assert drawn[:, 1].mean() == pytest.approx(5000, abs=5 * math.sqrt(5000 / 20_000))


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


def test_draws_help_until_the_samples_are_what_varies() -> None:
    spread = Spread(between=10, within=40)
    n = samples_needed(2.0, spread.of(8))
    assert draws_needed(2.0, spread, n) == 8
    assert draws_needed(0.1, spread, n) is None
    assert draws_needed(50.0, spread, n) == 1
    assert power_of(1.0, 0.0, 5) == 1
    assert power_of(0.0, 0.0, 5) == 0
