"""Intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from bench.coverage import CASES, RUN_ON, SHARED, Case, Shared, coverage, macro_coverage, shared_coverage
from evalkit.metrics import Accuracy
from evalkit.metrics.error_rate import ErrorRate
from evalkit.stats import bootstrap, interval, macro_interval, wilson
from evalkit.stats.resample import Floats

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
    found = interval(matrix, FINISH)
    assert found is not None
    assert 44 < found[0] < 46 < 54 < found[1] < 56
    assert interval(matrix, FINISH) == found


def test_clusters_widen_the_interval() -> None:
    matrix = np.array([[float(i // 10 % 2), 1.0] for i in range(200)])
    alone = bootstrap(matrix, FINISH)
    together = bootstrap(matrix, FINISH, [f"passage {i // 10}" for i in range(200)])
    assert alone is not None
    assert together is not None
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
    assert bootstrap(matrix, FINISH, [""] * 200) == alone


def test_one_sample_and_many_chunks() -> None:
    assert bootstrap(np.array([[0.5, 1.0]]), FINISH) is None
    many = np.tile([[0.5, 1.0]], (10_000, 1))
    assert bootstrap(many, FINISH, draws=1000) == (50.0, 50.0)


# -- one cluster, and means over groups


def test_a_single_cluster_has_no_interval() -> None:
    """Five questions about one picture say nothing of how the figure varies between pictures."""
    matrix = np.array([[1.0, 1.0], [0.0, 1.0], [0.3, 1.0]])
    assert interval(matrix, FINISH, ["one"] * 3) is None
    assert interval(matrix[2:], FINISH) is None
    assert interval(matrix, FINISH, ["one", "one", "two"]) is not None
    assert interval(matrix[:1], FINISH) is not None, "Wilson's holds for one yes or no"


def test_the_mean_over_groups_varies_as_its_groups_do() -> None:
    """Two groups of very different size count the same; the standard error is that of the mean of means."""
    random = np.random.default_rng(1)
    sizes, rates = (4000, 400), (0.3, 0.8)
    parts = []
    for size, rate in zip(sizes, rates, strict=True):
        right = (random.random(size) < rate).astype(float)
        parts.append((np.column_stack([right, np.ones(size)]), [""] * size))
    found = macro_interval(parts, FINISH)
    assert found is not None
    means = [part.mean(axis=0)[0] for part, _ in parts]
    error = np.sqrt(sum(m * (1 - m) / n for m, n in zip(means, sizes, strict=True))) / 2
    middle = 100 * np.mean(means)
    assert found == pytest.approx((middle - 196 * error, middle + 196 * error), abs=0.2)
    assert macro_interval([*parts, (np.array([[0.5, 1.0]]), [""])], FINISH) is None


@pytest.mark.parametrize("n", [60, 600])
def test_credits_that_are_all_alike_have_an_interval(n: int) -> None:
    """As wide as that of zeros and ones with their mean, whatever rounding makes of tenths."""
    same = np.array([[0.1, 1.0]] * n)
    found = interval(same, FINISH)
    assert found == pytest.approx([100 * bound for bound in wilson(0.1 * n, n)], abs=0.5)
    assert macro_interval([(same, [""] * n)], FINISH) == pytest.approx(found)
    assert macro_interval([(same, [""] * n)] * 4, FINISH) == pytest.approx(
        interval(np.tile(same, (4, 1)), FINISH), abs=0.01
    )


@pytest.mark.slow
def test_a_small_group_without_a_fault_is_not_taken_for_faultless() -> None:
    """Its share counts a third of the mean: the interval holds the truth, 90 %, as often as it should."""
    random, held = np.random.default_rng(4), 0
    for _ in range(1000):
        parts = [
            (np.column_stack([random.random(n) < 0.9, np.ones(n)]).astype(float), [""] * n)
            for n in (5, 500, 500)
        ]
        low, high = macro_interval(parts, FINISH) or (0, 0)
        held += low <= 90 <= high
    assert held > 940


def test_the_mean_over_languages_of_an_error_rate() -> None:
    """Against the linearised standard error of each language's rate; and none where one does not vary."""
    random, finish, parts, errors = np.random.default_rng(5), ErrorRate().finish, [], []
    for n, rate in ((300, 0.1), (80, 0.3)):
        words = 5 + random.poisson(8, n)
        edits = random.binomial(words, rate)
        parts.append((np.column_stack([edits, 0 * edits, 0 * edits, words - edits]).astype(float), [""] * n))
        share = edits.sum() / words.sum()
        errors.append(np.sqrt(np.sum((edits - share * words) ** 2)) / words.sum())
    found = macro_interval(parts, finish)
    assert found is not None
    middle = np.mean([finish(part.sum(axis=0)) for part, _ in parts])
    half = 100 * 1.98 * np.hypot(*errors) / 2
    assert found == pytest.approx((middle - half, middle + half), abs=0.12 * half)
    perfect = np.array([[0.0, 0, 0, 9]] * 50)
    assert macro_interval([*parts, (perfect, [""] * 50)], finish) is None


# -- clusters in several groups


