r"""AMC: American Mathematics Competitions, a public set of integers or papers of your own by letters.

    evalkit run -m openai/my-model -t math-amc
    evalkit run -m openai/my-model -t math-amc --set papers=./amc.jsonl

The report prints 32 % for Ultra and 30 % for GPT-4 on 150 questions of 2022 and 2023 (section 5.1.1), five
choices each, chance 20 %, and counts the competitions among mathematics and science (appendix 10.3). Which
six papers these are, and how they were asked, is not said; the Gemini 1.5 report has 250 questions, 4-shot.

- Without `papers`: `AI-MO/aimo-validation-amc`, 83 problems of AMC 12 of 2022 and 2023 whose answer was made
  an integer. They have no choices, so guessing does not help, and the figure is not the report's. Groups are
  the years. An answer is read and compared as in `aime`.
- With `papers`, a file of yours, since the papers are © MAA: `problem`, `choices` (five texts), `answer` (a
  letter) and, if you like, `paper`, which is then the group. A letter is generated after a chain of thought
  (`0-shot-cot`) or alone (`0-shot-chat`). Accuracy is plain, as in the report: the 1.5 points that the
  contest gives for a blank are not counted. The four shots of the Gemini 1.5 report are not public.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.api import (
    Accuracy,
    CsvCell,
    Hub,
    Local,
    Message,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    letters,
    sample_id,
    task,
    versioned,
)
from evalkit.scoring import chat_letter, cot_letter

from . import kit_contests
from .kit import wrong_letters
from .kit_contests import FLEXIBLE, boxed_number, protocols, reference, score

REVISION = "69d78a4a2c840e82d69af6bc742bda09005f6316"
COT, CHAT = "0-shot-cot", "0-shot-chat"
INSTRUCTIONS = {
    COT: 'Think step by step. End with "The answer is (X)." where X is the letter of the right choice.',
    CHAT: "Answer with the letter of the right choice alone.",
}
_PAPER = re.compile(r"(\d{4})_AMC_(\d+[AB]?)_Problems")


def to_sample(record: Record) -> Sample:
    """Raises `ValueError` for an answer that is not a whole number, and for a URL that names no paper."""
    problem, url = record["problem"], record["url"]
    paper = _PAPER.search(url)
    if paper is None:
        raise ValueError(f"no paper of the AMC in the URL {url!r}")
    answer = (reference(record["answer"], problem),)
    tags = (f"{paper[1]} {paper[2]}",)
    return Sample(id=sample_id(problem), input=problem, target=answer, group=paper[1], tags=tags)


def to_choices(record: Record) -> Sample:
    """Raises `ValueError` if the answer is not the letter of a choice, or the choices are no list."""
    problem, given = str(record["problem"]), record["choices"]
    listed = given.listed() if isinstance(given, CsvCell) else given
    if not isinstance(listed, list | tuple) or not 2 <= len(listed) <= 26:
        raise ValueError(f"choices of {problem[:60]!r} must be a list of texts, not {str(given)[:60]!r}")
    choices = tuple(map(str, listed))
    sample = Sample(
        id=sample_id(problem, *choices), input=problem, target=(str(record["answer"]).strip().strip("()"),),
        choices=choices, group=str(record.get("paper") or ""),
    )  # fmt: skip
    if sample.target[0] not in tuple(letters(sample)):
        raise ValueError(f"the answer to {problem[:60]!r} is {record['answer']!r}: it must be a letter")
    return sample


@versioned("math_amc.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    """The problem with its choices and the protocol's instruction; without choices the prompt of `aime`."""
    if not sample.choices:
        return kit_contests.prompt(sample, protocol)
    marked = zip(letters(sample), sample.choices, strict=True)
    choices = "\n".join(f"({letter}) {choice}" for letter, choice in marked)
    text = f"{sample.input}\n{choices}\n\n{INSTRUCTIONS[protocol.name]}"
    return text if protocol.api == "completion" else (Message("user", text),)


def gold(sample: Sample, protocol: Protocol) -> str:
    return f"The answer is ({sample.target[0]})."


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    return wrong_letters(sample, lambda letter: f"The answer is ({letter}).", generated=True)


@task("math-amc")
def math_amc(*, papers: str = "") -> Task:
    """American Mathematics Competitions, 2022 and 2023"""
    if papers:
        return _by_letters(papers)
    return Task(
        data=Hub(
            "AI-MO/aimo-validation-amc", "default", split="train", revision=REVISION,
            columns=("problem", "answer", "url"),
        ),
        sample=to_sample,
        prompt=prompt,
        answer=boxed_number,
        scorer=score,
        variants=(FLEXIBLE,),
        metrics=(Accuracy(), Accuracy(variant=FLEXIBLE.name)),
        size=83,
        protocols=protocols(8),
        gold=kit_contests.gold,
        wrong_responses=kit_contests.wrong_responses,
    )  # fmt: skip


def _by_letters(papers: str) -> Task:
    return Task(
        data=Local(papers, columns=("problem", "choices", "answer")),
        sample=to_choices,
        prompt=prompt,
        answer={COT: cot_letter, CHAT: chat_letter},
        scorer=score,
        metrics=(Accuracy(),),
        protocols=(
            Protocol(name=COT, max_tokens=32768, source="evalkit"),
            Protocol(name=CHAT, max_tokens=256, source="evalkit"),
        ),
        gold=gold,
        wrong_responses=wrong_responses,
    )
