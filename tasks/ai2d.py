"""AI2D: multiple-choice questions about school-book diagrams (Kembhavi et al. 2016, arXiv 1603.07396).

Data: split test of `lmms-lab/ai2d` at c83a9b9, 3,088 questions; its card names no licence. Intervals resample
diagrams, which are distinguished by their files.

Labels: in `lmms-lab/ai2d`, boxes with a letter hide the diagram's own words. As far as is known, the figures
of the 1.0 report have the same form. `--set boxes=transparent` takes `lmms-lab/ai2d-no-mask`, the same
questions with visible words (EvolvingLMMs-Lab/lmms-eval, pull request 325). That is close to the transparent
boxes of the 1.5 report, where the same Ultra has 87.7 instead of 79.5. No commit of that set could be
verified: it is read at `main`, and a run records the commit that it got.

Prompt: Gemini 1.5 report, appendix 12.14.2. The report does not print how the choices are separated; here it
is by semicolons. They have no letters, since many choices are letters of the diagram.

The report does not print either how a reply is read. Here it must be one of the choices; case, spaces,
quotation marks, bold print, a full stop and "The answer is" are ignored unless they distinguish two choices.
If no choice contains a single letter (other than the article "a" and the letters of "e.g."), a reply that
gives a letter ("(B)", "B. root") means the choice at that position, and is read as for MMLU (`chat_letter`).
Anything else is no answer. lmms-eval's scorer (75571cf, `lmms_eval/tasks/ai2d/utils.py`) is for another
prompt: it shows letters, takes the letter before a full stop at the beginning, or else the whole reply, and
requires the right letter, ignoring case and punctuation. There the text of a choice is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.api import (
    Accuracy,
    Hub,
    Image,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Verdict,
    letters,
    list_of,
    sample_id,
    task,
    unknown,
    versioned,
)
from evalkit.scoring.letter import chat_letter

from .kit import about_picture, first_reference

BOXES = {
    "opaque": ("lmms-lab/ai2d", "c83a9b9692933aff8349157c88a413df9d02c4e5"),
    "transparent": ("lmms-lab/ai2d-no-mask", "main"),
}
_LEAD = re.compile(
    r"\A\W*(?:the )?(?:correct |final |best |right )?(?:answer|choice|option)(?: is)?\b[\s:*]*", re.IGNORECASE
)
_LABEL = re.compile(
    r"(?<![\w'’])(?<!\w\.)(?![aA] (?!(?:and|or|to|with|in|is)\b)[^\W\d_]{2})[^\W\d_](?!\w|\.\w)"
)
"""A letter that stands alone, such as a label of the diagram, but no article ("a fish") and no "e.g."."""


def to_sample(record: Record) -> Sample:
    diagram, choices = Image.of(record["image"]), tuple(list_of(record["options"], "options"))
    return Sample(
        id=sample_id(record["question"], *choices, diagram.key),
        input=record["question"],
        target=(choices[int(record["answer"])],),
        choices=choices,
        cluster=diagram.key,
        media=(diagram,),
    )


@versioned("ai2d.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    asked = f"{sample.input} The Choices are: {'; '.join(sample.choices)} Answer:"
    return about_picture("Answer exactly as one of the choices.\n", sample, asked)


@versioned("ai2d.read_choice", 4)
def read_choice(text: str, sample: Sample) -> str | None:
    """The choice that a reply gives, as written in the sample; None if it gives none or more than one."""
    for reply in (text, _LEAD.sub("", text)):
        for form in (str.strip, _tidy, _bare):
            same = {choice for choice in sample.choices if form(choice) == form(reply)}
            if len(same) == 1:
                return same.pop()
    if any(_LABEL.search(choice) for choice in sample.choices):
        return None
    letter = chat_letter(text, sample)
    return None if letter is None else sample.choices[letters(sample).index(letter)]


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip("\"'“”‘’`*. ")


def _bare(text: str) -> str:
    return _tidy(text).casefold()


@versioned("ai2d.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    return Verdict(answer == sample.target[0], f"{answer}, and {sample.target[0]} is right")


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """The first and the last wrong choice, all choices at once, no choice, and nothing."""
    others = [choice for choice in sample.choices if choice != sample.target[0]] or ["?"]
    return (others[0], others[-1], " or ".join(sample.choices), "I do not know.", "")


@task("ai2d", report="Table 7")
def ai2d(*, boxes: str = "opaque") -> Task:
    """Multiple-choice questions about diagrams (Kembhavi et al. 2016)"""
    if boxes not in BOXES:
        raise unknown("boxes", boxes, BOXES)
    name, revision = BOXES[boxes]
    columns = ("question", "options", "answer", "image")
    return Task(
        data=Hub(name, "default", split="test", revision=revision, columns=columns),
        sample=to_sample,
        prompt=prompt,
        answer=read_choice,
        scorer=score,
        metrics=(Accuracy(),),
        size=3088,
        protocols=(
            Protocol(
                name="0-shot", max_tokens=256,
                source="Gemini 1.0 report, table 7; prompt: Gemini 1.5 report, appendix 12.14.2",
            ),
        ),
        media=("image",),
        gold=first_reference,
        wrong_responses=wrong_responses,
    )  # fmt: skip
