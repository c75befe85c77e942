"""Accuracy with a guess in expectation."""

from __future__ import annotations

import random

import numpy as np
import pytest

from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.base import Scored
from evalkit.metrics.guessing import GuessingAccuracy
from evalkit.samples import Answer, Final, Sample

FOUR = Sample("a", "Which?", ("B",), choices=("1", "2", "3", "4"))
TWO = Sample("b", "Which?", ("B",), choices=("1", "2"))
OPEN = Sample("c", "How many?", ("2",))
METRIC = GuessingAccuracy()


def scored(*values: str | None) -> Scored:
    return Scored(Answer(tuple(Final(value) for value in values)), tuple(value == "B" for value in values))


@pytest.mark.parametrize(
    ("sample", "values", "expected"),
    [
        (FOUR, ["B"], 1.0),
        (FOUR, ["A"], 0.0),
        (FOUR, [None], 0.25),
        (TWO, [None], 0.5),
        (OPEN, [None], 0.0),
        (FOUR, ["B", None, "A", None], 0.375),
    ],
)
def test_a_missing_letter_counts_as_one_of_n(
    sample: Sample, values: list[str | None], expected: float
) -> None:
    assert list(METRIC.statistics(sample, scored(*values))) == [expected, 1.0]


def test_it_is_the_mean_of_many_guesses() -> None:
    rng, rounds = random.Random(7), 4000
    answers = [(FOUR, "B"), (FOUR, None), (FOUR, None), (TWO, None), (OPEN, None), (FOUR, "C")]
    totals = np.sum([METRIC.statistics(sample, scored(value)) for sample, value in answers], axis=0)
    guessed = [
        (value or (rng.choice("ABCD"[: len(sample.choices)]) if sample.choices else None)) == "B"
        for _ in range(rounds)
        for sample, value in answers
    ]
    assert float(METRIC.finish(totals)) == pytest.approx(100 * 2 / 6)
    assert 100 * sum(guessed) / len(guessed) == pytest.approx(100 * 2 / 6, abs=1.0)


def test_it_stands_beside_the_headline_and_is_never_below_it() -> None:
    accuracy = Accuracy()
    assert METRIC.name == "accuracy (random guess)" != accuracy.name
    for values in (["B"], ["A"], [None], ["B", None]):
        ours = METRIC.statistics(FOUR, scored(*values))[0]
        plain = accuracy.statistics(FOUR, scored(*values))[0]
        assert ours >= plain
        assert (ours > plain) is (None in values)
