"""A made benchmark for tests that edit its data: the questions are read from `rows.json` beside the task file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

_TASK = '''"""Questions from a list."""

import json
from pathlib import Path

from evalkit.answers import final_number, same_number
from evalkit.api import Accuracy, MeanCredit, Message, Protocol, Records, Sample, Task, Verdict, ask_once, task

ROWS = Path(__file__).with_name("rows.json")


class Listed:
    def open(self, options=None):
        rows = json.loads(ROWS.read_text())
        return Records({{"kind": "made", "name": "{called}", "where": "here"}}, len(rows), lambda: iter(rows))


def to_sample(record):
    return Sample(
        id=record["id"],
        input=record["ask"],
        target=(record["answer"],),
        cluster=record.get("cluster", ""),
        group=record.get("group", ""),
    )


def judge(answer, sample):
    if sample.input in {failing!r}:
        raise ValueError("no verdict on this one")
    return Verdict(same_number(answer, sample.target[0]))


@task("{called}")
def listed():
    """Listed"""
    return Task(
        data=Listed(),
        sample=to_sample,
        prompt=lambda sample, protocol: (Message("user", sample.input),),
        answer=final_number,
        judge=judge,
        metrics=(Accuracy(),),
        protocols=(Protocol(name="once", solver=ask_once),),
        gold=lambda sample, protocol: sample.target[0],
        spoiled=lambda sample, protocol: ("-1", ""),
    )
'''

Row = dict[str, str]


def rows(count: int, *, clusters: int = 0) -> list[Row]:
    """`count` questions that are answered by their number; every one of them is of one of `clusters`."""
    found = [{"id": f"q{i}", "ask": f"what is {i}", "answer": str(i)} for i in range(count)]
    for i, row in enumerate(found):
        if clusters:
            row["cluster"] = f"clip {i % clusters}"
    return found


def write(folder: Path, listed: Sequence[Row]) -> None:
    (folder / "rows.json").write_text(json.dumps(list(listed)), encoding="utf-8")


def task_file(folder: Path, *, called: str = "listed", failing: Sequence[str] = ()) -> str:
    """Writes the task file and returns its path, as `-t` takes it. `failing`: questions whose judge raises."""
    path = folder / f"{called}.py"
    path.write_text(_TASK.format(called=called, failing=tuple(failing)), encoding="utf-8")
    return str(path)


def model(folder: Path, name: str, *wrong: str) -> str:
    """Writes a model that says the question's number, but -1 to the questions in `wrong`; as `-m` takes it."""
    path = folder / f"{name}.py"
    path.write_text(
        f"def says(prompt):\n    text = prompt[-1].text\n    return '-1' if text in {wrong!r} else text.split()[-1]\n"
    )
    return f"python:{path}:says"
