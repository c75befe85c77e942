"""HumanEval+'s and MBPP+'s verdicts beside those of evalplus's own evaluator, case by case."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks.evalplus import humaneval_score, mbpp_score

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions

TABLE = json.loads(Path(__file__).with_name("evalplus.json").read_text("utf-8"))
SMALL = DataOptions(small_sets=True)
SCORERS = {"humanevalplus": humaneval_score, "mbppplus": mbpp_score}


@pytest.mark.slow
def test_the_verdicts_are_evalplus_s() -> None:
    tasks = {name: load_task(name) for name in SCORERS}
    samples = {
        (name, sample.id): sample
        for name, task in tasks.items()
        for sample in map(task.sample, task.data.open(SMALL))
    }

    async def verdict(case: dict[str, Any]) -> bool:
        found = await SCORERS[case["set"]](case["body"], samples[case["set"], case["problem"]])
        return found.correct

    async def verdicts() -> list[bool]:
        return list(await asyncio.gather(*map(verdict, TABLE["cases"])))

    found = asyncio.run(verdicts())
    assert len(found) == len(TABLE["cases"]) > 50
    assert {case["passed"] for case in TABLE["cases"]} == {True, False}
    assert [
        (case["set"], case["problem"], case["name"])
        for case, passed in zip(TABLE["cases"], found, strict=True)
        if passed != case["passed"]
    ] == []