def errors(n: int, random: np.random.Generator) -> Floats:
    words = 5 + random.poisson(8, n)
    edits = random.binomial(words, random.beta(2, 8, n))
    return np.column_stack([edits, 0 * edits, 0 * edits, words - edits]).astype(float)


@pytest.mark.parametrize("n", [40, 400])
@pytest.mark.parametrize("kind", ["shares", "credits", "error rate", "all right"])
def test_a_group_said_eleven_times_over_is_known_no_better(kind: str, n: int) -> None:
    """The same clusters with the same figures in every group: the mean is as uncertain as one group is."""
    random = np.random.default_rng(3)
    values = {"shares": random.random(n) < 0.7, "credits": random.random(n), "all right": np.ones(n)}
    matrix = (
        np.column_stack([values[kind], np.ones(n)]).astype(float) if kind in values else errors(n, random)
    )
    finish = FINISH if kind in values else ErrorRate().finish
    names = [f"sentence {row}" for row in range(n)]
    once = interval(matrix, finish, names)
    together = macro_interval([(matrix, names)] * 11, finish)
    apart = macro_interval([(matrix, [f"{g} {name}" for name in names]) for g in range(11)], finish)
    assert once is not None
    assert together is not None
    assert apart is not None
    assert together == pytest.approx(once, abs=0.12 * (once[1] - once[0]))
    assert apart[1] - apart[0] < 0.45 * (together[1] - together[0])


def test_some_clusters_are_in_two_groups_and_some_in_one() -> None:
    """Against the variance written out: what a cluster moves in both groups is added, then squared."""
    random = np.random.default_rng(8)
    sizes, common = (500, 300), 200
    hard = random.random(common) < 0.6
    parts, moves = [], np.zeros((2, 2000))
    for group, n in enumerate(sizes):
        right = np.r_[hard, random.random(n - common) < 0.5].astype(float)
        names = [f"{'both' if row < common else group} {row}" for row in range(n)]
        parts.append((np.column_stack([right, np.ones(n)]), names))
        at = np.r_[np.arange(common), 500 * (group + 1) + np.arange(n - common)]
        moves[group, at] = (right - right.mean()) / n / 2
    error = 100 * np.sqrt(np.sum(moves.sum(axis=0) ** 2))
    middle = np.mean([FINISH(matrix.sum(axis=0)) for matrix, _ in parts])
    found = macro_interval(parts, FINISH)
    assert found == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.03 * error)
    # The bootstrap, of the same as credits that are none: no metric needs the closed form.
    drawn = macro_interval([(2 * matrix, names) for matrix, names in parts], FINISH, draws=20_000)
    assert drawn == pytest.approx(found, abs=0.1 * error)
    assert error > 1.15 * 100 * np.sqrt(np.sum(moves**2)), "the covariance is no small part of it"


def test_a_small_group_may_be_missing_from_a_draw() -> None:
    """Three clusters of 60 connect it with a large group: no draw is lost, and no rate is of nothing."""
    random = np.random.default_rng(2)
    large, small = errors(60, random), errors(3, random)
    names = [f"sentence {row}" for row in range(60)]
    found = macro_interval([(large, names), (small, names[:3])], ErrorRate().finish)
    assert found is not None
    rates = [float(ErrorRate().finish(part.sum(axis=0))) for part in (large, small)]
    assert found[0] < np.mean(rates) < found[1]


# -- how often intervals hold the truth: `bench/coverage.py` in short


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_intervals_hold_the_truth_19_times_of_20(case: Case) -> None:
    """400 trials have a standard error of 1.1 points."""
    assert coverage(case, 250, 400, case.truth(200_000)) == pytest.approx(95, abs=3.3)


@pytest.mark.slow
def test_the_interval_of_a_mean_over_groups_holds_the_truth_19_times_of_20() -> None:
    assert macro_coverage(250, 400) == pytest.approx(95, abs=3.3)


@pytest.mark.slow
@pytest.mark.parametrize("case", SHARED, ids=lambda case: case.name)
def test_the_mean_of_languages_with_the_same_sentences_holds_the_truth_19_times_of_20(case: Shared) -> None:
    """Languages resampled each by itself would hold it 50 to 80 times of 100."""
    assert shared_coverage(case, 150, 300) == pytest.approx(95, abs=3.8)


@pytest.mark.slow
def test_answers_that_run_on_are_why_a_note_stands_below_300_clips() -> None:
    case = RUN_ON[0]
    truth = case.truth(500_000)
    assert coverage(case, 50, 200, truth) < 75
    assert coverage(case, 500, 200, truth) > 88


def test_a_group_of_a_single_sample_has_no_spread_to_tell() -> None:
    """Its figure without that sample would be one over nothing."""

    def rate(totals: Floats) -> Floats:
        figure: Floats = 100 * totals[..., 0] / totals[..., 1]
        return figure

    several = np.array([[1.0, 3.0], [0.0, 4.0], [1.0, 5.0]])
    assert macro_interval([(several, ["", "", ""]), (np.array([[1.0, 2.0]]), [""])], rate) is None
