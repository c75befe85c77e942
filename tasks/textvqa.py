"""TextVQA: questions that need the text in a photograph, each answered by ten people (Singh et al. 2019).

Data: `lmms-lab/textvqa` (arXiv 1904.08920): 5,000 questions for validation, 5,734 for test. Annotations CC BY
4.0 by the card of `facebook/textvqa` (this copy's card names no licence), pictures from Open Images. No full
commit id of this copy could be verified, so it is read at `main`, and a run records the commit that it got.
Intervals resample pictures (`image_id`).

Measure: VQA accuracy with the normalisation of M4C and MMF, which lmms-eval uses too; `evalkit.scoring.vqa`
lists the differences from VQAv2's script. The answer is the whole reply, trimmed. Empty replies count as
unparsable, although that evaluator would credit them if references normalise to nothing. On some questions
people agree so little that no answer gets full credit.

The report's figures are of validation. `--set split=test` asks the questions without scoring them, because
their answers are hidden. The answers are exported in the form of the challenge's server at EvalAI
(facebookresearch/mmf at b0ffc7f, `website/docs/challenges/textvqa_challenge.md`): a list of
{"question_id": int, "answer": str}, with "" if there was no answer.

Prompt: Gemini 1.5 report, appendix 12.14.11. The 1.0 report prints none; it says that the setting is
zero-shot with short answers, greedy and pixels only. The data's OCR tokens are never shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evalkit.api import (
    JSON,
    Hub,
    Image,
    MeanCredit,
    Prompt,
    Protocol,
    Record,
    Sample,
    Submitted,
    Task,
    Verdict,
    list_of,
    task,
    unknown,
    versioned,
)
from evalkit.scoring.vqa import textvqa_accuracy

from .kit import about_picture, answer_list, best_answer, credited, wordy

SPLITS = {"validation": 5000, "test": 5734}
"""The number of questions of each split."""
INSTRUCTION = """\
Answer the following question about the image using as few words as possible. Follow these additional \
instructions:
* Always answer a binary question with Yes or No.
* When asked what time it is, reply with the time seen in the image.
* Do not put any full stops at the end of the answer.
* Do not put quotation marks around the answer.
* An answer with one or two words is favorable.
* Do not apply common sense knowledge. The answer can be found in the image.
"""


def to_sample(record: Record) -> Sample:
    """A question with its ten answers. Raises `ValueError` if there are none."""
    if not record["answers"]:
        raise ValueError(f"question {record['question_id']} has no answers")
    return _sample(record, tuple(list_of(record["answers"], "answers")))


def to_hidden_sample(record: Record) -> Sample:
    """A question whose answers only the server has; any answers in the record are ignored."""
    return _sample(record, ())


def _sample(record: Record, target: tuple[str, ...]) -> Sample:
    return Sample(
        id=str(record["question_id"]),
        input=record["question"],
        target=target,
        cluster=record["image_id"],
        media=(Image.of(record["image"]),),
    )


@versioned("textvqa.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    return about_picture(INSTRUCTION, sample, f"{sample.input} Answer:")


@versioned("textvqa.whole_reply", 1)
def whole_reply(text: str, sample: Sample) -> str | None:
    return text.strip() or None


@versioned("textvqa.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    credit = textvqa_accuracy(answer, sample.target)
    return credited(credit, f"credit {credit:.2g}")


def gold(sample: Sample, protocol: Protocol) -> str:
    return best_answer(sample, textvqa_accuracy)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    return wordy("The text reads", gold(sample, protocol), sample)


def submission(answers: Iterable[Submitted]) -> JSON:
    """The form of EvalAI: every question once."""
    return answer_list(answers, "question_id")


@task("textvqa", report="Table 7")
def textvqa(*, split: str = "validation") -> Task:
    """Questions about the text in photographs (Singh et al. 2019)"""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    scored = split == "validation"
    columns = ("image_id", "question_id", "question", "image")
    return Task(
        data=Hub(
            "lmms-lab/textvqa", "default", split=split, revision="main",
            columns=(*columns, "answers") if scored else columns,
        ),
        sample=to_sample if scored else to_hidden_sample,
        prompt=prompt,
        answer=whole_reply,
        scorer=score,
        metrics=(MeanCredit("VQA accuracy"),),
        size=SPLITS[split],
        protocols=(
            Protocol(
                name="0-shot", max_tokens=256,
                source="Gemini 1.0 report, table 7; prompt: Gemini 1.5 report, appendix 12.14.11",
            ),
        ),
        media=("image",),
        submission=submission,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
