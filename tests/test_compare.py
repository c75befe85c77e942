"""Verdicts: from differences, from simulated runs, from real run files."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from bench.gate import KINDS, expected_power, said
from evalkit.compare.paired import MCNEMAR, Paired
from evalkit.compare.verdicts import INCOMPLETE, Benchmark, Comparison, verdicts
from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.stats import Difference, paired_bootstrap, paired_shares
from evalkit.stats.power import samples_needed

Z = 1.959963984540054


def benchmark(
    value: float, error: float, *, margin: float = 0.0, higher: bool = True, n: int = 500
) -> Benchmark:
    p = math.erfc(abs(value) / error / math.sqrt(2)) if error else float(value == 0)
    difference = Difference(50, 50 + value, value, value - Z * error, value + Z * error, error, 0, p)
    return Benchmark("made", "once", "accuracy", "%", higher, margin, True, flipped(difference, n, 1, 1))


def flipped(
    difference: Difference, n: int, wins: int, losses: int, *, clusters: int = 0, test: str = "bootstrap"
) -> Paired:
    """`clusters` 0: as many as samples."""
    return Paired(n, difference, wins, losses, n - wins - losses, test, (), (), clusters or n, 100.0)


def verdict(*arguments: float, margin: float = 0.0, higher: bool = True, n: int = 500) -> str:
    (found,) = verdicts([benchmark(*arguments, margin=margin, higher=higher, n=n)], 0.05)
    return found.verdict


@pytest.mark.parametrize(
    ("value", "error", "margin", "expected"),
    [
        (-2.0, 0.4, 0.0, "worse"),
        (-2.0, 0.4, 1.0, "worse"),  # the interval ends at -1.2
        (-2.0, 0.6, 1.0, "not enough samples"),  # it ends at -0.8
        (-0.1, 0.3, 1.0, "no worse"),
        (-0.1, 0.3, 0.0, "not enough samples"),
        (-0.1, 0.6, 1.0, "not enough samples"),
        (2.0, 0.4, 0.0, "better"),
        (0.5, 0.4, 1.0, "no worse"),
        (-2.0, 1.2, 0.0, "not enough samples"),
        (0.0, math.inf, 1.0, "not enough samples"),
    ],
)
def test_verdicts(value: float, error: float, margin: float, expected: str) -> None:
    assert verdict(value, error, margin=margin) == expected
    assert verdict(-value, error, margin=margin, higher=False) == expected


@pytest.mark.parametrize(("n", "expected"), [(250, "no change seen"), (300, "no worse")])
def test_runs_that_agree_on_every_sample(n: int, expected: str) -> None:
    """Up to 2.8 / n of all samples may differ all the same: with 277 that is a point."""
    same = np.column_stack([np.full(n, 0.5), np.ones(n)])
    agreed = paired_bootstrap(same, same, MeanCredit("credit").finish, draws=500)
    one = dataclasses.replace(benchmark(0, 1, margin=1.0), paired=flipped(agreed, n, 0, 0))
    (found,) = verdicts([one], 0.05)
    assert found.verdict == expected
    (found,) = verdicts([dataclasses.replace(one, margin=0.0)], 0.05)
    assert found.words() == "no change seen (0:0), p = 1.00"


def test_what_flipped_both_ways_is_a_change() -> None:
    (found,) = verdicts([benchmark(0.0, 0.5)], 0.05)
    assert found.verdict == "not enough samples"


def fell(clusters: int, n: int = 100, margin: float = 0.0, by: float = 0.5) -> Benchmark:
    """A benchmark of clusters, on all of which head has lost as much, and won nothing."""
    base, head = (np.column_stack([np.full(n, share), np.ones(n)]) for share in (0.9, 0.9 - by))
    names = [f"clip {row % clusters}" for row in range(n)]
    found = paired_bootstrap(base, head, MeanCredit("credit").finish, names, draws=500)
    wins, losses = (n, 0) if by < 0 else (0, n)
    return dataclasses.replace(
        benchmark(0, 1, margin=margin), paired=flipped(found, n, wins, losses, clusters=clusters)
    )


@pytest.mark.parametrize("clusters", [1, 2, 5])
def test_few_clusters_that_fell_are_no_regression_and_do_not_pass(clusters: int) -> None:
    """No outcome of up to 5 clusters has p < 0.05; the samples, taken for themselves, leave no doubt."""
    (found,) = verdicts([fell(clusters)], 0.05)
    assert (found.verdict, found.regression) == ("not enough clusters", False)
    (problem,) = found.problems
    assert problem.code == INCOMPLETE
    assert "100 of 100 samples are worse and none better (sign test over samples, p < 0.001)" in problem.words
    assert ("a single cluster" if clusters == 1 else f"of {clusters} clusters") in problem.words
    assert Comparison("a", "b", 0.05, (found,)).exit_code == 3
    assert Comparison("a", "b", 0.05, (dataclasses.replace(found, blocking=False),)).exit_code == 0


def test_what_few_clusters_do_not_bar_passes() -> None:
    (enough,) = verdicts([fell(6)], 0.05)
    assert (enough.verdict, enough.problems) == ("worse", ())
    for harmless in (fell(5, n=5), fell(5, by=-0.1), fell(5, by=0.005, margin=1.0)):
        (found,) = verdicts([harmless], 0.05)
        assert not found.problems


def test_six_clusters_are_few_for_two_benchmarks() -> None:
    found = verdicts([fell(6), fell(6)], 0.05)
    assert {one.verdict for one in found} == {"not enough clusters"}
    assert {one.verdict for one in verdicts([fell(7), fell(7)], 0.05)} == {"worse"}


def test_where_samples_speak_and_the_figure_does_not_both_are_said() -> None:
    """One long clip got better, and 77 of 100 worse."""
    one = benchmark(-10.0, 8.0)
    one = dataclasses.replace(one, paired=flipped(one.paired.difference, 100, 1, 77))
    (found,) = verdicts([one], 0.05)
    assert (found.verdict, found.problems) == ("not enough samples", ())
    assert found.samples_say(0.05, 1) == (
        "77 of 100 samples are worse and 1 better (sign test over samples, p < 0.001), "
        "but the accuracy does not rule out no difference (p = 0.21)"
    )


@pytest.mark.slow
def test_the_verdict_is_what_the_printed_interval_says() -> None:
    """Of any number of benchmarks, margins, directions and kinds of metric, and at any alpha."""
    random = np.random.default_rng(5)
    seen = set()
    for _ in range(400):
        alpha, count = float(random.choice([0.2, 0.05, 0.01])), int(random.choice([1, 3, 10]))
        measured = [random_benchmark(random) for _ in range(count)]
        for one in verdicts(measured, alpha):
            worst, best = sorted((one.sign * one.low, one.sign * one.high))
            assert one.confidence == pytest.approx(1 - alpha / count)
            assert (one.verdict == "worse") == (best < -one.margin)
            assert (one.verdict == "better") == (worst > 0)
            if one.verdict == "no worse":
                assert -one.margin < worst <= 0
            assert (one.p < alpha) == (one.verdict in ("worse", "better", "no worse"))
            assert -100 <= one.low <= one.paired.difference.value <= one.high <= 100
            seen.add((one.verdict, one.paired.test))
    assert len(seen) >= 7


def random_benchmark(random: np.random.Generator) -> Benchmark:
    margin, higher = float(random.choice([0.0, 0.0, 1.0, 5.0])), bool(random.random() < 0.5)
    if random.random() < 0.5:
        value, error = random.normal(0, 4), random.uniform(0.2, 3)
        return benchmark(float(value), float(error), margin=margin, higher=higher)
    n = int(random.choice([8, 30, 300]))
    lost, won = (int(random.integers(0, 1 + min(n // 2, 20))) for _ in range(2))
    won = int(random.choice([0, 1, won]))
    base, head = np.ones((2, n, 2))
    base[:won, 0], head[won : won + lost, 0] = 0, 0
    found = paired_shares(base, head, Accuracy().finish)
    paired = flipped(found, n, *((won, lost) if higher else (lost, won)), test=MCNEMAR)
    return Benchmark("made", "once", "accuracy", "%", higher, margin, True, paired)


def test_an_interval_stays_on_the_metrics_scale() -> None:
    base, head = np.ones((2, 3, 2))
    head[:, 0] = 0
    lost = paired_shares(base, head, Accuracy().finish)
    assert lost.low < -100
    one = dataclasses.replace(benchmark(0, 1), paired=flipped(lost, 3, 0, 3, test=MCNEMAR))
    (found,) = verdicts([one], 0.05)
    assert found.low == -100
    assert found.as_json()["low"] == -100


def test_many_benchmarks_are_adjusted_for() -> None:
    """One of twenty at p = 0.02 is what chance brings."""
    lucky = benchmark(-2.326, 1.0)
    (alone,) = verdicts([lucky], 0.05)
    assert alone.verdict == "worse"
    assert alone.p == pytest.approx(0.02, abs=1e-4)
    assert (alone.low, alone.high) == pytest.approx((-2.326 - Z, -2.326 + Z))
    many = verdicts([lucky, *[benchmark(0.1, 1.0)] * 19], 0.05)
    assert {one.verdict for one in many} == {"not enough samples"}
    assert verdicts([benchmark(-4.0, 1.0), *[benchmark(0.1, 1.0)] * 19], 0.05)[0].verdict == "worse"


def test_words_say_what_would_be_enough() -> None:
    (found,) = verdicts([benchmark(-1.0, 1.0)], 0.05)
    assert found.sees == pytest.approx(2.802, abs=0.001)
    assert found.enough == 3925  # 500 · 2.802²
    assert found.words() == "not enough samples, p = 0.32"
    assert found.shortage() == (
        "made:once: 500 samples show a difference of 2.8 or more; "
        "about 3,925 would settle the difference seen"
    )
    worse, better = verdicts([benchmark(-3.3, 1.0), benchmark(9.0, 1.0)], 0.05)
    assert worse.words() == "worse, p = 0.0019"
    assert better.words() == "better, p < 0.001"
    assert verdicts([benchmark(0.0, 0.1, margin=1)], 0.05)[0].words() == "no worse by 1, p < 0.001"
    (near,) = verdicts([benchmark(-1.5, 1.0, margin=1.0)], 0.05)
    assert "500 samples show a difference of 2.8 or more beyond the margin of 1" in near.shortage()
    (none,) = verdicts([benchmark(-1.5, math.inf, n=1)], 0.05)
    assert none.shortage() == "made:once: 1 sample can show no difference, however large"


def test_what_so_many_samples_show_is_of_all_benchmarks_together() -> None:
    """As `evalkit power --benchmarks 10` says."""
    found = verdicts([benchmark(-1.0, 1.0)] * 10, 0.05)[0]
    assert found.sees == pytest.approx(2.807 + 0.842, abs=0.001)
    assert found.enough == samples_needed(1.0, math.sqrt(500), alpha=0.005)


def test_exact_tests_see_less() -> None:
    """McNemar's test speaks from six flips on: 4 times of 5 where eight are expected."""
    base = np.ones((2000, 2))
    head = base.copy()
    head[0, 0] = 0
    one_lost = paired_shares(base, head, Accuracy().finish)
    one = dataclasses.replace(benchmark(0, 1), paired=flipped(one_lost, 2000, 0, 1, test=MCNEMAR))
    (found,) = verdicts([one], 0.05)
    assert (found.verdict, found.p) == ("not enough samples", 1)
    assert 100 * 6 / 2000 < found.sees < 100 * 9 / 2000
    against_a_margin = verdicts([dataclasses.replace(one, margin=1.0)], 0.05)[0]
    assert against_a_margin.verdict == "no worse"
    assert against_a_margin.sees == pytest.approx(2.802 * one_lost.error, rel=0.001)


@pytest.mark.slow
def test_false_alarms_and_power() -> None:
    """`bench/gate.py` with 4,000 trials; this many have a standard error of 1.1 and 2 points."""
    assert said(1319, 0, 300)["worse"] < 5
    assert said(1319, 0, 800, kinds=KINDS[:1])["worse"] < 5
    for drop in (2.0, 1.5):
        found = said(1319, drop, 400, kinds=KINDS[:1], seed=1)["worse"]
        assert found == pytest.approx(expected_power(1319, drop), abs=6)
    lost_the_margin = said(1319, 1, 300, margin=1.0, kinds=KINDS[1:2])
    assert lost_the_margin["worse"] < 5
    assert lost_the_margin["no worse"] < 5
