"""A made benchmark for tests in which one sample at a time goes wrong, by every way there is.

`rows.json` beside the task file says which row has which fault; writing it again fixes the row, without
the task file being another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

_TEMPLATE = '''"""Sums with faults, made for a test."""

import asyncio
import dataclasses
import json
import sqlite3
import sys
from pathlib import Path

import numpy as np
from evalkit.scoring import final_number
from evalkit.api import (
    Accuracy, Answer, Audio, DataError, Final, Image, MeanCredit, Message, Protocol, Records, Sample, Scored,
    Task, UsageError, Verdict, ask_once, each_draw, task,
)

HERE = Path(__file__).parent
LOOP = []
LOOP.append(LOOP)


def made_rows():
    return json.loads((HERE / "rows.json").read_text("utf-8"))


def fault_of(sample):
    """By the row and not in the sample: fixed, it is the same sample."""
    return made_rows()[int(sample.id[1:])]["fault"]


class Made:
    def open(self, options=None):
        rows = made_rows()
        origin = {"kind": "made", "name": "faulty", "where": "here"}
        return Records(origin, len(rows), lambda: read(rows))


def read(rows):
    for row in rows:
        if row["fault"] == "data cannot be read on":
            raise OSError("the disk hums")
        yield row


def to_sample(row):
    """One plus the row's number."""
    fault, number = row["fault"], row["number"]
    sample = Sample(id=f"q{number}", input=f"1 + {number}", target=(str(1 + number),))
    match fault:
        case "sample raises":
            return row["answer"]
        case "sample stops":
            raise StopIteration
        case "sample exits":
            sys.exit(0)
        case "sample is none":
            return None
        case "sample lacks data":
            raise DataError("half of it is missing")
        case "id is a number":
            return dataclasses.replace(sample, id=number)
        case "input has half a pair":
            return dataclasses.replace(sample, input="\\ud83d")
        case "target is one text":
            return dataclasses.replace(sample, target="3")
        case "target has a number":
            return dataclasses.replace(sample, target=(3,))
        case "meta has a set":
            return dataclasses.replace(sample, meta={"seen": {number}})
        case "clip is gone":
            return dataclasses.replace(sample, media=(Audio.of(HERE / "gone.wav"),))
        case "file is gone":
            (HERE / "gone.txt").read_text()
        case "meta has numpy":
            return dataclasses.replace(sample, meta={"x": np.arange(3), "y": np.float32(0.5)})
    return sample


def prompt(sample, protocol):
    match fault_of(sample):
        case "prompt raises":
            raise KeyError("unit")
        case "prompt exits":
            raise SystemExit(0)
        case "prompt has half a pair":
            return (Message("user", "\\ud83d"),)
        case "prompt is none":
            return None
        case "prompt is a list":
            return [Message("user", f"What is {sample.input}?")]
    return (Message("user", f"What is {sample.input}?"),)


def extract(text, sample):
    if fault_of(sample) == "extractor raises":
        raise IndexError("no such group")
    return final_number(text, sample)


async def solve(context):
    await ask_once(context)
    match fault_of(context.sample):
        case "solver raises a group":
            raise ExceptionGroup("both", [ValueError("first"), ValueError("second")])
        case "solver's own task is cancelled":
            doing = asyncio.create_task(asyncio.sleep(9))
            doing.cancel()
            await doing


def made_of(reading):
    answer = each_draw(reading)
    match fault_of(reading.sample):
        case "reader raises":
            raise KeyError("votes")
        case "reader returns none":
            return None
        case "reader returns no finals":
            return Answer(())
        case "detail has a set":
            answer.detail["seen"] = {1, 2}
        case "detail has bytes":
            answer.detail["raw"] = [b"x"]
        case "detail holds itself":
            answer.detail["loop"] = LOOP
        case "detail has numpy":
            answer.detail.update({
                "array": np.arange(6).reshape(2, 3), "flag": np.bool_(True), "nan": np.float32("nan"),
                "many": [np.int64(7)], "keys": {np.int64(1): (np.float64(0.5), "é")},
            })
        case "detail has odd values":
            answer.detail.update({"big": 2**70, "zero": "a\\0b", "half": "\\ud83d", "n": {1: 2}})
            answer.detail["inf"] = float("inf")
    return answer


async def score(answer, sample):
    right = answer == sample.target[0]
    match fault_of(sample):
        case "scorer raises":
            raise ZeroDivisionError("nothing to divide by")
        case "scorer waits and raises":
            await asyncio.sleep(0)
            raise ValueError("changed\\nmy mind")
        case "scorer exits":
            sys.exit("enough")
        case "scorer is cancelled by itself":
            raise asyncio.CancelledError
        case "scorer's database is gone":
            sqlite3.connect(":memory:").execute("SELECT * FROM lost")
        case "scorer returns a bool":
            return right
        case "correct is a text":
            return Verdict("no")
        case "correct is two":
            return Verdict(np.array([True, False]))
        case "credit is no number":
            return Verdict(right, credit=float("nan"))
        case "credit is over one":
            return Verdict(right, credit=np.float64(1.5))
        case "a package is missing":
            raise UsageError("sums need the package abacus: pip install abacus")
        case "verdict has numpy":
            return Verdict(np.bool_(right), np.str_("as numpy says"), np.float32(1.0))
        case "correct is an array of one":
            return Verdict(np.array(right))
        case "reason has odd values":
            return Verdict(right, "a\\0b \\ud83d")
    return Verdict(right)


