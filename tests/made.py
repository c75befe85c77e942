"""A made benchmark for tests: sums, as a task file that evalkit loads by path."""

from __future__ import annotations

from pathlib import Path

_TEMPLATE = '''"""Sums, made for a test."""

from evalkit.api import (
    Accuracy, Message, Protocol, Records, Sample, Task, Verdict, ask_once, majority_vote, task,
)
from evalkit.scoring import final_number, same_number

ROWS = [(f"{{i}} + {{i % 7}}", str(i + i % 7)) for i in range({count})]


class Sums:
    def open(self, options=None):
        origin = {{"kind": "made", "name": "sums", "where": "here"}}
        rows = list(reversed(ROWS)) if {reverse} else ROWS
        return Records(origin, {known}, lambda: iter({{"q": q, "a": a}} for q, a in rows))


def to_sample(record):
    group = "even" if int(record["a"]) % 2 == 0 else "odd"
    return Sample(id=record["q"], input=record["q"], target=(record["a"],), group=group)


def prompt(sample, protocol):
    return (Message("user", "{ask} " + sample.input),)


def score(answer, sample):
    {scorer}
    return Verdict(same_number(answer, sample.target[0]))


@task("{called}")
def sums():
    """Sums"""
    return Task(
        data=Sums(),
        sample=to_sample,
        prompt=prompt,
        answer=final_number,
        scorer=score,
        metrics=(Accuracy(),),
        protocols=(
            Protocol(name="once", solver=ask_once),
            Protocol(name="maj", reader=majority_vote, draws=5, temperature=0.7),
        ),
        max_shots=4,
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("-1", ""),
    )
'''


def sums(
    folder: Path,
    count: int = 20,
    *,
    name: str = "sums.py",
    ask: str = "What is",
    reverse: bool = False,
    scorer: str = "",
    known: bool = True,
    called: str = "sums",
) -> str:
    """Writes the task file and returns its path, as `-t` takes it.

    `ask`: the prompt's words. `reverse`: the records in the other order. `scorer`: a statement that the
    scorer runs first. `known`: whether the data say how many they are. `called`: the task's name.
    """
    path = folder / name
    text = _TEMPLATE.format(
        count=count,
        ask=ask,
        reverse=reverse,
        scorer=scorer or "pass",
        known="len(ROWS)" if known else "None",
        called=called,
    )
    path.write_text(text, encoding="utf-8")
    return str(path)


def two_turns(folder: Path, count: int) -> str:
    """The sums, each asked in a chat of two turns."""
    path = Path(sums(folder, count, name="turns.py"))
    solver = """

async def twice(context):
    first = await context.ask(context.prompt)
    again = Message("user", "Again: " + context.sample.input)
    await context.ask((*context.prompt, Message("assistant", first.text), again), follows=first)
"""
    text = path.read_text(encoding="utf-8").replace("\n\nclass Sums", f"{solver}\n\nclass Sums")
    path.write_text(text.replace("solver=ask_once", "solver=twice"), encoding="utf-8")
    return str(path)
