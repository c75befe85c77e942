"""ANLS: its boundary, its lengths, the nearest reference, and texts that are far too long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scoring.anls import anls, anls_by_the_paper

TEXTS = st.text(alphabet=st.sampled_from("abA \t\nß\u00a0İé5５\ud800"), max_size=12)


def test_the_nearest_reference_counts() -> None:
    assert anls("tall oak", ["short fir", "tall oaks", "tall"]) == 1 - 1 / 9
    assert anls("tall oak", ["short fir"]) == 0
    with pytest.raises(ValueError, match="empty"):
        anls("tall oak", [])


def test_one_half_counts_by_the_script_and_not_by_the_paper() -> None:
    assert anls("abxy", ["abcd"]) == 0.5
    assert anls_by_the_paper("abxy", ["abcd"]) == 0
    assert anls("abxyz", ["abcde"]) == anls_by_the_paper("abxyz", ["abcde"]) == 0
    assert anls("abcxy", ["abcde"]) == anls_by_the_paper("abcxy", ["abcde"]) == 0.6


def test_the_script_measures_the_texts_as_given() -> None:
    assert anls("xy      ", ["ab"]) == 0.75
    assert anls_by_the_paper("xy      ", ["ab"]) == 0
    assert anls("ßa", ["ß"]) == 1 - 1 / 3


@given(TEXTS, TEXTS)
def test_a_similarity_is_nothing_or_from_one_half_to_one(answer: str, reference: str) -> None:
    for rule in (anls, anls_by_the_paper):
        found = rule(answer, [reference])
        assert found == 0 or 0.5 <= found <= 1
        assert found == rule(reference, [answer])
    assert anls(answer, [answer]) == anls_by_the_paper(answer, [answer]) == 1


@pytest.mark.parametrize(
    "answer", ["ab" * 500_000, " " * 1_000_000 + "a", "\ud800\n" * 500_000, "ß" * 1_000_000]
)
def test_a_million_characters_take_no_time(answer: str) -> None:
    start = time.process_time()
    anls(answer, ["a short reference"] * 10)
    anls_by_the_paper(answer, ["a short reference"] * 10)
    assert time.process_time() - start < 60
