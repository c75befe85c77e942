"""HumanEval+ and MBPP+: their prompts to the letter, repairs of `test`, the figure of MBPP's own tests."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from evalkit.tasks import evalplus

from evalkit.api import Message
from evalkit.benchmark.task import build

HUMANEVAL, MBPP = build(evalplus.humanevalplus), build(evalplus.mbppplus)
ADD: dict[str, Any] = {
    "task_id": "HumanEval/900",
    "prompt": '\n\ndef add(a: int, b: int) -> int:\n    """Return their sum."""\n',
    "canonical_solution": "    return a + b\n",
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-5, 2) == -3\n",
}
DOUBLE: dict[str, Any] = {
    "task_id": 77,
    "prompt": "Write a function to double a number.",
    "code": "def double(n):\n    return 2 * n\n",
    "source_file": "evalkit",
    "test_imports": [],
    "test_list": [f"assert double({n}) == {2 * n}" for n in range(4)],
    "test": "for n in range(-9, 9):\n    assert double(n) == 2 * n\n",
}
INSTRUCTION = (
    "Please provide a self-contained Python script that solves the following problem in a markdown code "
    "block:\n```\n{}\n```\n"
)


def test_the_prompts_of_humaneval_plus() -> None:
    sample = HUMANEVAL.sample(ADD)
    report, completion, own = HUMANEVAL.protocols
    asked = f"Write the following function:\n```\n{ADD['prompt']}\n```"
    assert HUMANEVAL.prompt(sample, report) == (Message("user", asked),)
    assert HUMANEVAL.prompt(sample, completion) == ADD["prompt"]
    asked = INSTRUCTION.format(ADD["prompt"].strip())
    assert HUMANEVAL.prompt(sample, own) == (Message("user", asked),)
    assert HUMANEVAL.prompt(sample, own.override({"api": "completion"})) == asked


def test_the_prompts_of_mbpp_plus() -> None:
    """evalplus's has the first test in a docstring, MBPP's all of them."""
    shot = dict(DOUBLE, task_id=2, text="Write a python function to double.")
    del shot["test"], shot["prompt"]
    sample = dataclasses.replace(MBPP.sample(DOUBLE), shots=(MBPP.sample(shot),))
    chat, completion = MBPP.protocols
    asked = '"""\nWrite a function to double a number.\nassert double(0) == 0\n"""'
    assert MBPP.prompt(sample, chat) == (Message("user", INSTRUCTION.format(asked)),)
    tests = "\n".join(DOUBLE["test_list"])
    should = "Your code should pass these tests:"
    opening = "You are an expert Python programmer, and here is your task:"
    assert MBPP.prompt(sample, completion) == (
        f"{opening} Write a python function to double. {should}\n\n{tests}\n[BEGIN]\n"
        f"def double(n):\n    return 2 * n\n\n[DONE]\n\n"
        f"{opening} Write a function to double a number. {should}\n\n{tests}\n[BEGIN]\n"
    )


ROOT = "    for inp in inputs:\n        assert _poly(*candidate(*inp), inp) <= 0.0001\n"
UNASSERTED = (
    "def assertion(out, exp, atol):\n    if isinstance(out, bool):\n        exact_match = out == exp\n"
    "    else:\n        exact_match = exp == (out is not None)\n"
)
CLOSE = (
    "import numpy as np\ndef assertion(out, exp, atol):\n    if out != exp:\n"
    "        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n    else:\n        assert True\n"
)


def test_the_root_is_put_into_the_polynomial() -> None:
    found = evalplus.repaired(ROOT)
    assert found == "    for inp in inputs:\n        assert abs(_poly(*inp, candidate(*inp))) <= 0.0001\n"
    assert evalplus.repaired(found) == found


def asserted(test: str, out: object, exp: object) -> bool:
    names: dict[str, Any] = {}
    exec(test, names)
    try:
        names["assertion"](out, exp, 1e-6)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("out", "exp", "passes"),
    [
        (None, False, True),
        (None, True, False),
        ("match", True, True),
        ("", False, False),
        (True, True, True),
        (False, True, False),
    ],
)
def test_what_was_not_asserted_is(out: object, exp: object, passes: bool) -> None:
    assert asserted(UNASSERTED, out, exp)
    assert asserted(evalplus.repaired(UNASSERTED), out, exp) is passes


@pytest.mark.parametrize(
    ("out", "exp", "before", "after"),
    [
        ([1.0 + 1e-9], [1.0], True, True),
        ([], [1.0], True, False),
        (1.0 + 1e-9, [1.0, 1.0], True, False),
        ((1.0 + 1e-9,), [1.0], True, False),
        (1, 1.0 + 1e-9, True, False),
        ([1.0], [1.0], True, True),
        ([2.0], [1.0], False, False),
    ],
)
def test_what_is_close_is_of_one_shape(out: object, exp: object, before: bool, after: bool) -> None:
    assert asserted(CLOSE, out, exp) is before
    assert asserted(evalplus.repaired(CLOSE), out, exp) is after


def test_other_tests_stay_as_they_are() -> None:
    kept = UNASSERTED + "    assert exact_match\n"
    assert evalplus.repaired(kept) == kept
    assert evalplus.repaired(ADD["test"]) == ADD["test"]


def test_the_verdicts() -> None:
    """All of `test` counts; MBPP's own tests are a figure beside it."""
    add, double = HUMANEVAL.sample(ADD), MBPP.sample(DOUBLE)
    base = MBPP.variants[0].scorer
    right, partly = "def double(n):\n    return 2 * n", "def double(n):\n    return 2 * abs(n)"

    async def verdicts() -> list[bool]:
        judged = [evalplus.humaneval_score(body, add) for body in ("    return a + b\n", "    return 3\n")]
        judged += [evalplus.mbpp_score(body, double) for body in (right, partly)]
        judged += [base(body, double) for body in (right, partly)]  # type: ignore[misc]
        return [verdict.correct for verdict in await asyncio.gather(*judged)]

    assert asyncio.run(verdicts()) == [True, False, True, False, True, True]
    assert [metric.name for metric in MBPP.metrics[:2]] == ["pass@1", "pass@1 (base)"]
