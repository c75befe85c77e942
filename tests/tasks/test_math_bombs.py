"""Formulas that are built to be slow: each costs its CPU time alone, and no busy machine decides."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from evalkit.tasks import math

from evalkit.processes.workers import Workers
from evalkit.samples import Sample
from evalkit.scoring import symbolic
from evalkit.session import run

SECONDS = 0.05
BOMBS = (
    "9^{9^{9^{9}}}", "2^{" * 40 + "2" + "}" * 40, "9" + "!" * 9, "123456789^{987654321}",
    r"\frac{1}{9^{9^{9}}}", r"\sqrt{" * 400 + "2" + "}" * 400, r"\frac{1}{x+" * 40 + "1" + "}" * 40,
    r"\int " * 8 + "x^{x}" + " dx" * 8, r"\int_0^{\infty} e^{-x^{x}} \sin(x^{x^x}) dx",
    r"\sum_{k=0}^{99999999} k^{k}", r"\prod_{n=1}^{10^{9}} (n^{2}+1)", r"\frac{d}{dx} " * 30 + "x^{x}",
    "7" * 4999, "9" * 2400 + r"\cdot " + "9" * 2400, "0." + "3" * 4990, "+".join(["x"] * 2400),
    "-" * 4990 + "1", "x" + "^{2" * 600 + "}" * 600, "(" * 2400 + "1" + ")" * 2400,
    "{" * 2400 + "1" + "}" * 2400, "(" + "+".join("abcdefghijklmnop") + ")^{40}",
    r"\binom{10^{9}}{5 \cdot 10^{8}}",
    r"\begin{pmatrix}" + r"\\".join(["&".join(["x"] * 60)] * 35) + r"\end{pmatrix}",
    ",".join(["\\sqrt{2}"] * 600), r"\{" + ",".join(map(str, range(1200))) + r"\}",
    r"\cup ".join(f"({i},{i + 1})" for i in range(400)), r"\sin(\cos(\tan(" * 100 + "x" + ")))" * 100,
    "|" * 2400 + "x" + "|" * 2400, r"\log(" * 400 + "2" + ")" * 400, "(x+1)^{99999}(x-1)^{99999}",
    "x<" * 1500 + "1", "x=" * 2000 + "1", r"\text{" * 800 + "a" + "}" * 800,
    r"\left(" * 500 + "1" + r"\right)" * 500, "x_{" * 800 + "1" + "}" * 800, r"\frac1" * 1200 + "2",
    "1/" * 2400 + "1", r"\sqrt[999999]{9^{99999}}", "+".join(rf"\sqrt{{{n}}}" for n in range(2, 400)),
    "(1+i)^{99999999}",
)  # fmt: skip
TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    workers = Workers(symbolic.prepare, cpu_seconds=SECONDS, count=1)
    monkeypatch.setattr(math, "workers", lambda: workers)
    yield workers
    workers.close()


def _cpu_seconds(process: int) -> float:
    """The CPU time of the children of a process that have ended."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS


@pytest.mark.slow
def test_every_bomb_costs_its_cpu_time_and_is_not_equal(quick: Workers) -> None:
    sample = Sample(id="", input="", target=("7",))

    async def judge() -> list[str]:
        reasons = []
        for bomb in (bomb[: math.LONGEST] for bomb in BOMBS):
            verdicts = [await math.score(bomb, sample), await math.score_by_math_verify(bomb, sample)]
            assert not any(verdict.correct for verdict in verdicts), bomb[:40]
            reasons += [verdict.reason for verdict in verdicts]
        return reasons

    reasons = asyncio.run(judge())
    assert {*reasons} == {"different", f"over {SECONDS:g} s of CPU time"}
    over = sum(reason.startswith("over") for reason in reasons)
    assert over > len(BOMBS) / 2
    (worker,) = quick._pool.all  # the process that prepared is still the first one
    assert _cpu_seconds(worker._process.pid) < (SECONDS + 0.1) * 2 * len(reasons)


def test_the_three_rules_together_have_less_than_two_seconds() -> None:
    assert 3 * math.SECONDS < 2
    assert math.workers()._cpu_seconds == math.SECONDS


@pytest.mark.slow
def test_what_a_busy_machine_did_not_judge_is_judged_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    starved = Workers(symbolic.prepare, cpu_seconds=math.SECONDS, wall_seconds=1e-5, count=1)
    asked = {"model": "fake/gold", "tasks": "math:4-shot", "data": "builtin", "limit": 2}
    asked |= {"output": tmp_path / "r.db"}
    with monkeypatch.context() as patched:
        patched.setattr(math, "workers", lambda: starved)
        first = run(**asked).cells[0]  # type: ignore[arg-type]
    starved.close()
    assert first.outcomes["failed"] == 2
    assert first.outcomes["wrong"] == 0
    again = run(**asked).cells[0]  # type: ignore[arg-type]
    assert (again.value, again.outcomes["failed"]) == (100.0, 0)
