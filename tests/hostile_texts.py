"""Texts that are built to be slow to read, and the calls that read them: every declared rule of evalkit."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from evalkit.benchmark.readable import is_readable
from evalkit.metrics.base import Scored
from evalkit.samples import Final
from tools.golden.calls import Call
from tools.golden.cases import generated
from tools.golden.found import identities
from tools.golden.parts import SLOW

APART = {*SLOW, "latex_same_number", "math_verify_equal", "sympy_equal"}
"""Rules that run in processes of their own, with limits (`tests/tasks/test_math_bombs.py`)."""
CASES = 1
"""Golden cases of each rule that are tried with hostile texts."""
REPEATED = (
    "\ufdfa", "a\u0301\u0323\u0327", "½", "1½", "1\ufe0f\u20e3", "答案", "👉 ", "İ", "\u200d", "１，",
    "9", "1,", "1.", "1,000,", "1.000.", "111 ", "1/", "- ", "1e9", "10²³", "2^", "1×10^9 ", "$1", "1+",
    "one hundred ", " ", "\n", "\n ", "\t", "a", "a ", "A ", "A\n", "(A) ", "a's ", "the ", ".", ":",
    "?\n", "\\", "$", "$ ", "|", "#\n", "_", "*", "**a", "`", "```\n", "```py\nx\n", "'", '"', "“", "<",
    "&#", "[", "{", "(", "{[(", "[1]", "answer is ", "The answer is\n", "answer is :\n", "Answer: ",
    "Option A\n", "not ", "so ", "x=", "http://a", "\\boxed{", "\\boxed ", "\\boxed{}", "\\frac{",
    "\\frac{1}{2}", "\\sqrt[", "\\text{", "\\text{1", "\\left(", "\\[", "<think>", "</think>",
    "<answer>", "<b>", "<|", "<|channel|>final<|message|>", "def f():\n", "    x = 1\n", "if x:\n",
    "'''", "00:00:00.000 --> ", "WEBVTT\n\n", "NOTE\nNOTE a\n", "Speaker 1: ", "language a, ", "[00:00]",
    "Final Answer: The final answer is ",
)  # fmt: skip
AROUND = (
    ("The answer is", " ", "x"), ("answer", "\n", "x"), ("", " ", "x"), ("(", "(", ")"),
    ("\\boxed{", "{", "}"), ("9", "9", ".5"), ("```python\n", "x = 1\n", "\n```"), ('"', "a", '"'),
    ("<answer>", "a", "</answer>"), ("**", "a ", "**"), ('[{"text":"a"}', ',{"text":"a"}', "]"),
    ("", "[", "]"), ("x=", "1+", "1"), ("<think>", "a\n", "</think>5"),
    ("Here is the ", "english ", "x"), ("language: ", "a", "\n\n"),
)  # fmt: skip
"""(start, what is repeated, end)."""


def texts(length: int) -> Iterator[str]:
    """Yields hostile texts of about `length` characters, as far as responses that are read may have them."""
    for start, middle, end in (*(("", unit, "") for unit in REPEATED), *AROUND):
        whole = start + middle * (length // len(middle)) + end
        yield whole if is_readable(whole) else middle * (length // 20)
    half = length // 2
    yield from (opener * half + closer * half for opener, closer in ("{}", "[]", "()"))
    yield " ".join(map(str, range(length // 6)))


def readings() -> Iterator[tuple[str, Callable[[str], object]]]:
    """Yields (identity, a function of a text) for every declared rule that reads or measures a text."""
    for name in sorted({*identities()} - APART):
        for case in itertools.islice(generated(name), CASES):
            call = case.calls[0]
            named = getattr(call.function, "__name__", "")
            if not named.startswith("_") and _with(call, "x") is not None:
                yield name, lambda text, call=call: _made(call, text)  # type: ignore[misc]


def _made(call: Call, text: str) -> object:
    args = _with(call, text)
    assert args is not None
    return call.function(*args, **call.named)


def _with(call: Call, text: str) -> list[Any] | None:
    """The call's arguments with `text` for the first text, list of texts or answer; None if it has none."""
    args: list[Any] = [*call.args]
    for at, given in enumerate(args):
        match given:
            case str():
                args[at] = text
            case [str(), *_]:
                args[at] = text.split() or [text]
            case Scored():
                finals = (Final(text),) * len(given.answer.finals)
                args[at] = dataclasses.replace(given, answer=dataclasses.replace(given.answer, finals=finals))
            case _:
                continue
        return args
    return None
