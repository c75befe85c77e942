"""DocVQA and InfographicVQA: questions about a page or an infographic, answered with text that it shows.

Data: `lmms-lab/DocVQA` at 539088e, a copy of the competition's files (https://rrc.cvc.uab.es/?ch=17) that its
card puts under Apache-2.0. Config `DocVQA` (Mathew et al. 2021, arXiv 2007.00398; pages of the UCSF Industry
Documents Library): 5,349 questions for validation, 5,188 for test. Config `InfographicVQA` (Mathew et al.
2022, arXiv 2104.12756): 2,801 and 3,288. Intervals resample pages (`docId`) and infographics (`image_url`).

Measure: ANLS with threshold 1/2, as the competition's script computes it (`evalkit.scoring.anls`); beside it
"ANLS (paper)", the published equation, which divides by other lengths and gives nothing to a similarity of
exactly one half. The answer is the whole reply, trimmed: the script would credit white space around it.
Nothing else is removed, a full stop neither.

The report's figures are of the test split. Its references are not public: `--set split=test` asks the
questions and judges none, and the answers are exported as the competition's server takes them, a list of
{"questionId": int, "answer": str} in which a question without an answer has the empty one.

Prompt: Gemini 1.5 report, appendices 12.14.7 and 12.14.10, the same for both. The 1.0 report prints none; it
says zero-shot, short answers, greedy, pixels only. The text that InfographicVQA brings from an OCR engine is
never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
    Variant,
    Verdict,
    task,
    unknown,
    versioned,
)
from evalkit.scoring.anls import anls, anls_by_the_paper

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
    """How a record is read; `cluster` is the column that names its picture.

    On the test split no sample has references, whatever the record holds. On the other one a record
    without any is a `ValueError`: its question would go unjudged.
    """

    def sample(record: Record) -> Sample:
        target = tuple(record["answers"] or ()) if split != "test" else ()
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
    asked = (f"{INSTRUCTION}\n", sample.media[0], f"\nQuestion: {sample.input} Answer:")
    return (Message("user", asked),)


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
    return Verdict(similarity >= 0.5, f"similarity {similarity:.3f}", similarity)


def gold(sample: Sample, protocol: Protocol) -> str:
    return sample.target[0] if sample.target else ""


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Nothing, and a text as long as the longest reference that has no character of any."""
    used = {*"".join(sample.target).lower()}
    strange = next(c for c in map(chr, range(ord("0"), 0x10000)) if c.isalnum() and c.lower() not in used)
    return ("", strange * max(len(reference.upper()) for reference in sample.target or ("?",)))


def submission(answers: Iterable[Submitted]) -> JSON:
    """What the competition's server takes: every question once, an answer that is a text."""
    return [{"questionId": int(one.id), "answer": one.answer or ""} for one in answers]


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
