"""MATH's answers beside the official scorers, case by case.

The tables' official columns were taken by running those scorers at the commits they name. The harness's is
taken anew here, from the installed package, so that it cannot come to say what the harness does not do.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks import math

from evalkit.benchmark.task import Verdict
from evalkit.samples import Sample
from evalkit.scoring.hendrycks import same_spelling
from evalkit.scoring.latex import boxed_answer
from evalkit.scoring.minerva import normalize, stated_answer

HERE = Path(__file__).parent
MINERVA: dict[str, Any] = json.loads((HERE / "math_minerva.json").read_text("utf-8"))
HENDRYCKS: dict[str, Any] = json.loads((HERE / "math_hendrycks.json").read_text("utf-8"))
PRM800K: dict[str, Any] = json.loads((HERE / "math_prm800k.json").read_text("utf-8"))
Case = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def no_worker_left() -> Iterator[None]:
    yield
    math.workers().close()


def judged(cases: list[Case]) -> list[Verdict]:
    """The headline judge's verdicts."""

    async def all_of_them() -> list[Verdict]:
        pairs = [(case["answer"], Sample(id="", input="", target=(case["reference"],))) for case in cases]
        return list(await asyncio.gather(*(math.score(answer, sample) for answer, sample in pairs)))

    return asyncio.run(all_of_them())


def rule(verdict: Verdict) -> str | None:
    return verdict.reason if verdict.correct else None


@pytest.fixture(scope="module")
def harness() -> Any:
    return importlib.import_module("lm_eval.tasks.minerva_math.utils")


def test_normalising_is_the_harness_s(harness: Any) -> None:
    cases = MINERVA["normalize"]
    assert [harness.normalize_final_answer(case["answer"]) for case in cases] == [c["harness"] for c in cases]
    assert [normalize(case["answer"]) for case in cases] == [case["harness"] for case in cases]


@pytest.mark.slow
def test_equality_is_the_harness_s_or_the_reason_is_named(harness: Any) -> None:
    cases = MINERVA["equal"]
    theirs = [harness.is_equiv(normalize(case["answer"]), normalize(case["reference"])) for case in cases]
    assert theirs == [case["harness"] for case in cases]
    assert [rule(verdict) for verdict in judged(cases)] == [case["rule"] for case in cases]
    for case in cases:
        assert ((case["rule"] is not None) != case["harness"]) is ("differs" in case), case
        if case.get("differs") == "numeric":
            assert case["rule"] == "numeric"
        if case.get("differs") == "whole":
            assert case["rule"] is None


def test_stated_answers_are_the_harness_s_or_the_reason_is_named(harness: Any) -> None:
    cases = MINERVA["responses"]
    assert [harness.get_unnormalized_answer(c["response"]) for c in cases] == [c["harness"] for c in cases]
    assert [stated_answer(case["response"]) for case in cases] == [case["answer"] for case in cases]
    for case in cases:
        theirs = None if case["harness"] in ("", "[invalidanswer]") else case["harness"]
        assert (case["answer"] != theirs) is ("differs" in case), case


def test_boxes_are_the_harness_s_or_the_reason_is_named(harness: Any) -> None:
    def theirs(text: str) -> str | None:
        found = harness.last_boxed_only_string(text)
        try:
            return None if found is None else str(harness.remove_boxed(found))
        except AssertionError as error:
            return type(error).__name__

    cases = MINERVA["boxes"]
    assert [theirs(case["text"]) for case in cases] == [case["harness"] for case in cases]
    assert [boxed_answer(case["text"]) for case in cases] == [case["answer"] for case in cases]
    for case in cases:
        assert (case["answer"] != case["harness"]) is ("differs" in case), case


@pytest.mark.parametrize("case", HENDRYCKS["cases"], ids=lambda case: f"{case['answer']}|{case['reference']}")
def test_spelling_is_hendrycks(case: Case) -> None:
    assert same_spelling(case["answer"], case["reference"]) is case["equal"]


@pytest.mark.slow
def test_equality_is_prm800k_s_or_the_reason_is_named() -> None:
    cases = PRM800K["cases"]
    assert [rule(verdict) for verdict in judged(cases)] == [case["rule"] for case in cases]
    for case in cases:
        assert ((case["rule"] is not None) != case["prm800k"]) is ("differs" in case), case


def test_the_tables_are_whole() -> None:
    assert len(MINERVA["normalize"]) >= 120
    assert len(MINERVA["equal"]) >= 120
    assert len(MINERVA["responses"]) >= 30
    assert len(MINERVA["boxes"]) >= 25
    assert len(HENDRYCKS["cases"]) >= 100
    assert len(PRM800K["cases"]) >= 90
    for table, column in ((MINERVA["equal"], "harness"), (PRM800K["cases"], "prm800k")):
        assert {case[column] for case in table} == {True, False}
    for table in (MINERVA, PRM800K):
        rows = [case for cases in table.values() if isinstance(cases, list) for case in cases]
        assert {case["differs"] for case in rows if "differs" in case} == table["reasons"].keys()
