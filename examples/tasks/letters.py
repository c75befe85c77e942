"""Letters of apology, graded from 0 to 5 by a judge model: --judge grader=MODEL."""

import re

from evalkit.api import Generated, MeanValue, Message, ModelScorer, Protocol, Sample, Task, Verdict, task

REASONS = ("a broken window", "a late reply", "a forgotten birthday", "a lost book")


def rows(chance):
    yield from ({"reason": reason} for reason in REASONS)


def grade(reply):
    """The grade in a reply; None if there is none: the judge is then asked again."""
    found = re.search(r"Grade: ([0-5])\b", reply)
    return int(found[1]) if found else None


async def graded(answer, sample, context):
    asked = f"Grade this apology for {sample.input} from 0 to 5, as in 'Grade: 3'.\n\n{answer}"
    found = await context.ask((Message("user", asked),), grade, role="grader", max_tokens=64)
    return Verdict(found >= 3, f"grade {found}", values={"grade": found})


@task("letters")
def letters():
    """Letters of apology"""
    return Task(
        data=Generated(0, rows),
        sample=lambda row: Sample(id=row["reason"], input=row["reason"], target=()),
        prompt=lambda sample, protocol: (Message("user", f"Apologise for {sample.input}, in one line."),),
        answer=lambda text, sample: text.strip() or None,
        scorer=ModelScorer(score=graded, roles=("grader",)),
        metrics=(MeanValue("grade", unit="of 5"),),
        protocols=(Protocol(name="0-shot", max_tokens=128),),
        reference_free=True,
    )
