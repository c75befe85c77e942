"""How MMMU's answers are read: what votes together, what has no answer, what is sent to the server."""

from __future__ import annotations

import json
import time

import pytest

from evalkit.samples import Sample
from evalkit.scoring.mmmu import as_response, canonical, mmmu_answer, mmmu_is_right, open_values

METALS = Sample("metals", "Which one rusts?", ("B",), choices=("tin", "iron", "gold leaf", "zinc"))
SPEED = Sample("speed", "How fast?", ("60",))
MEGABYTE = 1_000_000


@pytest.mark.parametrize("response", ["", "  ", "rust", "(E)", "b", "B\n", "iron", "B\nbecause it is iron"])
def test_nothing_is_guessed(response: str) -> None:
    assert mmmu_answer(response, METALS) is None


@pytest.mark.parametrize("response", ["", " \n", ".", "...", "nan"])
def test_an_open_response_with_nothing_in_it_has_no_answer(response: str) -> None:
    assert mmmu_answer(response, SPEED) is None


def test_equal_answers_are_equal_texts() -> None:
    answers = {mmmu_answer(text, SPEED) for text in ["60", "60.00", "60.", " 60\n", "59.999", "60.004"]}
    assert answers == {"[60.0]"}
    assert mmmu_answer("-0.001", SPEED) == mmmu_answer("0.001", SPEED) == "[0.0]"
    assert mmmu_answer("It is 7 or 5 km", SPEED) == '[5.0, 7.0, "7 or 5 km"]'
    assert mmmu_answer("é", SPEED) == '[" é", "é "]'


def test_the_order_of_a_response_is_not_the_answer_s() -> None:
    lines = ["it is tin", "it is iron", "it is 3", "it is 2"]
    assert mmmu_answer("\n".join(lines), SPEED) == mmmu_answer("\n".join(reversed(lines)), SPEED)


def test_one_value_that_fits_is_enough() -> None:
    assert mmmu_is_right(canonical([5.0, 60.0]), SPEED)
    assert mmmu_is_right(canonical(["at sixty"]), Sample("speed", "How fast?", ("50", "sixty")))
    assert not mmmu_is_right(canonical([5.0, "60"]), SPEED)  # a phrase is never compared with a number
    assert not mmmu_is_right(canonical(["sixt"]), Sample("speed", "How fast?", ("sixty",)))


def test_a_letter_is_compared_as_it_is() -> None:
    assert mmmu_is_right("B", METALS)
    assert not mmmu_is_right("A", METALS)
    assert mmmu_is_right("C", Sample("metals", "Which shine?", ("B", "C"), choices=METALS.choices))


@pytest.mark.parametrize(
    ("response", "sent"),
    [
        ("60", "60.00"),
        ("The speed is 60 km/h.", "60 km/h"),
        ("Embryo", "embryo"),
        ("C", "c"),
        ("It is tin\nIt is iron", "answer iron\nanswer tin\n:"),
        ("It is x=2\nIt is 3", "answer 2.00\nanswer 3.00\nanswer x=2\n:"),
        ("1000000000000000019884624838656", "1000000000000000019884624838656.00"),
        ("infinity", "inf"),
    ],
)
def test_what_is_sent_to_the_server_is_read_as_the_answer(response: str, sent: str) -> None:
    answer = mmmu_answer(response, SPEED)
    assert answer is not None
    assert as_response(answer) == sent
    assert canonical(open_values(sent)) == answer


@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "1.",
        "1,000",
        "1.1e",
        "1e+",
        "-",
        ".1",
        "=",
        "is ",
        "(A) ",
        "is 1\n",
        "answer",
        "１",
        " ",
        "\n",
        "a.A ",
    ],
)
@pytest.mark.parametrize("end", ["", *",ex."])
@pytest.mark.slow
def test_a_megabyte_is_read_in_time(piece: str, end: str) -> None:
    text = piece * (MEGABYTE // len(piece)) + end
    start = time.process_time()
    for sample in (METALS, SPEED):
        answer = mmmu_answer(text, sample)
        assert answer is None or not mmmu_is_right(answer, sample) or sample is METALS
    assert time.process_time() - start < 60


def test_the_canonical_text_is_json() -> None:
    values = open_values('It is "tin\\foil" or 3')
    assert json.loads(canonical(values)) == values == [3.0, '"tin\\foil" or 3']