class Counted:
    name, unit, higher_is_better, columns, least_draws, variant = "counted", "", True, ("n", "one"), 1, ""

    def statistics(self, sample, scored):
        match fault_of(sample):
            case "metric raises":
                raise OverflowError("too much")
            case "metric is no number":
                return (float("nan"), 1.0)
            case "metric lacks a column":
                return (1.0,)
            case "metric has numpy":
                return np.array([1, 1])
        return (1.0, 1.0)

    def finish(self, totals):
        return totals[..., 0] / totals[..., 1]


def told(what):
    def call(sample, protocol):
        if fault_of(sample) == f"{what} raises":
            raise LookupError(f"no {what}")
        return sample.target[0] if what == "gold" else ("-1", "")
    return call


@task("faulty")
def faulty():
    """Sums with faults"""
    return Task(
        data=Made(),
        sample=to_sample,
        prompt=prompt,
        answer=extract,
        scorer=score,
        metrics=(Accuracy(), Counted()),
        protocols=(Protocol(name="once", solver=solve, reader=made_of),),
        gold=told("gold"),
        wrong_responses=told("wrong_responses"),
    )
'''
COUNT = 5
FAULTS = {
    "sample raises": ("data", "KeyError: 'answer'"),
    "sample stops": ("data", "StopIteration"),
    "sample exits": ("data", "SystemExit: 0"),
    "sample is none": ("data", "sample must return a Sample, not NoneType"),
    "sample lacks data": ("data", "half of it is missing"),
    "id is a number": ("data", "id must be a text, not int"),
    "input has half a pair": ("data", "input has an unpaired surrogate"),
    "target is one text": ("data", "target must be a tuple of texts, not one text"),
    "target has a number": ("data", "target[0] must be a text, not int"),
    "meta has a set": ("data", "meta.seen is of type set, which JSON does not support"),
    "clip is gone": ("media", "gone.wav cannot be read: No such file or directory"),
    "file is gone": ("data", "No such file or directory"),
    "prompt raises": ("data", "prompt: KeyError: 'unit'"),
    "prompt exits": ("data", "prompt: SystemExit: 0"),
    "prompt has half a pair": ("data", "prompt: str is not valid UTF-8: surrogates not allowed"),
    "prompt is none": ("data", "prompt: must be a text, a tuple of messages or a Speech, not NoneType"),
    "prompt is a list": ("data", "prompt: must be a text, a tuple of messages or a Speech, not list"),
    "extractor raises": ("scorer", "IndexError: no such group"),
    "reader raises": ("scorer", "reading: KeyError"),
    "reader returns none": ("scorer", "reader: must return an Answer with finals, not None"),
    "reader returns no finals": ("scorer", "reader: must return an Answer with finals, not Answer("),
    "solver raises a group": ("scorer", "ValueError: first"),
    "solver's own task is cancelled": ("scorer", "CancelledError"),
    "detail has a set": ("scorer", "the answer.detail.seen is of type set, which JSON does not support"),
    "detail has bytes": ("scorer", "the answer.detail.raw[0] is of type bytes"),
    "detail holds itself": ("scorer", "the answer contains itself, or is nested too deeply"),
    "scorer raises": ("scorer", "scorer: ZeroDivisionError: nothing to divide by"),
    "scorer waits and raises": ("scorer", "scorer: ValueError: changed my mind"),
    "scorer exits": ("scorer", "scorer: SystemExit: enough"),
    "scorer is cancelled by itself": ("scorer", "scorer: CancelledError"),
    "scorer's database is gone": ("scorer", "scorer: OperationalError: no such table: lost"),
    "scorer returns a bool": ("scorer", "scorer: must return a Verdict, not bool"),
    "correct is a text": ("scorer", "correct must be True or False, not 'no'"),
    "correct is two": ("scorer", "correct must be True or False, not [True, False]"),
    "credit is no number": ("scorer", "credit must be between 0 and 1, not nan"),
    "credit is over one": ("scorer", "credit must be between 0 and 1, not 1.5"),
    "metric raises": ("scorer", "metric counted: OverflowError: too much"),
    "metric is no number": ("scorer", "for each of the columns n, one, not (nan, 1.0)"),
    "metric lacks a column": ("scorer", "for each of the columns n, one, not (1.0,)"),
}
"""Fault → (boundary, a part of the cause)."""
HARMLESS = (
    "meta has numpy",
    "detail has numpy",
    "detail has odd values",
    "verdict has numpy",
    "correct is an array of one",
    "reason has odd values",
    "metric has numpy",
    "wrong_responses raises",
)
"""What only looks like a fault."""


def rows(folder: Path, faults: Mapping[int, str], count: int = COUNT) -> None:
    """Writes the rows, of which those in `faults` have one."""
    found = [{"number": number, "fault": faults.get(number, "")} for number in range(count)]
    (folder / "rows.json").write_text(json.dumps(found), encoding="utf-8")


def faulty(folder: Path, faults: Mapping[int, str], count: int = COUNT) -> str:
    """Writes the task and its rows, and returns its path, as `-t` takes it."""
    rows(folder, faults, count)
    (folder / "faulty.py").write_text(_TEMPLATE, encoding="utf-8")
    return str(folder / "faulty.py")
