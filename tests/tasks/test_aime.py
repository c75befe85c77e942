"""AIME: its papers and references, and what it says of records that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from evalkit.tasks.aime import to_sample

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.engine.check import check
from evalkit.samples import Message

ROW: dict[str, Any] = {
    "problem": "Find $7 \\cdot 3$.", "answer": "021", "url": "https://x/2023_AIME_II_Problems/Problem_4",
}  # fmt: skip


def test_a_record_is_a_problem_of_a_paper() -> None:
    sample = to_sample(ROW)
    assert (sample.target, sample.group, sample.tags) == (("21",), "2023", ("2023 II",))
    assert to_sample({**ROW, "answer": 0}).target == ("0",)
    assert to_sample({**ROW, "answer": "999"}).target == ("999",)
    for answer, says in (("1000", "from 0 to 999"), ("-1", "whole number"), ("2.5", "whole"), ("x", "whole")):
        with pytest.raises(ValueError, match=says):
            to_sample({**ROW, "answer": answer})
    with pytest.raises(ValueError, match="no paper of the AIME in the URL 'https://x/2023_AMC_12A_Problems'"):
        to_sample({**ROW, "url": "https://x/2023_AMC_12A_Problems"})


def test_the_prompt_asks_for_a_box() -> None:
    task = load_task("aime")
    asked = "Reason step by step, then give the final answer, and nothing else, in \\boxed{}."
    for protocol in task.protocols:
        assert task.prompt(to_sample(ROW), protocol) == (Message("user", f"{ROW['problem']}\n\n{asked}"),)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aime", "math-amc", "lambada", "quality"])
def test_references_score_all_and_wrong_responses_nothing(name: str) -> None:
    results = list(check(name, DataOptions(small_sets=True)))
    assert [(r.gold, r.wrong) for r in results] == [(100.0, 0.0)] * len(load_task(name).protocols)
    assert all(result.passed for result in results)
