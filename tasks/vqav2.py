"""VQAv2: questions about photographs, each answered by ten people (Goyal et al. 2017, arXiv 1612.00837).

Data: `lmms-lab-encoder/VQAv2` at 32665d3: 214,354 questions on 40,504 pictures for validation, 447,793 for
test, of which 107,394 are test-dev. Annotations CC BY 4.0; the pictures are COCO's, under Flickr's terms.
Intervals resample pictures (`image_id`).

Split: the report's figures are of test-dev, whose answers are hidden. The split that is scored here is
validation, so **the figure is not the report's**. `--set split=testdev` and `--set split=test` ask the
questions without scoring them, and the answers are exported in the form of EvalAI: a list of
{"question_id": int, "answer": str}, with "" if there was no answer. Since 2021 its test-dev phase requires
all questions of test, so `test` is the split to submit.

Measure: VQA accuracy by the official script (`evalkit.scoring.vqa`). If all ten people gave the same answer,
that script compares without normalisation: "Yes", which the prompt asks for, gets no credit against ten times
"yes". The headline does the same. "VQA accuracy (normalised)" normalises in this case too, like lmms-eval.
The answer is the whole reply, trimmed, and is submitted in this form; LLaVA, for example, submits normalised
answers (haotian-liu/LLaVA at a689fd8, `scripts/convert_vqav2_for_submission.py`). Empty replies count as
unparsable, although the script would credit them if references normalise to nothing. On some questions people
agree so little that no answer gets full credit.

Groups are the answer types "yes/no", "number" and "other". For a copy without the column `answer_type`, they
are derived from the most common answer (`multiple_choice_answer`), as the authors define them: "yes" or "no",
a number, anything else. Their repository does not define a number; here it consists of digits, `.` and `,`.

Prompt: Gemini 1.5 report, appendix 12.14.12, without a stray quotation mark after "No.". The 1.0 report
prints none; it says that the setting is zero-shot with short answers, greedy and pixels only.
"""

from __future__ import annotations

import re
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
    Variant,
    Verdict,
    task,
    unknown,
    versioned,
)
from evalkit.scoring.vqa import vqa_accuracy, vqa_accuracy_normalised

from .kit import about_picture, answer_list, best_answer, credited, wordy

REVISION = "32665d35052eb4a6d4414851c3c829a72754915a"
SPLITS = {"validation": "validation", "testdev": "testdev", "test-dev": "testdev", "test": "test"}
SIZES = {"validation": 214_354, "testdev": 107_394, "test": 447_793}
INSTRUCTION = (
    "Answer the following question about the image using only a word or two. "
    "Always answer a binary question with Yes or No."
)
_NUMBER = re.compile(r"[0-9][0-9.,]*")


def to_sample(record: Record) -> Sample:
    """A question with its ten answers. Raises `ValueError` if there are none."""
    if not record["answers"]:
        raise ValueError(f"question {record['question_id']} has no answers")
    return _sample(
        record,
        target=tuple(answer["answer"] for answer in record["answers"]),
        group=record.get("answer_type") or answer_type(record["multiple_choice_answer"]),
    )


def to_hidden_sample(record: Record) -> Sample:
    """A question whose answers only the server has; any answers in the record are ignored."""
    return _sample(record, target=(), group="")


def _sample(record: Record, *, target: tuple[str, ...], group: str) -> Sample:
    return Sample(
        id=str(record["question_id"]),
        input=record["question"],
        target=target,
        group=group,
        cluster=str(record["image_id"]),
        media=(Image.of(record["image"]),),
    )


def answer_type(most_common: str) -> str:
    """The type of a question by its most common answer."""
    if most_common in ("yes", "no"):
        return "yes/no"
    return "number" if _NUMBER.fullmatch(most_common) else "other"


@versioned("vqav2.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    return about_picture(f"{INSTRUCTION}\n", sample, f"{sample.input} Answer:")


@versioned("vqav2.whole_reply", 1)
def whole_reply(text: str, sample: Sample) -> str | None:
    return text.strip() or None


@versioned("vqav2.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    return _verdict(vqa_accuracy(answer, sample.target))


@versioned("vqav2.scorer_normalised", 1)
def score_normalised(answer: str, sample: Sample) -> Verdict:
    return _verdict(vqa_accuracy_normalised(answer, sample.target))


def _verdict(credit: float) -> Verdict:
    return credited(credit, f"credit {credit:.2g}")


def gold(sample: Sample, protocol: Protocol) -> str:
    return best_answer(sample, vqa_accuracy)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    return wordy("I would say that it is", gold(sample, protocol), sample)


def submission(answers: Iterable[Submitted]) -> JSON:
    """The form of EvalAI (https://visualqa.org/evaluation.html): every question once."""
    return answer_list(answers, "question_id")


@task("vqav2", report="Table 7")
def vqav2(*, split: str = "validation") -> Task:
    """Questions about photographs (Goyal et al. 2017); validation, not the report's hidden test-dev"""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    scored = split == "validation"
    columns = ("question_id", "image_id", "question", "image")
    referred = ("answers", "multiple_choice_answer") if scored else ()
    return Task(
        data=Hub(
            "lmms-lab-encoder/VQAv2", "default", split=SPLITS[split], revision=REVISION,
            columns=(*columns, *referred),
        ),
        sample=to_sample if scored else to_hidden_sample,
        prompt=prompt,
        answer=whole_reply,
        scorer=score,
        metrics=(MeanCredit("VQA accuracy"), MeanCredit("VQA accuracy", variant="normalised")),
        variants=(Variant(name="normalised", scorer=score_normalised),),
        size=SIZES[SPLITS[split]],
        protocols=(
            Protocol(
                name="0-shot", max_tokens=256,
                source="Gemini 1.0 report, table 7; prompt: Gemini 1.5 report, appendix 12.14.12",
            ),
        ),
        media=("image",),
        submission=submission,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
