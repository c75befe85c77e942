"""Shards for tests, and a made benchmark with what is hard about them.

It has equal ids, equal prompts, groups, records that give no sample, and a metric of the whole corpus.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import evalkit
from evalkit.models.base import Model
from evalkit.report.build import render_report
from evalkit.runfile.store import Store

_SOURCE = '''"""Sums of digits, made for a test."""

from dataclasses import dataclass

from evalkit.api import (
    Accuracy, Macro, Message, Protocol, Records, Sample, Task, Verdict, majority_vote, ask_once, task,
)
from evalkit.scoring import final_number, same_number

ROWS = [dict(id=f"q{{i % {ids}}}", n=i % {prompts}, group="abc"[i % 3]) for i in range({count})]


class Rows:
    def open(self, options=None):
        origin = {{"kind": "made", "name": "digits", "where": "{where}"}}
        return Records(origin, len(ROWS), lambda: iter(ROWS))


def to_sample(row):
    if row["n"] == {broken}:
        raise ValueError("this record is broken")
    n = row["n"]
    return Sample(
        id=row["id"], input=f"{{n}} + 1", target=(str(n + 1),), group=row["group"], cluster=row["group"],
        tags=("small",) if n < 5 else (),
    )


@dataclass(frozen=True)
class Rarity:
    """How rare each right answer is among all samples: it needs all of them."""

    name: str = "rarity"
    unit: str = "%"
    higher_is_better: bool = True
    columns: tuple = ("rare", "all")
    least_draws: int = 1
    variant: str = ""

    def prepare(self, samples):
        found = [sample.target[0] for sample in samples]
        return {{target: found.count(target) for target in found}}

    def statistics(self, sample, scored, corpus):
        return (scored.correct[0] / corpus[sample.target[0]], 1.0)

    def finish(self, totals):
        return 100 * totals[..., 0] / totals[..., 1]


@task("digits")
def digits():
    """Digits"""
    return Task(
        data=Rows(),
        sample=to_sample,
        prompt=lambda sample, protocol: (Message("user", f"What is {{sample.input}}?"),),
        answer=final_number,
        scorer=lambda answer, sample: Verdict(same_number(answer, sample.target[0])),
        metrics=(Macro(Accuracy()), Accuracy(), Rarity()),
        protocols=(
            Protocol(name="once", solver=ask_once),
            Protocol(name="maj", reader=majority_vote, draws=3, temperature=0.7),
        ),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("-1", ""),
    )
'''


def digits(
    folder: Path, count: int = 30, *, ids: int = 27, prompts: int = 20, broken: int = 7, where: str = "here"
) -> str:
    """Writes the task file and returns its path, as `-t` takes it.

    `ids`, `prompts`: how many different ones there are. `broken`: the number whose records give no sample.
    """
    path = folder / "digits.py"
    text = _SOURCE.format(count=count, ids=ids, prompts=prompts, broken=broken, where=where)
    path.write_text(text, encoding="utf-8")
    return str(path)


def documents(path: Path, task: str = "") -> tuple[str, str]:
    """The table of a run file as JSON and for the terminal."""
    files = (Path(task.partition(":")[0]),) if task else ()
    with Store.open(path, files) as store:
        return render_report([store], "json"), render_report([store], "terminal", width=200)


def sharded(folder: Path, of: int, model: str | Model, tasks: str, **settings: Any) -> list[Path]:
    paths = [folder / f"{index}-{of}.db" for index in range(1, of + 1)]
    for index, path in enumerate(paths, 1):
        evalkit.run(model, tasks, output=path, shard=f"{index}/{of}", **settings)
    return paths


def ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [name for (name,) in db.execute("SELECT id FROM sample ORDER BY cell, position")]
