"""From answers to verdicts, statistics and one word."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.benchmark.task import Verdict, load_task
from evalkit.engine.score import Graded, metrics_for, score
from evalkit.errors import SandboxError, ScorerError
from evalkit.metrics import Accuracy, PassAtK, Scored
from evalkit.samples import Answer, Final, Sample
from tests.made import sums

RIGHT, WRONG, NONE, CUT = Final("2"), Final("3"), Final(None), Final("3", truncated=True)
SAMPLE = Sample("1 + 1", "1 + 1", ("2",))


@pytest.mark.parametrize(
    ("finals", "correct", "expected"),
    [
        ((RIGHT,), (True,), "correct"),
        ((Final("2", truncated=True),), (True,), "correct"),  # cut after a right answer
        ((WRONG,), (False,), "wrong"),
        ((NONE,), (False,), "unparsable"),
        ((CUT,), (False,), "truncated"),
        ((Final(None, truncated=True),), (False,), "truncated"),
        ((RIGHT, WRONG), (True, False), "correct"),  # half of them
        ((RIGHT, WRONG, WRONG), (True, False, False), "wrong"),
        ((RIGHT, NONE, NONE, WRONG, WRONG), (True, False, False, False, False), "unparsable"),
        ((CUT, NONE, WRONG), (False, False, False), "truncated"),
        ((Final(None, refused=True),), (False,), "refused"),
        ((Final(None, refused=True), CUT, NONE), (False, False, False), "refused"),
        ((RIGHT, Final(None, refused=True)), (True, False), "correct"),
    ],
)
def test_one_word_for_a_sample(finals: tuple[Final, ...], correct: tuple[bool, ...], expected: str) -> None:
    assert Graded(finals, tuple(map(Verdict, correct))).outcome == expected


def test_statistics_of_several_answers() -> None:
    scored = Scored(Answer((RIGHT, WRONG, NONE, WRONG)), (True, False, False, False))
    assert Accuracy().statistics(SAMPLE, scored) == (0.25, 1.0)
    assert PassAtK(1).statistics(SAMPLE, scored) == (0.25, 1.0)
    assert PassAtK(4).statistics(SAMPLE, scored) == (1.0, 1.0)
    with pytest.raises(ValueError, match="pass@10 needs at least 10 draws"):
        PassAtK(10).statistics(SAMPLE, scored)
    assert list(Accuracy().finish(np.array([[1.0, 4.0], [3.0, 4.0]]))) == [25.0, 75.0]


def test_pass_at_k_comes_with_enough_draws() -> None:
    task = load_task("humaneval")
    protocol = task.protocol("0-shot")
    assert [m.name for m in metrics_for(task, protocol)] == ["pass@1"]
    many = protocol.override({"draws": "200", "temperature": "0.8"})
    assert [m.name for m in metrics_for(task, many)] == ["pass@1", "pass@10", "pass@100"]


def test_what_is_judged_and_what_is_not(tmp_path: Path) -> None:
    task = load_task(sums(tmp_path))
    found = asyncio.run(score(task, task.metrics, SAMPLE, Answer((RIGHT, WRONG, NONE))))
    assert found.scored.correct == (True, False, False)
    assert found.statistics == pytest.approx((1 / 3, 1.0))
    assert found.as_json() == {
        "finals": [
            {"value": "2", "correct": True, "truncated": False, "reason": ""},
            {"value": "3", "correct": False, "truncated": False, "reason": ""},
            {
                "value": None,
                "correct": False,
                "truncated": False,
                "reason": "no answer found in the response",
            },
        ],
        "variants": {},
        "branches": {},
        "outcomes": {},
        "detail": {},
    }


@pytest.mark.parametrize("detail", [5, ["a"], {"a": object()}, {"a": "\ud800"}, {1: 2}])
def test_a_detail_is_plain_json(tmp_path: Path, detail: Any) -> None:
    task = load_task(sums(tmp_path))
    bad = dataclasses.replace(task, scorer=lambda answer, sample: Verdict(True, detail=detail))
    with pytest.raises(ScorerError, match="scorer: the verdict's detail must be a mapping of plain JSON"):
        asyncio.run(score(bad, bad.metrics, SAMPLE, Answer((RIGHT,))))
    good = dataclasses.replace(task, scorer=lambda answer, sample: Verdict(True, detail={"near": ["x", 1]}))
    found: Any = asyncio.run(score(good, good.metrics, SAMPLE, Answer((RIGHT,)))).as_json()
    assert found["finals"][0]["detail"] == {"near": ["x", 1]}


def test_a_judge_may_wait_and_may_fail(tmp_path: Path) -> None:
    async def slow(answer: str, sample: Sample) -> Verdict:
        await asyncio.sleep(0)
        if answer == "3":
            raise SandboxError("no sandbox")
        return Verdict(True, "slowly")

    task = dataclasses.replace(load_task(sums(tmp_path)), scorer=slow)
    assert asyncio.run(score(task, task.metrics, SAMPLE, Answer((RIGHT,)))).scored.reasons == ("slowly",)
    with pytest.raises(SandboxError, match="no sandbox"):
        asyncio.run(score(task, task.metrics, SAMPLE, Answer((WRONG,))))

    def bad(answer: str, sample: Sample) -> Verdict:
        raise KeyError(answer)

    task = dataclasses.replace(task, scorer=bad)
    with pytest.raises(ScorerError, match="scorer: KeyError: '2'"):
        asyncio.run(score(task, task.metrics, SAMPLE, Answer((RIGHT,))))
