"""The small sets of MMLU and MATH that come with evalkit."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from evalkit.data import DataOptions, Hub, Record

SMALL = DataOptions(small_sets=True)
COLUMNS = ("question", "subject", "choices", "answer")
SUBJECTS = ("astronomy", "high_school_mathematics", "world_religions")
MATH = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)


def mmlu(split: str) -> list[Record]:
    return list(Hub("cais/mmlu", "all", split, "0" * 40, COLUMNS).open(SMALL))


@pytest.mark.parametrize(("split", "each"), [("dev", 5), ("validation", 4), ("test", 6)])
def test_mmlu_has_its_splits_of_three_subjects(split: str, each: int) -> None:
    records = mmlu(split)
    assert Counter(record["subject"] for record in records) == dict.fromkeys(SUBJECTS, each)
    for record in records:
        assert list(record) == list(COLUMNS)
        assert type(record["choices"]) is list
        assert [type(choice) for choice in record["choices"]] == [str] * 4
        assert len(set(record["choices"])) == 4
        assert type(record["answer"]) is int
    answers = Counter(record["answer"] for record in records)
    assert set(answers) == {0, 1, 2, 3}, "every letter is right somewhere"
    assert max(answers.values()) <= len(records) * 0.4, "no letter is right too often"


def test_no_question_is_in_two_splits() -> None:
    questions = [record["question"] for split in ("dev", "validation", "test") for record in mmlu(split)]
    assert len(set(questions)) == len(questions) == 45


def test_math_has_two_problems_of_each_subject() -> None:
    hub = Hub("EleutherAI/hendrycks_math", MATH, "test", "0" * 40, ("problem", "level", "type", "solution"))
    records = hub.open(SMALL)
    rows = list(records)
    assert records.count == len(rows) == 14
    assert {row["level"] for row in rows} == {f"Level {k}" for k in range(1, 6)}
    assert [row["type"].lower().replace("&", "and").replace(" ", "_") for row in rows] == [
        config for config in MATH for _ in range(2)
    ]
    for row in rows:
        assert len(re.findall(r"\\boxed\{", row["solution"])) == 1
        assert row["problem"].count("$") % 2 == row["problem"].count(r"\$") % 2
    assert len({row["problem"] for row in rows}) == 14


def test_one_config_of_math_is_a_part_of_it() -> None:
    (first, second) = Hub("EleutherAI/hendrycks_math", "geometry", "test", "0" * 40).open(SMALL)
    assert first["type"] == second["type"] == "Geometry"
