"""TextVQA: questions that need the text in a photograph, each answered by ten people (Singh et al. 2019).

Data: `lmms-lab/textvqa` (arXiv 1904.08920): 5,000 questions for validation, 5,734 for test. Annotations CC BY
4.0 by the card of `facebook/textvqa` (this copy's names none), pictures from Open Images. No full commit id
of it could be verified, so `main` is read, and the run records the commit that this was. Intervals resample
pictures (`image_id`).

Measure: VQA accuracy with the normalisation of M4C and MMF, which lmms-eval uses too; `evalkit.scoring.vqa`
names what it does otherwise than VQAv2's script. The answer is the whole reply, trimmed. Empty replies count
as unparsable, though that evaluator would credit one where references normalise to nothing. On some questions
people agree so little that no answer earns full credit.

The report's figures are of validation. `--set split=test`, whose answers are hidden, asks without judging;
the answers are exported as the challenge's server at EvalAI takes them (facebookresearch/mmf at b0ffc7f,
`website/docs/challenges/textvqa_challenge.md`): a list of {"question_id": int, "answer": str}, "" where there
was no answer.

Prompt: Gemini 1.5 report, appendix 12.14.11. The 1.0 report prints none; it says zero-shot, short answers,
greedy, pixels only. The data's OCR tokens are never shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evalkit.api import (
    JSON,
    Hub,
    Image,
    MeanCredit,
    Message,
    Prompt,
    Protocol,
    Record,
    Sample,
    Submitted,
    Task,
    Verdict,
    task,
    unknown,
    versioned,
)
from evalkit.scoring.vqa import textvqa_accuracy

SPLITS = {"validation": 5000, "test": 5734}
"""How many questions each has."""
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
    """A question with its ten answers. Raises `ValueError` where there are none."""
    if not record["answers"]:
        raise ValueError(f"question {record['question_id']} has no answers")
    return _sample(record, tuple(record["answers"]))


def to_hidden_sample(record: Record) -> Sample:
    """A question whose answers only the server has, whatever its columns hold."""
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
    asked = (INSTRUCTION, sample.media[0], f"\nQuestion: {sample.input} Answer:")
    return (Message("user", asked),)


@versioned("textvqa.whole_reply", 1)
def whole_reply(text: str, sample: Sample) -> str | None:
    return text.strip() or None


@versioned("textvqa.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    credit = textvqa_accuracy(answer, sample.target)
    return Verdict(credit >= 0.5, f"credit {credit:.2g}", credit)


def gold(sample: Sample, protocol: Protocol) -> str:
    """The answer that earns most, of those that are not empty."""
    return max(sample.target, key=lambda one: (bool(one.strip()), textvqa_accuracy(one, sample.target)))


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """The best answer in a sentence, a word longer than any answer, and nothing."""
    stranger = "x" * (1 + max(map(len, sample.target)))
    return (f"The text reads {gold(sample, protocol)} {stranger}", stranger, "")


def submission(answers: Iterable[Submitted]) -> JSON:
    """EvalAI's form: every question once."""
    return [{"question_id": int(one.id), "answer": one.answer or ""} for one in answers]


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
