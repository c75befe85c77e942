"""A made four-choice benchmark for tests: dev, validation and test data, likelihood, routing, a variant."""

from __future__ import annotations

from pathlib import Path

_TEMPLATE = '''"""A quiz, made for a test."""

from evalkit.scoring import final_number, stated_number
from evalkit.api import (
    Accuracy, Message, Protocol, Records, Sample, Task, Verdict, Variant, ask_likelihoods, ask_once,
    ask_with_fallback, choose_letter, letters, majority_vote, route_by_agreement, task,
)


class Rows:
    def __init__(self, split, count):
        self.split, self.count = split, count

    def open(self, options=None):
        origin = {{"kind": "made", "name": "quiz-" + self.split, "where": "here"}}
        rows = [{{"q": f"{{self.split}} {{i}}", "a": i % 4, "g": "ab"[i % 2]}} for i in range(self.count)]
        return Records(origin, self.count, lambda: iter(rows))


def to_sample(record):
    right = "ABCD"[record["a"]]
    group, tags = record["g"], ("high",) if record["a"] > 1 else ("low",)
    choices = ("w", "x", "y", "z")
    return Sample(
        id=record["q"], input=record["q"], target=(right,), choices=choices, group=group, tags=tags
    )


def prompt(sample, protocol):
    shots = "".join(f"{{s.input}}: {{s.target[0]}}\\n" for s in sample.shots[: protocol.shots])
    text = f"{{shots}}{{sample.input}}:"
    return text if protocol.api == "completion" else (Message("user", text),)


def letter(text, sample):
    said = text.strip()[-1:]
    return said if said and said in letters(sample) else None


def first_letter(text, sample):
    said = text.strip()[:1]
    return said if said and said in letters(sample) else None


@task("quiz")
def quiz():
    """A quiz"""
    routed = dict(
        solver=ask_with_fallback, reader=route_by_agreement, temperature=0.7, branches=("majority", "greedy")
    )
    return Task(
        data=Rows("test", {test}),
        dev=Rows("dev", 8),
        validation=Rows("validation", {validation}),
        sample=to_sample,
        prompt=prompt,
        answer=letter,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        variants=(Variant(name="first", extract=first_letter),),
        metrics=(
            Accuracy(), Accuracy(variant="majority"), Accuracy(variant="greedy"), Accuracy(variant="first"),
        ),
        protocols=(
            Protocol(name="routed", draws=8, fallback=("likely", "said"), **routed),
            Protocol(
                name="likely", solver=ask_likelihoods, reader=choose_letter, api="completion", shots=3,
                max_tokens=1, logprobs=5, drop_shots=True,
            ),
            Protocol(name="said", solver=ask_once, shots=3),
            Protocol(name="plain", reader=majority_vote, draws=8, temperature=0.7),
            Protocol(name="routed-greedily", draws=4, fallback=("said",), **routed),
        ),
        max_shots=4,
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: tuple(x for x in "ABCD" if x != sample.target[0]),
    )
'''


def quiz(folder: Path, *, test: int = 40, validation: int = 24) -> str:
    """Writes the task file and returns its path, as `-t` takes it."""
    path = folder / "quiz.py"
    path.write_text(_TEMPLATE.format(test=test, validation=validation), encoding="utf-8")
    return str(path)
