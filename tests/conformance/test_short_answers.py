"""Short answers beside the official scorers, case by case: SQuAD, NQ-open, the harness's TyDi QA, and DROP.

The tables' figures came from running those scorers; `oracle` in each says which.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.scoring.drop import drop_scores
from evalkit.scoring.squad import (
    nq_open_match,
    squad_exact_match,
    squad_f1,
    tydiqa_exact_match,
    tydiqa_f1,
)

HERE = Path(__file__).parent
SQUAD: dict[str, Any] = json.loads((HERE / "squad.json").read_text("utf-8"))
DROP: dict[str, Any] = json.loads((HERE / "drop.json").read_text("utf-8"))


def test_exact_match_and_f1_are_squad_s_to_the_last_digit() -> None:
    for case in SQUAD["cases"]:
        pair = case["answer"], case["references"]
        assert (squad_exact_match(*pair), squad_f1(*pair)) == (case["em"], case["f1"]), case


def test_the_match_is_nq_open_s() -> None:
    for case in SQUAD["cases"]:
        assert nq_open_match(case["answer"], case["references"]) is case["nq"], case
    assert any(case["nq"] != case["em"] for case in SQUAD["cases"])


@pytest.mark.parametrize("language", ["en", "ar", "ko"])
def test_the_harness_s_match_and_f1_by_language(language: str) -> None:
    apart = 0
    for case in SQUAD["cases"]:
        given = case["answer"], case["references"], language
        found = [tydiqa_exact_match(*given), tydiqa_f1(*given)]
        assert found == case["harness"][language], case
        apart += found != [case["em"], case["f1"]]
    assert apart > 5


def test_drop_s_exact_match_and_f1() -> None:
    for case in DROP["cases"]:
        assert drop_scores(case["spans"], case["references"]) == (case["em"], case["f1"]), case


def test_the_tables_are_whole() -> None:
    for table, key, least in ((SQUAD, "answer", 130), (DROP, "spans", 140)):
        inputs = [json.dumps([case[key], case["references"]]) for case in table["cases"]]
        assert len(set(inputs)) == len(inputs) >= least
    assert {case["em"] for case in SQUAD["cases"]} == {True, False}
    assert len({case["f1"] for case in DROP["cases"]}) > 20
