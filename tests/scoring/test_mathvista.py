"""MathVista's rules on input that is hostile, and what they promise for any input."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.samples import Sample
from evalkit.scoring.mathvista import prediction, rule_extraction

CHOICES = ("9 leaves", "6 leaves", "16 leaves", "(a)")
QUICK = re.compile(r'The answer is "(.*)"\.')
PIECES = st.sampled_from(
    ['The answer is "', '".', '"', ".", "\n", "\r", "B", " ", "6 leaves", "the answer is"]
)


def sample(kind: str, precision: int | None = None) -> Sample:
    choices = CHOICES if kind == "text" else ()
    return Sample("1", "?", ("x",), choices=choices, meta={"answer_type": kind, "precision": precision})


TEXT, COUNT, LENGTH, PAIR = sample("text"), sample("integer"), sample("float", 1), sample("list")


@given(st.lists(PIECES, max_size=12).map("".join))
def test_the_quoted_answer_is_what_the_authors_expression_finds(text: str) -> None:
    found = QUICK.search(text.strip())
    if text.strip() and text.strip() not in CHOICES:
        assert rule_extraction(text, TEXT, quick=True) == (found[1] if found else None)


@given(st.text() | st.sampled_from("ABCDEabcde").map("({})".format))
def test_every_text_is_some_option(text: str) -> None:
    assert prediction(text, TEXT) in CHOICES


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_a_number_is_read_the_same_twice(text: str) -> None:
    for one in (COUNT, LENGTH):
        found = prediction(text, one)
        if found is not None:
            assert prediction(found, one) == found


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_an_integer_is_its_own_answer(number: int) -> None:
    extraction = rule_extraction(f" {number}\n", COUNT)
    assert extraction is not None
    assert prediction(extraction, COUNT) == str(number)


def test_an_empty_response_is_the_shortest_option() -> None:
    extraction = rule_extraction(" \n", TEXT)
    assert extraction == ""
    assert prediction(extraction, TEXT) == "(a)"


@pytest.mark.parametrize("one", [TEXT, COUNT, LENGTH, PAIR], ids=["text", "integer", "float", "list"])
@pytest.mark.parametrize(
    "piece",
    ['The answer is "', '".', "(", "(a", "(B)", "9", "\u0661", "_", " \n", "\ud800", "e", "\u0301", "B. "],
    ids=ascii,
)
def test_a_megabyte_is_read_quickly(one: Sample, piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    start = time.process_time()
    for response in (text, f'The answer is "{text}".'):
        extraction = rule_extraction(response, one, quick=True)
        prediction(response if extraction is None else extraction, one)
    assert time.process_time() - start < 60
