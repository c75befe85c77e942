"""Captions measured by words that few references have, as in CIDEr: a metric that needs the whole corpus."""

from collections import Counter
from dataclasses import dataclass
from math import log

from evalkit.api import Generated, Message, Protocol, Ratio, Sample, Task, Verdict, task

SCENES = {"1": ("a red boat", "a boat on a lake"), "2": ("a red house",), "3": ("a dog on a hill",)}


@dataclass(frozen=True)
class RareWords(Ratio):
    """The share, in percent, of the weight of the best reference's words that an answer has."""

    name: str = "rare words"
    columns: tuple[str, ...] = ("weight", "captions")

    def prepare(self, samples):
        """{word: weight}; the weight is the log of the number of references over those with the word."""
        references = [set(one.split()) for sample in samples for one in sample.target]
        among = Counter(word for words in references for word in words)
        return {word: log(len(references) / count) for word, count in among.items()}

    def statistics(self, sample, scored, weights):
        said = set((scored.answer.finals[0].value or "").split())
        wanted = [set(one.split()) for one in sample.target]
        shares = [sum(weights[w] for w in said & words) / sum(weights[w] for w in words) for words in wanted]
        return (max(shares), 1.0)


@task("captions")
def captions():
    """What is in a scene"""
    return Task(
        data=Generated(0, lambda chance: ({"id": scene} for scene in SCENES)),
        sample=lambda row: Sample(id=row["id"], input=row["id"], target=SCENES[row["id"]]),
        prompt=lambda sample, protocol: (Message("user", f"Describe scene {sample.input}."),),
        answer=lambda text, sample: text.strip() or None,
        scorer=lambda answer, sample: Verdict(answer in sample.target),
        metrics=(RareWords(),),
        protocols=(Protocol(name="0-shot", max_tokens=16),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("",),
    )
