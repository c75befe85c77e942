"""Verdicts: from differences, from simulated runs, from real run files."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from bench.gate import KINDS, expected_power, said
from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.paired import MCNEMAR, Paired
from evalkit.statistics import Difference, paired_bootstrap, paired_shares
from evalkit.verdicts import Benchmark, verdicts

Z = 1.959963984540054


def benchmark(
    value: float, error: float, *, margin: float = 0.0, higher: bool = True, n: int = 500
) -> Benchmark:
    p = math.erfc(abs(value) / error / math.sqrt(2)) if error else float(value == 0)
    difference = Difference(50, 50 + value, value, value - Z * error, value + Z * error, error, 0, p)
    paired = Paired(n, difference, 0, 0, 0, "bootstrap", (), 0)
    return Benchmark("made", "once", "accuracy", "%", higher, margin, True, paired, ())


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


@pytest.mark.parametrize(("n", "expected"), [(250, "not enough samples"), (300, "no worse")])
def test_runs_that_agree_on_every_sample(n: int, expected: str) -> None:
    """Up to 2.8 / n of all samples may differ all the same: with 277 that is a point."""
    same = np.column_stack([np.full(n, 0.5), np.ones(n)])
    agreed = paired_bootstrap(same, same, MeanCredit("credit").finish, draws=500)
    one = dataclasses.replace(benchmark(0, 1, margin=1.0), paired=Paired(n, agreed, 0, 0, n, "", (), 0))
    (found,) = verdicts([one], 0.05)
    assert found.verdict == expected
    (found,) = verdicts([dataclasses.replace(one, margin=0.0)], 0.05)
    assert found.verdict == "not enough samples"


def test_two_clusters_that_fell_alike_fail_no_job() -> None:
    base, head = (np.column_stack([np.full(10, share), np.ones(10)]) for share in (0.9, 0.4))
    fell = paired_bootstrap(base, head, MeanCredit("credit").finish, ["one", "two"] * 5, draws=500)
    one = dataclasses.replace(benchmark(0, 1), paired=Paired(10, fell, 0, 10, 0, "", (), 0))
    (found,) = verdicts([one], 0.05)
    assert fell.value == pytest.approx(-50)
    assert (found.verdict, found.regression) == ("not enough samples", False)


def test_many_benchmarks_are_adjusted_for() -> None:
    """One of twenty at p = 0.02 is what chance brings."""
    lucky = benchmark(-2.326, 1.0)
    assert verdicts([lucky], 0.05)[0].verdict == "worse"
    many = verdicts([lucky, *[benchmark(0.1, 1.0)] * 19], 0.05)
    assert {one.verdict for one in many} == {"not enough samples"}
    assert verdicts([benchmark(-4.0, 1.0), *[benchmark(0.1, 1.0)] * 19], 0.05)[0].verdict == "worse"


def test_words_say_what_would_be_enough() -> None:
    (found,) = verdicts([benchmark(-1.0, 1.0)], 0.05)
    assert found.sees == pytest.approx(2.802, abs=0.001)
    assert found.enough == 3925  # 500 · 2.802²
    assert found.words() == "not enough samples"
    assert found.shortage() == (
        "made:once: 500 samples show a difference of 2.8 or more; "
        "about 3,925 would settle the difference seen"
    )
    worse, better = verdicts([benchmark(-3.3, 1.0), benchmark(9.0, 1.0)], 0.05)
    assert worse.words() == "worse, p = 0.0019"
    assert better.words() == "better, p < 0.001"
    assert verdicts([benchmark(0.0, 0.1, margin=1)], 0.05)[0].words() == "no worse by 1"


def test_exact_tests_see_less() -> None:
    """McNemar's test speaks from six flips on: 4 times of 5 where eight are expected."""
    base = np.ones((2000, 2))
    head = base.copy()
    head[0, 0] = 0
    flipped = paired_shares(base, head, Accuracy().finish)
    one = dataclasses.replace(benchmark(0, 1), paired=Paired(2000, flipped, 0, 1, 1999, MCNEMAR, (), 0))
    (found,) = verdicts([one], 0.05)
    assert (found.verdict, found.p) == ("not enough samples", 1)
    assert 100 * 6 / 2000 < found.sees < 100 * 9 / 2000
    against_a_margin = verdicts([dataclasses.replace(one, margin=1.0)], 0.05)[0]
    assert against_a_margin.verdict == "no worse"
    assert against_a_margin.sees == pytest.approx(2.802 * flipped.error, rel=0.001)


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
