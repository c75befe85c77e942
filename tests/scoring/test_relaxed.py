"""Relaxed accuracy: five per cent, texts, what may be a year, and texts that are far too long."""

from __future__ import annotations

import time

import pytest

from evalkit.scoring.relaxed import is_year, relaxed_match


@pytest.mark.parametrize(
    ("answer", "right"), [("95", True), ("105", True), ("94.9", False), ("105.1", False)]
)
def test_five_per_cent_of_the_reference(answer: str, right: bool) -> None:
    assert relaxed_match(answer, "100") is right
    assert relaxed_match(f"-{answer}", "-100") is right
    assert not relaxed_match(f"-{answer}", "100")


def test_without_tolerance_the_number_counts_and_not_its_spelling() -> None:
    assert relaxed_match("2010.0", "2010", tolerance=0)
    assert not relaxed_match("2011", "2010", tolerance=0)
    assert relaxed_match("2011", "2010")


def test_a_reference_of_zero_or_of_no_value_is_met_by_its_text_or_by_nothing() -> None:
    assert relaxed_match("0", "0")
    assert not relaxed_match("0.0", "0")
    assert not relaxed_match("nan", "nan")
    assert not relaxed_match("inf", "inf")


@pytest.mark.parametrize("text", ["1000", "1066", "1999", "2000", "2099", "2100"])
def test_a_year(text: str) -> None:
    assert is_year(text)


@pytest.mark.parametrize(
    "text",
    [
        "999",
        "2101",
        "3000",
        "2010.0",
        "2,010",
        "-2010",
        "2010%",
        " 2010",
        "2010\n",
        "２０１０",
        "in 2010",
        "",
    ],
)
def test_no_year(text: str) -> None:
    assert not is_year(text)


@pytest.mark.parametrize(
    "answer", ["9" * 1_000_000, "%" * 1_000_000, " " * 1_000_000, "1_" * 500_000 + "1", "\ud800" * 1_000_000]
)
def test_a_million_characters_take_no_time(answer: str) -> None:
    start = time.process_time()
    assert not relaxed_match(answer, "2010")
    assert not is_year(answer)
    assert time.process_time() - start < 60
