"""What makes two cells comparable, and how a difference is put into words."""

from __future__ import annotations

import dataclasses
import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.benchmark.signature import Signature, combine, digest
from evalkit.runfile.encoding import question_digest
from evalkit.samples import Image, Sample


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.binary(min_size=16, max_size=16), max_size=8), st.randoms(use_true_random=False))
def test_a_set_has_one_digest_in_any_order(items: list[bytes], order: random.Random) -> None:
    shuffled = items[:]
    order.shuffle(shuffled)
    assert combine(items) == combine(shuffled)


def test_sets_that_differ_have_digests_that_differ() -> None:
    one, two = digest("one"), digest("two")
    changed = bytes([one[0] ^ 1]) + one[1:]
    sets = [[], [one], [two], [changed], [one, one], [one, two], [changed, two], [one, one, two]]
    assert len({combine(items) for items in sets}) == len(sets)


def test_the_sum_is_modulo_2_to_the_128() -> None:
    assert combine([b"\xff" * 16, b"\x00" * 15 + b"\x02"]) == "0" * 31 + "1"


def test_a_digest_knows_values_not_their_order_in_an_object() -> None:
    assert digest({"a": 1, "b": [2.5, None]}) == digest({"b": [2.5, None], "a": 1})
    others = [{"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": True}, {"a": None}, {"A": 1}, [1], "a", ""]
    assert len({digest(value) for value in others}) == len(others)  # type: ignore[arg-type]


def test_a_question_is_what_decides_a_verdict() -> None:
    sample = Sample("1", "Which?", ("A",), ("x", "y"), group="g", meta={"test": "assert 1"})
    same = dataclasses.replace(sample, cluster="c", tags=("t",))
    assert question_digest(same) == question_digest(sample)
    changes: tuple[dict[str, Any], ...] = (
        {"id": "2"},
        {"input": "Which one?"},
        {"media": (Image(b"picture"),)},
        {"target": ("B",)},
        {"choices": ("x", "z")},
        {"group": "h"},
        {"meta": {"test": "assert 2"}},
    )
    others = [dataclasses.replace(sample, **change) for change in changes]
    assert len({question_digest(one) for one in (sample, *others)}) == 8


PARTS: dict[str, Any] = {
    "n": 1319,
    "shots": 8,
    "draws": 32,
    "temperature": 0.7,
    "top_p": 1.0,
    "max_tokens": 1024,
    "stop": ["\nQ:"],
    "api": "chat",
    "solver": "majority_vote@11111111",
    "questions": "0123456789abcdef" * 2,
    "prompts": "fedcba9876543210" * 2,
    "extract": "final_number@22222222",
    "scorer": "judge@33333333",
    "metric": "Accuracy@44444444",
}


def test_the_line() -> None:
    signature = Signature(PARTS, {"evalkit": "0.1.0", "model": "a|b"})
    assert signature.line() == (
        "n:1319|shots:8|draws:32|temperature:0.7|max_tokens:1024|stop:\\nQ:|api:chat"
        "|solver:majority_vote@11111111|questions:01234567|prompts:fedcba98|extract:final_number@22222222|scorer:judge@33333333"
        f"|metric:Accuracy@44444444|evalkit:0.1.0|model:a/b|sig:{signature.short}"
    )
    assert len(signature.short) == 8


def test_the_line_leaves_out_what_is_usual_but_the_short_form_does_not() -> None:
    usual = Signature({"n": 1, "top_p": 1.0, "stop": []})
    assert usual.line() == f"n:1|sig:{usual.short}"
    assert usual.short != Signature({"n": 1}).short
    assert "top_p:0.9|stop:a,b|" in Signature({"top_p": 0.9, "stop": ["a", "b"]}).line()


def test_every_part_and_no_note_is_in_the_short_form() -> None:
    signature = Signature(PARTS)
    assert Signature(dict(reversed(PARTS.items())), {"model": "other"}).short == signature.short
    changed = [Signature({**PARTS, key: "changed"}).short for key in PARTS]
    assert len({signature.short, *changed}) == len(PARTS) + 1


def test_one_changed_digit_of_the_questions_changes_it() -> None:
    questions = PARTS["questions"]
    for place, digit in itertools.product((0, 15, 31), "07f"):
        other = questions[:place] + digit + questions[place + 1 :]
        same = other == questions
        assert (Signature({**PARTS, "questions": other}).short == Signature(PARTS).short) is same


def test_differences_in_words() -> None:
    one = Signature(PARTS, {"model": "one"})
    two = Signature({**PARTS, "shots": 4, "n": 7, "temperature": 0.0, "stop": [], "questions": "0" * 32})
    assert one.differences(one) == []
    assert one.differences(Signature(PARTS, {"model": "two"})) == []
    assert one.differences(two) == [
        "number of samples: 1319 and 7",
        "shots: 8 and 4",
        "temperature: 0.7 and 0",
        "stop: \\nQ: and none",
        "the questions: 01234567 and 00000000",
    ]
    assert two.differences(one)[1] == "shots: 4 and 8"


def test_a_part_that_one_side_lacks() -> None:
    without = {key: value for key, value in PARTS.items() if key != "scorer"}
    assert Signature(PARTS).differences(Signature(without)) == ["scorer: judge@33333333 and None"]
