"""The benchmark `reversed-words`."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from evalkit.api import Accuracy, Generated, Message, Protocol, Record, Sample, Task, Verdict, task

from .metrics import LetterSimilarity

WORDS = (
    "apple", "bridge", "candle", "desert", "engine", "forest", "garden", "hammer", "island", "jacket",
    "kettle", "lemon", "mirror", "needle", "orange", "pencil", "quartz", "river", "silver", "timber",
)  # fmt: skip


def rows(chance: Random) -> Iterator[Record]:
    yield from ({"word": word} for word in chance.sample(WORDS, len(WORDS)))


def to_sample(record: Record) -> Sample:
    word = str(record["word"])
    return Sample(id=word, input=word, target=(word[::-1],))


def prompt(sample: Sample, protocol: Protocol) -> tuple[Message, ...]:
    return (Message("user", f"Spell this word backwards, and write nothing else: {sample.input}"),)


def answer(text: str, sample: Sample) -> str | None:
    return text.strip().strip(".").lower() or None


def score(said: str, sample: Sample) -> Verdict:
    return Verdict(said == sample.target[0])


@task("reversed-words")
def reversed_words() -> Task:
    """Words spelt backwards"""
    return Task(
        data=Generated(1, rows),
        sample=to_sample,
        prompt=prompt,
        answer=answer,
        scorer=score,
        metrics=(Accuracy(), LetterSimilarity()),
        protocols=(Protocol(name="0-shot", max_tokens=16, source="made for this example"),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: (sample.input, ""),
    )
