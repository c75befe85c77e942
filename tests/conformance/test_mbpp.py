"""MBPP's verdicts beside those of the evaluator that lm-evaluation-harness uses, case by case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evalkit.tasks.mbpp import LIMITS, program, to_sample

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.sandbox import run_programs

TABLE = json.loads(Path(__file__).with_name("mbpp.json").read_text("utf-8"))
SMALL = DataOptions(small_sets=True)


@pytest.mark.slow
def test_the_verdicts_are_the_official_evaluators() -> None:
    tasks = {name: load_task("mbpp", {"subset": name}) for name in ("full", "sanitized")}
    samples = {
        (name, sample.id): sample
        for name, task in tasks.items()
        for sample in map(to_sample, task.data.open(SMALL))
    }
    cases = TABLE["cases"]
    assert {case["passed"] for case in cases} == {True, False}
    programs = [program(case["body"], samples[case["subset"], case["problem"]]) for case in cases]
    outcomes = run_programs(programs, LIMITS)
    assert len(outcomes) == 64
    assert {
        case["name"]: (outcome, case["passed"])
        for case, outcome in zip(cases, outcomes, strict=True)
        if (outcome.status == "passed") != case["passed"]
    } == {}
