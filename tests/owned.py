"""A user's task file for tests: it leaves a mark whenever it is imported, and has a metric of its own."""

from __future__ import annotations

from pathlib import Path

SOURCE = '''"""Doubles, made for a test."""

from dataclasses import dataclass
from pathlib import Path

import helper_of_doubles
from evalkit.api import (
    {imports}Message, Protocol, Records, Sample, Task, Verdict, Variant, ask_once, majority_vote, task,
)

with Path({mark!r}).open("a") as mark:
    mark.write("imported ")


class Doubles:
    def open(self, options=None):
        origin = {{"kind": "made", "name": "doubles", "where": "here"}}
        return Records(origin, {count}, lambda: iter({{"n": n}} for n in range({count})))


def read(text, sample):
    return text.strip() or None


def strictly(text, sample):
    return text if text == text.strip() else None


@dataclass(frozen=True)
class Mine{base}:
    name: str = "mine"
    unit: str = "%"
    higher_is_better: bool = True
    columns: tuple = ("right", "all")
    least_draws: int = 1
    variant: str = ""

    def statistics(self, sample, scored):
        return (float(scored.correct[0]), 1.0)
{finish}

@task("doubles")
def doubles(*, factor: str = "2"):
    """Doubles"""

    def score(answer, sample):
        return Verdict(helper_of_doubles.same(answer, str(int(factor) * int(sample.input))))

    return Task(
        data=Doubles(),
        sample=lambda record: Sample(str(record["n"]), str(record["n"]), (str(2 * record["n"]),)),
        prompt=lambda sample, protocol: (Message("user", f"Twice {{sample.input}}?"),),
        answer=read,
        scorer=score,
        metrics=(Mine(),),
        variants=(Variant(name="strictly", extract=strictly),),
        protocols=(
            Protocol(name="once", solver=ask_once),
            Protocol(name="maj", reader=majority_vote, draws=3, temperature=1.0),
        ),
        gold=lambda sample, protocol: sample.target[0] if int(sample.id) % 4 else f" {{sample.target[0]}} ",
        wrong_responses=lambda sample, protocol: ("none",),
    )
'''
FINISH = """
    def finish(self, totals):
        return 100.0 * totals[..., 0] / totals[..., 1]
"""
HELPER = "def same(answer, reference):\n    return answer == reference\n"


def doubles(folder: Path, *, ratio: bool = False, count: int = 12) -> Path:
    """Writes `doubles.py` and its helper to `folder`. `ratio`: its metric is a `Ratio`."""
    (folder / "helper_of_doubles.py").write_text(HELPER, "utf-8")
    path = folder / "doubles.py"
    text = SOURCE.format(
        mark=str(folder / "mark"),
        imports="Ratio, " if ratio else "",
        base="(Ratio)" if ratio else "",
        finish="" if ratio else FINISH,
        count=count,
    )
    path.write_text(text, "utf-8")
    return path
