"""VQA accuracy beside the official scorers, case by case: the table holds the figures that they gave."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit.scoring.vqa import textvqa_accuracy, vqa_accuracy, vqa_accuracy_normalised

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "vqa_accuracy.json").read_text("utf-8"))
CASES: list[dict[str, Any]] = TABLE["cases"]
OURS: dict[str, Callable[[str, Sequence[str]], float]] = {
    "vqa": vqa_accuracy,
    "lmms_vqav2": vqa_accuracy_normalised,
    "textvqa": textvqa_accuracy,
}


def references(case: dict[str, Any]) -> list[str]:
    return [text for text, people in case["references"] for _ in range(people)]


@pytest.mark.parametrize("oracle", OURS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['answer']!r:.30} {case['references']!r:.40}")
def test_the_credit_is_the_official_one_or_the_reason_is_named(case: dict[str, Any], oracle: str) -> None:
    expected = case.get("ours", {}).get(oracle, case[oracle])
    assert OURS[oracle](case["answer"], references(case)) == pytest.approx(expected, abs=1e-9)


def test_the_table_is_whole() -> None:
    inputs = [json.dumps((case["answer"], case["references"])) for case in CASES]
    assert len(set(inputs)) == len(inputs) >= 240
    assert TABLE["oracle"].keys() == OURS.keys()
    for name in OURS:
        figures = [case[name] for case in CASES]
        assert {0.0, 0.3, 0.6, 0.9, 1.0} <= set(figures)
        assert sum(figure == 0 for figure in figures) >= 60


def test_every_difference_has_its_reason() -> None:
    differ = [case for case in CASES if "ours" in case or "differs" in case]
    assert {case["differs"] for case in differ} == set(TABLE["reasons"])
    assert all(case["ours"][name] != case[name] for case in differ for name in case["ours"])
    assert {case["differs"] for case in differ if "vqa" in case["ours"]} == {"Unicode"}
    assert not any("textvqa" in case["ours"] for case in differ)
