"""Modules of the `evaluate` library, written for the tests of `HubMetric`, and a task that uses one."""

from __future__ import annotations

from pathlib import Path

CLOSENESS = '''
"""How alike two texts are, by their letters."""

import datasets
import evaluate

from .letters import likeness


class Closeness(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, predictions, references, cased=True):
        print("this is not part of evalkit's output")
        values = [likeness(one, other, cased) for one, other in zip(predictions, references)]
        longest = max(map(len, predictions))
        return {"closeness": sum(values) / len(values), "values": values, "longest": longest}
'''
LETTERS = """
from difflib import SequenceMatcher


def likeness(one, other, cased):
    if not cased:
        one, other = one.lower(), other.lower()
    return SequenceMatcher(None, one, other).ratio()
"""
SPACE = {"closeness.py": CLOSENESS.encode(), "letters.py": LETTERS.encode(), "app.py": b"import gradio"}
"""The files of a Space."""
TASK = '''
from evalkit.api import Accuracy, Generated, HubMetric, Message, Protocol, Sample, Task, Verdict, task

TOWNS = {"France": "Paris", "Japan": "Tokyo", "Italy": "Rome", "Spain": "Madrid", "Norway": "Oslo"}


def rows(chance):
    yield from ({"country": country, "capital": town} for country, town in TOWNS.items())


def answer(text, sample):
    return None if "Oslo" in text else text.strip() or None


@task("towns")
def towns():
    """Capitals of countries"""
    return Task(
        data=Generated(0, rows),
        sample=lambda row: Sample(id=row["country"], input=row["country"], target=(row["capital"],)),
        prompt=lambda sample, protocol: (Message("user", f"The capital of {sample.input}?"),),
        answer=answer,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0], ""),
        metrics=(METRICS),
        protocols=(Protocol(name="0-shot", max_tokens=32, source="made for this test"),),
        gold=lambda sample, protocol: sample.target[0],
    )
'''


def write(folder: Path, metrics: str) -> Path:
    """Writes the module into `folder`/closeness and a task with these metrics beside it; returns the task."""
    there = folder / "closeness"
    there.mkdir(parents=True, exist_ok=True)
    for name, content in SPACE.items():
        (there / name).write_bytes(content)
    task = folder / "towns.py"
    task.write_text(TASK.replace("METRICS", metrics), "utf-8")
    return task
