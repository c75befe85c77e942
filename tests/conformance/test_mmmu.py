"""MMMU's letters, values and verdicts are the official ones, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.samples import Sample
from evalkit.scoring.mmmu import as_response, mmmu_answer, mmmu_is_right, open_values

HERE = Path(__file__).parent
CHOICE: dict[str, Any] = json.loads((HERE / "mmmu_choice.json").read_text("utf-8"))
OPEN: dict[str, Any] = json.loads((HERE / "mmmu_open.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CHOICE["cases"], ids=lambda case: f"{case['choices']} {case['response']!r}")
def test_the_letter_is_the_official_one(case: dict[str, Any]) -> None:
    sample = Sample("metals", "Which one rusts?", ("B",), choices=tuple(CHOICE["options"][case["choices"]]))
    letter = mmmu_answer(case["response"], sample)
    assert letter == case["letter"]
    assert letter is None or mmmu_is_right(letter, sample) is (letter == "B")


@pytest.mark.parametrize("case", OPEN["cases"], ids=lambda case: f"{case['response']!r} {case['reference']}")
def test_the_values_and_the_verdict_are_the_official_ones(case: dict[str, Any]) -> None:
    sample = Sample("metals", "How much of it rusts?", tuple(case["reference"]))
    values = open_values(case["response"])
    assert values == case["values"]
    assert [type(value) for value in values] == [type(value) for value in case["values"]]
    answer = mmmu_answer(case["response"], sample)
    assert (answer is not None and mmmu_is_right(answer, sample)) is case["right"]
    assert (
        answer is None
        or mmmu_is_right(mmmu_answer(as_response(answer), sample) or "[]", sample) is case["right"]
    )


@pytest.mark.parametrize("table", [CHOICE, OPEN], ids=["choice", "open"])
def test_the_tables_are_whole(table: dict[str, Any]) -> None:
    inputs = [
        json.dumps([case["response"], case.get("choices", case.get("reference"))]) for case in table["cases"]
    ]
    assert len(set(inputs)) == len(inputs) >= 80
    assert "bb0b95a945998d91dfef37e969e07d49d1139438" in table["oracle"]
    found = [case.get("letter", case.get("right")) for case in table["cases"]]
    assert {None, "A", "B", "C", "D"} <= set(found) or {True, False} == set(found)
