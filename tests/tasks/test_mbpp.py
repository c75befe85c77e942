"""MBPP: its prompts to the letter, what its tests use, replies, subsets, what its verdict sees and not."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import Any

import pytest
from evalkit.tasks.mbpp import mbpp, read_program, score, shown, to_sample, used, wrong_responses

from evalkit.api import DataError, Message, Sample, UsageError
from evalkit.benchmark.task import Task, build
from evalkit.data.base import DataOptions
from tests.forgeries import BODIES

SMALL = DataOptions(small_sets=True)
TASK = build(mbpp)
FEW_SHOT, COMPLETION, ZERO_SHOT = TASK.protocols
ROW: dict[str, Any] = {
    "task_id": 77,
    "text": "Write a function to double a number.",
    "code": "def double(n):\r\n  return 2 * n ",
    "test_list": ["assert double(2) == 4", "assert double(0)==0 ", "assert double(-1) == -2"],
    "test_setup_code": "",
    "challenge_test_list": ["assert double(9) == 'never run'"],
}
SHOT = ROW | {"task_id": 2, "text": "Write a python function to halve."}
ASKED = (
    "You are an expert Python programmer, and here is your task: {} Your code should pass these tests:\n\n"
    "assert double(2) == 4\nassert double(0)==0 \nassert double(-1) == -2\n[BEGIN]\n"
)


def sample(**others: Any) -> Sample:
    return to_sample(ROW | others)


def verdicts(*judged: tuple[str, Sample]) -> list[bool]:
    async def all_of_them() -> list[bool]:
        return [(await score(body, one)).correct for body, one in judged]

    return asyncio.run(all_of_them())


def test_the_prompts_to_the_letter() -> None:
    """lm-evaluation-harness 0.4.13, `mbpp.yaml`: carriage returns stay, and a problem ends with [DONE]."""
    asked = dataclasses.replace(sample(), shots=(to_sample(SHOT),) * 5)
    shot = ASKED.format(SHOT["text"]) + "def double(n):\r\n  return 2 * n \n[DONE]\n\n"
    text = shot * 3 + ASKED.format(ROW["text"])
    assert TASK.prompt(asked, COMPLETION) == text
    assert TASK.prompt(asked, FEW_SHOT) == (Message("user", text),)
    assert TASK.prompt(asked, FEW_SHOT.override({"shots": "0"})) == (
        Message("user", ASKED.format(ROW["text"])),
    )
    assert TASK.prompt(asked, ZERO_SHOT) == (
        Message(
            "user",
            "You are an expert Python programmer, and here is your task:\n"
            "Write a function to double a number.\nYour code should pass these tests:\n"
            "assert double(2) == 4\nassert double(0)==0 \nassert double(-1) == -2",
        ),
    )
    assert [protocol.stop for protocol in TASK.protocols] == [("[DONE]",), ("[DONE]",), ()]


def test_problems_2_3_and_4_are_shown_and_no_other() -> None:
    rows = [ROW | {"task_id": number} for number in (1, 4, 3, 2, 10)]
    assert [row["task_id"] for row in shown(rows)] == [2, 3, 4]
    with pytest.raises(DataError, match="the split 'prompt' has no problem 3"):
        list(shown([ROW | {"task_id": 2}, ROW | {"task_id": 4}]))


@pytest.mark.parametrize(
    ("code", "tests", "functions", "classes"),
    [
        ("def f(x): pass", "assert f(1) == 1\nassert f(abs(2)) == [y for y in (1,)]", ["f"], []),
        ("def sum(a, b): pass", "assert sum(1, 2) == max(3, 0)", ["sum"], []),
        ("class Node: pass\ndef f(n): pass", "root = Node()\nassert f(root)", ["f"], ["Node"]),
        ("def f(x): pass", "import math\nassert math.isclose(f(1), g(2))", ["f", "g"], []),
        ("f = lambda x: x", "assert (f(1)) == 1", ["f"], []),
        ("def f(x):\n\tpass\r\nclass A(f): pass", "assert 1 == 1", [], []),
    ],
)
def test_what_tests_use_of_a_program(code: str, tests: str, functions: list[str], classes: list[str]) -> None:
    assert used(code, tests) == (functions, classes)


def test_a_record() -> None:
    found = sample()
    assert (found.id, found.input, found.target) == ("77", ROW["text"], (ROW["code"],))
    assert found.meta["entry_point"] == "double"
    with pytest.raises(ValueError, match="no Python"):
        sample(code="def double(n) return 2 * n")


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("def double(n):\n  return 2 * n\n", "def double(n):\n  return 2 * n\n"),
        ("  return 1\n[DONE]\n\nYou are an expert", "  return 1\n"),
        ("Sure.\n[BEGIN]\nx = 1\n[DONE]", "\nx = 1\n"),
        ("Sure:\n```python\nx = 1\n```\nIt works.", "x = 1\n"),
        ("```\nx = 1\n", "x = 1\n"),
        (" \n ", None),
        ("", None),
        ("[BEGIN]\n[DONE]x = 1", None),
    ],
)
def test_how_a_reply_is_read(text: str, program: str | None) -> None:
    assert read_program(text, sample()) == program


def test_all_tests_count_and_challenges_do_not() -> None:
    right, two_of_three = "def double(n):\n  return 2 * n", "def double(n):\n  return 2 * abs(n)"
    node = "class Node:\n  def __init__(self, n):\n    self.n = n\ndef double(n):\n  return 2 * n.n"
    tree = sample(
        code=node, test_setup_code="root = Node(2)\r\nroot.n = 4\r\n", test_list=["assert double(root) == 8"]
    )
    of_imports = sample(
        test_setup_code=None, test_imports=["import math"], test_list=["assert math.e != double(1)"]
    )
    judged = ((right, sample()), (two_of_three, sample()), (node, tree), (right, tree), (right, of_imports))
    assert verdicts(*judged) == [True, False, True, False, True]


def test_the_cheats_of_every_protocol_fail() -> None:
    one = sample()
    replies = [text for text in wrong_responses(one, FEW_SHOT) if text]
    assert len(replies) >= 8
    assert verdicts(*((text, one) for text in replies)) == [False] * len(replies)


@pytest.mark.slow
@pytest.mark.parametrize(("subset", "ids"), [("full", range(11, 17)), ("sanitized", (12, 15, 17))])
def test_the_subsets_of_the_small_set(subset: str, ids: Any) -> None:
    task: Task = build(mbpp, {"subset": subset})
    assert [task.sample(record).id for record in task.data.open(SMALL)] == [str(one) for one in ids]
    assert task.dev is not None
    assert [task.sample(record).id for record in task.dev.open(SMALL)] == ["2", "3", "4"]


def test_an_unknown_subset() -> None:
    with pytest.raises(UsageError, match="sanitized"):
        mbpp(subset="sanitised")
    assert list(inspect.signature(mbpp).parameters) == ["subset"]


NODES: dict[str, Any] = {
    "code": "class Node:\n  def __init__(self, n):\n    self.n = n\ndef double(node):\n  return 2 * node.n",
    "test_list": ["assert double(Node(2)) == 4"],
}
"""Its tests use a class of the program, whose objects stay with the program."""


@pytest.mark.slow
@pytest.mark.parametrize("others", [{}, NODES], ids=["plain data", "objects"])
def test_no_body_forges_its_verdict(others: dict[str, Any]) -> None:
    one = sample(**others)
    start = one.target[0].partition("def double")[0] if others else ""
    right, *forged = verdicts(
        (one.target[0], one), *((f"{start}def double(n):\n{body}", one) for body in BODIES.values())
    )
    assert right
    assert dict(zip(BODIES, forged, strict=True)) == dict.fromkeys(BODIES, False)
