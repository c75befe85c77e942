"""A synthetic benchmark of any length: sums, with prompts of about a kilobyte."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.api import (
    Accuracy,
    DataOptions,
    Message,
    Prompt,
    Protocol,
    Record,
    Records,
    Sample,
    Task,
    Verdict,
    sample_id,
    task,
)  # fmt: skip
from evalkit.engine.plan import Plan, make_plan
from evalkit.models.base import Model
from evalkit.scoring import final_number, same_number

PREAMBLE = "Read the question, think about it step by step, and end with the number that you found.\n" * 11


@dataclass(frozen=True, slots=True)
class Sums:
    """An endless data set of sums, which are made when they are read."""

    def open(self, options: DataOptions | None = None) -> Records:
        origin = {"kind": "made", "name": "sums", "config": "", "split": "", "revision": "", "where": "here"}
        return Records(origin=origin, count=None, read=_sums)


def _sums() -> Iterator[Record]:
    for a in itertools.count(1):
        b = 7 * a % 997
        yield {"question": f"What is {a} + {b}?", "answer": str(a + b)}


def to_sample(record: Record) -> Sample:
    question = record["question"]
    return Sample(id=sample_id(question), input=question, target=(record["answer"],))


def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    return (Message("user", f"{PREAMBLE}\nQ: {sample.input}\nA:"),)


def score(answer: str, sample: Sample) -> Verdict:
    return Verdict(same_number(answer, sample.target[0]))


def gold(sample: Sample, protocol: Protocol) -> str:
    return f"Adding the two gives it. The answer is {sample.target[0]}."


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    return ("I do not know.",)


@task("sums")
def sums() -> Task:
    """Made sums"""
    return Task(
        data=Sums(),
        sample=to_sample,
        prompt=prompt,
        answer=final_number,
        scorer=score,
        metrics=(Accuracy(),),
        protocols=(Protocol(name="asked", max_tokens=256),),
        gold=gold,
        wrong_responses=wrong_responses,
    )


def made_plan(model: Model, n: int) -> Plan:
    """The plan of a run with `n` sums for `model`."""
    return make_plan(model, [f"{Path(__file__)}:sums"], limit=n)
