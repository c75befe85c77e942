"""Equality as values, also of expressions that were written to hang, in worker processes as in a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from evalkit.processes.workers import OverLimit, Workers
from evalkit.scoring import symbolic
from evalkit.scoring.symbolic import (
    TOLERANCE,
    prepare,
    same_by_math_verify,
    same_by_sympy,
    same_number,
)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    pool = Workers(prepare, cpu_seconds=2.0, memory_megabytes=1024)
    yield pool
    pool.close()


ENDLESS = {
    "a tower of powers": r"9^{9^{9^{9}}}",
    "a factorial": r"99999999999!",
    "factorials of factorials": r"((99999!)!)!",
    "two thousand terms": "x+" * 2000 + "1",
}
HARMLESS = {
    "ten thousand braces": "{" * 10_000 + "7" + "}" * 10_000,
    "a thousand fractions": r"\frac{" * 1000 + "1" + "}{2}" * 1000,
    "open braces": "{" * 10_000,
    "roots in roots": r"\sqrt{" * 400 + "2" + "}" * 400,
    "Python": '__import__("os").system("false")',
    "Python's power": "9**9**9**9",
    "a NUL": "1\x00",
    "half a pair": "\ud800",
    "nothing": "",
    "a backslash": "\\",
}


@pytest.mark.slow
@pytest.mark.parametrize("rule", [same_by_sympy, same_number, same_by_math_verify])
def test_hostile_expressions_cost_their_own_sample(
    workers: Workers, rule: Callable[[str, str], object]
) -> None:
    async def judge_all() -> None:
        hostile = [*ENDLESS.values(), *HARMLESS.values()]
        calls = [workers.call(rule, text, "7") for text in hostile]
        control = [workers.call(rule, r"\frac{14}{2}", "7") for _ in range(8)]
        found = await asyncio.gather(*calls, *control, return_exceptions=True)
        assert found[len(hostile) :] == ["same" if rule is same_by_sympy else True] * 8
        for text, verdict in zip(hostile, found, strict=False):
            limited = isinstance(verdict, OverLimit) and (text in ENDLESS.values() or len(text) > 999)
            seven = text == HARMLESS["ten thousand braces"] and verdict in (True, "same")
            assert limited or seven or verdict in ("unparsed", "different", False), (text[:40], verdict)
        if rule is same_by_sympy:
            assert sum(isinstance(verdict, OverLimit) for verdict in found) >= 2

    asyncio.run(judge_all())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("", "", "unparsed"),
        (".", ".", "unparsed"),
        ("0.5", r"\frac{1}{2}", "same"),
        (r"\frac12", r"\frac{1}{2}", "same"),
        ("(x-1)(x+1)", "x^2-1", "same"),
        (r"\,12\,", "12", "same"),
        ("12.", "12", "same"),
        (".5", "0.5", "same"),
        ("-.5", r"-\frac{1}{2}", "same"),
        ("1.5.5", "1.5", "unparsed"),
        ("25_6", "25_{6}", "same"),
        ("25_6", "25_7", "unparsed"),
        ("1,3", "1,-2", "unparsed"),
        ("1,3", "1", "unparsed"),
        ("3}", "3", "same"),
        ("3}}", "3", "unparsed"),
        ("1,0.5", r"1,\frac{1}{2}", "same"),
        ("1,0.5,(1,2)", r"1,\frac{1}{2},(1,2)", "same"),
        ("1,0.5", r"1,\frac{1}{3}", "unparsed"),
        ("1,0.5", r"\frac{1}{2},1", "unparsed"),
        ("(1,0.5)", r"(1,\frac{1}{2})", "unparsed"),
        (",", ",,", "unparsed"),
        ("x<5", "x<5", "same"),
        ("x<5", "x<6", "unparsed"),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", "1", "unparsed"),
        ("5", "6", "different"),
        (r"\infty", r"\infty+1", "different"),
    ],
)
def test_sympy(answer: str, reference: str, same: str) -> None:
    assert same_by_sympy(answer, reference) == same


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("0.3333", r"\frac{1}{3}", True),
        ("0.333", r"\frac{1}{3}", False),
        ("0.0001", "0", True),
        ("0.0002", "0", False),
        ("0", "-0.0001", True),
        ("10000", "10001", True),
        ("10000", "10002", False),
        ("28121600", "28121601", True),
        (r"2^{2005}", r"2^{2006}", False),
        (r"2^{2005}", r"2^{2005}+1000", True),
        (r"\infty", r"10^{400}", False),
        (r"\infty", r"-\infty", False),
        (r"\infty", r"+\infty", True),
        (r"\frac{1}{0}", r"\frac{2}{0}", False),
        (r"\frac{0}{0}", r"\frac{0}{0}", False),
        ("3.1416", r"\pi", True),
        ("2.71828", "e", True),
        ("i", r"\sqrt{-1}", True),
        ("3+4i", "3.00001+4i", True),
        ("3+4i", "3-4i", False),
        ("x", "x", False),
        ("x+1", "x+1.00001", False),
        ("x<5", "x<5", False),
        ("1<2", "1<2", False),
        ("Tuesday", "Tuesday", False),
        ("", "", False),
        ("", "0", False),
    ],
)
def test_numbers(answer: str, reference: str, same: bool) -> None:
    assert same_number(answer, reference) is same
    assert same_number(reference, answer) is same


def test_the_tolerance_is_the_report_s() -> None:
    assert TOLERANCE == 0.0001


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        (r"\frac12", "0.5", True),
        ("(1,2)", r"\left( 1, 2 \right)", True),
        (r"\{2,1\}", r"\{1,2\}", True),
        ("(1,2)", "(2,1)", False),
        (r"\text{Tuesday}", r"\text{Tuesday}", True),
        ("7", "8", False),
        ("", "7", False),
        ("$", "7", False),
        ("}", "7", False),
    ],
)
def test_math_verify(answer: str, reference: str, same: bool) -> None:
    assert same_by_math_verify(answer, reference) is same


def _full(*arguments: object, **named: object) -> object:
    raise MemoryError


def _stuck(*arguments: object, **named: object) -> object:
    raise RecursionError


def test_memory_that_is_used_up_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker makes it a call over its limit."""
    with monkeypatch.context() as simplifying:
        simplifying.setattr("sympy.simplify", _full)
        with pytest.raises(MemoryError):
            same_by_sympy("x + 1", "x + 2")
    monkeypatch.setattr(symbolic, "parse", _full)
    with pytest.raises(MemoryError):
        same_by_sympy("x + 1", "x + 2")
    with pytest.raises(MemoryError):
        same_number("1", "2")


def test_what_cannot_be_simplified_is_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sympy.simplify", _stuck)
    assert same_by_sympy("x + 1", "1 + x + 0") == "different"
