"""Data that a function makes of a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from evalkit.api import DataError, DataOptions, Generated, Record


def needles(chance: Random) -> Iterator[Record]:
    """A number hidden in filler, at a place that chance chooses."""
    for length in (10, 100):
        words = ["grass"] * length
        number = chance.randrange(10**6)
        words.insert(chance.randrange(length), f"number={number}")
        yield {"text": " ".join(words), "number": number}


def others(chance: Random) -> Iterator[Record]:
    yield {"number": chance.random() + 1}


def test_the_same_seed_makes_the_same_records_each_time() -> None:
    records = Generated(7, needles).open()
    assert list(records) == list(records) == list(Generated(7, needles).open())
    assert list(records) != list(Generated(8, needles).open())
    assert all(f"number={record['number']}" in record["text"] for record in records)
    assert records.count is None


def test_seed_and_code_are_its_revision() -> None:
    revisions = [Generated(seed, made).open().origin["revision"] for seed, made in (
        (7, needles), (8, needles), (7, others), (7, needles),
    )]  # fmt: skip
    assert revisions[0].startswith("seed 7, own#")
    assert len({*revisions}) == 3
    assert revisions[0] == revisions[3]
    assert Generated(7, needles).open().origin["name"] == "needles"


def test_a_stated_number_is_held() -> None:
    assert Generated(7, needles, count=2).open().count == 2
    for count in (1, 3):
        with pytest.raises(DataError, match=r"needles has .*records"):
            list(Generated(7, needles, count=count).open())


def test_chance_of_its_own_is_refused() -> None:
    def careless(chance: Random) -> Iterator[Record]:
        yield {"number": random.random()}

    with pytest.raises(DataError, match="careless gives different records each time"):
        Generated(7, careless).open()


def test_what_it_cannot_be() -> None:
    def texts(chance: Random) -> Iterator[Any]:
        yield "a text"

    with pytest.raises(DataError, match="texts must yield records, not str"):
        Generated(7, texts).open()
    with pytest.raises(DataError, match="generated data has no revisions"):
        Generated(7, needles).open(DataOptions(revision="main"))
