"""Two runs of a benchmark side by side: how often does a model prefer the second run's answer?"""

import hashlib

from evalkit.api import Accuracy, Message, Protocol, Runs, Sample, Task, Verdict, ask_once, task


def to_sample(record):
    """Half of the samples have their sides exchanged, because many models prefer the first answer."""
    exchanged = hashlib.sha256(record["id"].encode()).digest()[0] % 2 == 1
    texts = [record["a"]["texts"][0], record["b"]["texts"][0]]
    return Sample(
        id=record["id"],
        input=record["input"],
        target=("first" if exchanged else "second",),  # the position of the second run's answer
        meta={"texts": texts[::-1] if exchanged else texts},
    )


def prompt(sample, protocol):
    first, second = sample.meta["texts"]
    said = f"Question: {sample.input}\n\nFirst answer: {first}\n\nSecond answer: {second}\n\n"
    return (Message("user", f"{said}Which answer is better? Say first or second."),)


def choice(text, sample):
    word = text.strip().casefold().rstrip(".")
    return word if word in ("first", "second") else None


@task("preference")
def preference(*, base: str = "base.db", head: str = "head.db", benchmark: str = ""):
    """How often the second of two runs is preferred"""
    return Task(
        data=Runs(base, head, task=benchmark),
        sample=to_sample,
        prompt=prompt,
        answer=choice,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="pairs", solver=ask_once, max_tokens=8),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("neither", ""),
    )
