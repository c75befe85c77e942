"""ANLS and relaxed accuracy beside the official scorers, case by case.

The tables' figures came from running those scorers; `oracle` in each says which.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.scoring.anls import anls, anls_by_the_paper
from evalkit.scoring.relaxed import relaxed_match

HERE = Path(__file__).parent
ANLS: dict[str, Any] = json.loads((HERE / "anls.json").read_text("utf-8"))
RELAXED: dict[str, Any] = json.loads((HERE / "relaxed_accuracy.json").read_text("utf-8"))


@pytest.mark.parametrize("case", ANLS["cases"], ids=lambda case: json.dumps(case)[:100])
def test_anls_is_the_script_s_and_the_paper_s_to_the_last_digit(case: dict[str, Any]) -> None:
    assert anls(case["answer"], case["references"]) == case["rrc"]
    assert anls_by_the_paper(case["answer"], case["references"]) == case["paper"]
    assert (case["rrc"] != case["paper"]) is ("differs" in case)


@pytest.mark.parametrize("case", RELAXED["cases"], ids=lambda case: json.dumps(case)[:100])
def test_relaxed_accuracy_is_pix2struct_s(case: dict[str, Any]) -> None:
    assert relaxed_match(case["answer"], case["reference"]) is case["correct"]


def test_the_tables_are_whole() -> None:
    for table, least in ((ANLS, 100), (RELAXED, 120)):
        inputs = [
            json.dumps([case.get("references", case.get("reference")), case["answer"]])
            for case in table["cases"]
        ]
        assert len(set(inputs)) == len(inputs) >= least
    assert {case["differs"] for case in ANLS["cases"] if "differs" in case} == set(ANLS["reasons"])
    assert {case["correct"] for case in RELAXED["cases"]} == {True, False}
