"""MathVista's rules beside the authors' scripts, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.samples import Sample
from evalkit.scoring.mathvista import prediction, rule_extraction

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "mathvista.json").read_text("utf-8"))


def sample(case: dict[str, Any]) -> Sample:
    asked = TABLE["samples"][case["sample"]]
    return Sample(
        case["sample"],
        "What is it?",
        ("unknown",),
        choices=tuple(asked.get("choices", ())),
        meta={"answer_type": asked["answer_type"], "precision": asked.get("precision")},
    )


def name(case: dict[str, Any]) -> str:
    text: str = case["response"] if "response" in case else case["extraction"]
    return f"{case['sample']}-{text[:40]!r}"


@pytest.mark.parametrize("case", TABLE["responses"], ids=name)
def test_the_rules_read_what_the_authors_script_reads(case: dict[str, Any]) -> None:
    assert rule_extraction(case["response"], sample(case)) == case["official"]
    assert rule_extraction(case["response"], sample(case), quick=True) == case["quick"]


@pytest.mark.parametrize("case", TABLE["extractions"], ids=name)
def test_an_extraction_becomes_what_the_authors_script_makes_of_it(case: dict[str, Any]) -> None:
    assert prediction(case["extraction"], sample(case)) == case["official"]


def test_the_table_is_whole() -> None:
    responses, extractions = TABLE["responses"], TABLE["extractions"]
    assert len({(c["sample"], c["response"]) for c in responses}) == len(responses) >= 100
    assert len({(c["sample"], c["extraction"]) for c in extractions}) == len(extractions) >= 150
    assert {c["sample"] for c in responses + extractions} == set(TABLE["samples"])
    assert any(c["official"] is None and c["quick"] is not None for c in responses)
    assert "ed0d56d" in TABLE["oracle"]
    assert "53d5258" in TABLE["oracle"]
