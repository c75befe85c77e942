"""VQA accuracy: the arithmetic, the condition, hostile sizes. The scorers' own figures: tests/conformance."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest

from evalkit.scoring.vqa import textvqa_accuracy, vqa_accuracy, vqa_accuracy_normalised

Credit: TypeAlias = Callable[[str, Sequence[str]], float]
ALL: tuple[Credit, ...] = (vqa_accuracy, vqa_accuracy_normalised, textvqa_accuracy)


@pytest.mark.parametrize("credit", ALL)
def test_the_credit_is_the_mean_over_leaving_one_out(credit: Credit) -> None:
    for people, matches in itertools.product(range(2, 15), range(1, 15)):
        given = ["kite"] * min(matches, people - 1) + ["rope"] * max(people - matches, 1)
        left_out = [given[:i] + given[i + 1 :] for i in range(len(given))]
        mean = sum(min(others.count("kite") / 3, 1) for others in left_out) / len(given)
        assert credit("kite", given) == pytest.approx(mean)
        assert credit("kite", tuple(reversed(given))) == credit("kite", given)


@pytest.mark.parametrize("credit", ALL)
def test_no_reference_is_an_error_and_one_is_never_met(credit: Credit) -> None:
    with pytest.raises(ValueError, match="no references"):
        credit("kite", ())
    assert credit("kite", ("kite",)) == 0
    assert credit("kite", ("kite", "kite")) == pytest.approx(1 / 3)


def test_unanimous_references_are_compared_as_they_stand() -> None:
    unanimous, split = ["yes"] * 10, ["yes"] * 9 + ["no"]
    assert [vqa_accuracy(text, unanimous) for text in ("yes", "\tyes\n", "Yes", "yes.")] == [1, 1, 0, 0]
    assert [vqa_accuracy(text, split) for text in ("yes", "\tyes\n", "Yes", "yes.")] == [1, 1, 1, 1]
    assert vqa_accuracy("Yes", ["yes", " yes", "yes\n"] * 3) == 0
    for credit in (vqa_accuracy_normalised, textvqa_accuracy):
        assert credit("The YES!", unanimous) == 1


def test_every_contraction_of_the_table_is_met_from_any_missing_apostrophe() -> None:
    for whole in ("couldn't've", "he'd've", "y'all'd've", "'ow's'at", "o'clock", "'twas"):
        places = [at for at, sign in enumerate(whole) if sign == "'"]
        for at in places:
            said = whole[:at] + whole[at + 1 :]
            assert vqa_accuracy(said, [whole] * 5 + ["rope"] * 5) == 1, said
    assert vqa_accuracy("shed", ["she'd"] * 5 + ["rope"] * 5) == 0  # none of the table's


@pytest.mark.slow
@pytest.mark.parametrize("credit", ALL)
@pytest.mark.parametrize(
    "unit", [",", "1,", "1,,", ".", ". ", "'", "'s", "a ", "\n", "- ", "<=1.", "\u0301", "İ", "dont ", "٣,"]
)
def test_a_megabyte_takes_no_time(credit: Credit, unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    assert credit(text, ["kite"] * 9 + ["rope"]) == 0
    assert time.process_time() - start < 60
