"""A made benchmark for tests that edit its data: `rows.json` beside the task file has the questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

_TASK = '''"""Questions from a list."""

import json
from pathlib import Path

from evalkit.scoring import final_number, same_number
from evalkit.api import Accuracy, Message, Protocol, Records, Sample, Task, Verdict, ask_once, task

ROWS, FAILING = (Path(__file__).with_name(name) for name in ("rows.json", "failing.json"))


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


def score(answer, sample):
    if FAILING.exists() and sample.input in json.loads(FAILING.read_text()):
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
        scorer=score,
        metrics=(Accuracy(),),
        protocols=(Protocol(name="once", solver=ask_once),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("-1", ""),
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


def write(folder: Path, listed: Sequence[Row], *, failing: Sequence[str] = ()) -> None:
    """`failing`: questions whose judge raises."""
    (folder / "rows.json").write_text(json.dumps(list(listed)), encoding="utf-8")
    (folder / "failing.json").write_text(json.dumps(list(failing)), encoding="utf-8")


def task_file(folder: Path, *, called: str = "listed") -> str:
    """Writes the task file and returns its path, as `-t` takes it."""
    path = folder / f"{called}.py"
    path.write_text(_TASK.format(called=called), encoding="utf-8")
    return str(path)


_MODEL = """def says(prompt):
    text = prompt[-1].text
    return "-1" if text in {wrong!r} else text.split()[-1]
"""


def model(folder: Path, name: str, *wrong: str) -> str:
    """Writes a model that says a question's number, but -1 to those in `wrong`; as `-m` takes it."""
    path = folder / f"{name}.py"
    path.write_text(_MODEL.format(wrong=wrong), encoding="utf-8")
    return f"python:{path}:says"
