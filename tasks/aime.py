r"""AIME: 90 problems of the American Invitational Mathematics Examination of 2022 to 2024, answers 0 to 999.

The report has no figure on AIME; the benchmark is beside `math` and `math-amc`, as models are compared today.
Data: `AI-MO/aimo-validation-aime`, six papers of fifteen problems from the Art of Problem Solving's wiki.
Some problems refer to a figure that the text lacks. Groups are the years, tags the papers.

- `0-shot-boxed`: the number in the last \boxed{…}, with MATH's reading of boxes, compared by value, so that
  "073" is 73. `accuracy (flexible)` takes the last number of a response without a box.
- `maj1@8` is the majority of eight draws. With `--set draws=…` and a temperature, `0-shot-boxed` gives the
  mean over draws, which is what most makers print; with 90 problems one answer is 1.1 points.
"""

from __future__ import annotations

import re

from evalkit.api import Accuracy, Hub, Record, Sample, Task, sample_id, task

from .kit_contests import (
    FLEXIBLE,
    boxed_number,
    gold,
    prompt,
    protocols,
    reference,
    score,
    wrong_responses,
)

REVISION = "8c6be017548b0fe2eb9fdf2239fca99700b9bccf"
YEARS = {"2022": 30, "2023": 30, "2024": 30}
_PAPER = re.compile(r"(\d{4})_AIME_(I{1,2})_Problems")


def to_sample(record: Record) -> Sample:
    """Raises `ValueError` for an answer that is not from 0 to 999, and for a URL that names no paper."""
    problem, url = record["problem"], record["url"]
    answer = reference(record["answer"], problem)
    if int(answer) > 999:
        raise ValueError(f"the answer to {problem[:60]!r} is {answer}: it must be from 0 to 999")
    paper = _PAPER.search(url)
    if paper is None:
        raise ValueError(f"no paper of the AIME in the URL {url!r}")
    tags = (f"{paper[1]} {paper[2]}",)
    return Sample(id=sample_id(problem), input=problem, target=(answer,), group=paper[1], tags=tags)


@task("aime")
def aime() -> Task:
    """American Invitational Mathematics Examination, 2022 to 2024"""
    return Task(
        data=Hub(
            "AI-MO/aimo-validation-aime", "default", split="train", revision=REVISION,
            columns=("problem", "answer", "url"),
        ),
        sample=to_sample,
        prompt=prompt,
        answer=boxed_number,
        scorer=score,
        variants=(FLEXIBLE,),
        metrics=(Accuracy(), Accuracy(variant=FLEXIBLE.name)),
        size=90,
        group_sizes=YEARS,
        protocols=protocols(8),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
