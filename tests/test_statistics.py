"""Intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from evalkit.metrics import Accuracy
from evalkit.statistics import bootstrap, interval, wilson

FINISH = Accuracy().finish


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 10), (10, 10), (5, 10), (81, 263), (1, 164), (1318, 1319)]
)
def test_wilson_is_what_scipy_says(successes: int, n: int) -> None:
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_zeros_and_ones_get_wilson_in_the_metrics_unit() -> None:
    matrix = np.array([[1.0, 1.0]] * 5 + [[0.0, 1.0]] * 5)
    assert interval(matrix, FINISH) == pytest.approx((23.65931, 76.34069), abs=1e-4)


def test_shares_get_the_bootstrap_and_it_repeats() -> None:
    matrix = np.array([[0.25, 1.0], [0.75, 1.0]] * 50)
    low, high = interval(matrix, FINISH)
    assert 44 < low < 46 < 54 < high < 56
    assert interval(matrix, FINISH) == (low, high)


def test_clusters_widen_the_interval() -> None:
    matrix = np.array([[float(i // 10 % 2), 1.0] for i in range(200)])
    alone = bootstrap(matrix, FINISH)
    together = bootstrap(matrix, FINISH, [f"passage {i // 10}" for i in range(200)])
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
    assert bootstrap(matrix, FINISH, [""] * 200) == alone


def test_one_sample_and_many_chunks() -> None:
    assert bootstrap(np.array([[0.5, 1.0]]), FINISH) == (50.0, 50.0)
    many = np.tile([[0.5, 1.0]], (10_000, 1))
    assert bootstrap(many, FINISH, draws=1000) == (50.0, 50.0)
