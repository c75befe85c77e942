"""DocVQA and InfographicVQA: questions about a page or an infographic, answered with text that it shows.

Data: `lmms-lab/DocVQA` at 539088e, a copy of the competition's files (https://rrc.cvc.uab.es/?ch=17), under
Apache-2.0 by its card. Config `DocVQA` (Mathew et al. 2021, arXiv 2007.00398; pages of the UCSF Industry
Documents Library): 5,349 questions for validation, 5,188 for test. Config `InfographicVQA` (Mathew et al.
2022, arXiv 2104.12756): 2,801 and 3,288. Intervals resample pages (`docId`) and infographics (`image_url`).

Measure: ANLS with threshold 1/2, as computed by the competition's script (`evalkit.scoring.anls`); and "ANLS
(paper)", the published equation, which divides by other lengths and gives no credit for a similarity of
exactly one half. The answer is the whole reply, trimmed; without that, white space around it would lower its
credit. Nothing else is removed, not even a full stop.

The report's figures are of the test split. Its references are not public: `--set split=test` asks the
questions without scoring them, and the answers are exported in the form of the competition's server, a list
of {"questionId": int, "answer": str} in which a question without an answer has "".

Prompt: Gemini 1.5 report, appendices 12.14.7 and 12.14.10, the same for both. The 1.0 report prints none; it
says that the setting is zero-shot with short answers, greedy and pixels only. The OCR text of InfographicVQA
is never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
    list_of,
    task,
    unknown,
    versioned,
)
from evalkit.scoring.anls import anls, anls_by_the_paper

from .kit import about_picture, answer_list, credited, strange_sign

REVISION = "539088ef8a8ada01ac8e2e6d4e372586748a265e"
SPLITS = ("validation", "test")
SIZES = {
    "DocVQA": {"validation": 5349, "test": 5188},
    "InfographicVQA": {"validation": 2801, "test": 3288},
}
INSTRUCTION = (
    "Give a short and terse answer to the following question. Do not paraphrase or reformat the text you see "
    "in the image. Do not include any full stops. Just give the answer without additional explanation."
)


def reader(cluster: str, split: str) -> Callable[[Record], Sample]:
    """The function that reads a record; `cluster` is the column that names its picture.

    Samples of the test split have no references, whatever the record holds. On the other split, the function
    raises `ValueError` for a record without references, because its answer could not be scored.
    """

    def sample(record: Record) -> Sample:
        target = tuple(list_of(record["answers"] or [], "answers")) if split != "test" else ()
        if not target and split != "test":
            raise ValueError(f"question {record['questionId']} has no answers")
        return Sample(
            id=record["questionId"],
            input=record["question"],
            target=target,
            cluster=str(record[cluster]),
            media=(Image.of(record["image"]),),
        )

    return sample


@versioned("docvqa.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    return about_picture(f"{INSTRUCTION}\n", sample, f"{sample.input} Answer:")


@versioned("docvqa.whole_reply", 1)
def whole_reply(text: str, sample: Sample) -> str | None:
    return text.strip() or None


@versioned("docvqa.scorer", 1, packages=("rapidfuzz",))
def score(answer: str, sample: Sample) -> Verdict:
    return _verdict(anls(answer, sample.target))


@versioned("docvqa.scorer_the_paper", 1, packages=("rapidfuzz",))
def score_by_the_paper(answer: str, sample: Sample) -> Verdict:
    return _verdict(anls_by_the_paper(answer, sample.target))


def _verdict(similarity: float) -> Verdict:
    return credited(similarity, f"similarity {similarity:.3f}")


def gold(sample: Sample, protocol: Protocol) -> str:
    return sample.target[0] if sample.target else ""


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Nothing, and a text as long as the longest reference, with no character of any reference."""
    longest = max(len(reference.upper()) for reference in sample.target or ("?",))
    return ("", strange_sign(sample.target, "0") * longest)


def submission(answers: Iterable[Submitted]) -> JSON:
    """The form of the competition's server: every question once, with a text as its answer."""
    return answer_list(answers, "questionId")


def _questions(config: str, cluster: str, split: str) -> Task:
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    columns = ("questionId", "question", "answers", cluster, "image")
    return Task(
        data=Hub("lmms-lab/DocVQA", config, split=split, revision=REVISION, columns=columns),
        sample=reader(cluster, split),
        prompt=prompt,
        answer=whole_reply,
        scorer=score,
        metrics=(MeanCredit("ANLS"), MeanCredit("ANLS", variant="paper")),
        variants=(Variant(name="paper", scorer=score_by_the_paper),),
        size=SIZES[config][split],
        protocols=(
            Protocol(
                name="0-shot", max_tokens=256,
                source="Gemini 1.0 report, table 7; prompt: Gemini 1.5 report, appendix 12.14",
            ),
        ),
        media=("image",),
        submission=submission,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip


@task("docvqa", report="Table 7")
def docvqa(*, split: str = "validation") -> Task:
    """Questions about scanned pages (Mathew et al. 2021)"""
    return _questions("DocVQA", "docId", split)


@task("infographicvqa", report="Table 7")
def infographicvqa(*, split: str = "validation") -> Task:
    """Questions about infographics (Mathew et al. 2022)"""
    return _questions("InfographicVQA", "image_url", split)
