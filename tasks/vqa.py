"""Your own questions about pictures, without code.

    evalkit run -m openai/my-model -t vqa --set dataset=./receipts --set metric=anls
    evalkit run -m openai/my-model -t vqa --set dataset=owner/name --set split=validation --set question=query

`dataset` is a folder in any form that `datasets` reads (parquet; JSON lines or CSV; pictures with a
metadata.jsonl that names them), or `owner/name` on the Hub. `image` names the column of one picture or of a
list of pictures, which are shown before the question; in a folder they may also be file names relative to the
folder. `answers` names the column of a text, of a list of texts, or of a list of records with an `answer`.
The values of a text file are texts: 007, 1.50, None and 2019-05-01 stay as they are. A cell of a table may be
a list, as JSON. `--data builtin` uses a few questions of evalkit's own.

`metric` selects how an answer is scored:

- `vqa`: VQA accuracy over the answers of at least four people, as in `tasks/vqav2.py`, with both sides
  normalised whether the people agree or not;
- `anls`: similarity to the nearest reference, as for DocVQA;
- `relaxed`: numbers within 5 %, other texts exactly, as for ChartQA;
- `exact`: equal to a reference, ignoring case, white space around it, a full stop at its end and the Unicode
  normal form. It is the default, and the only sensible one for references of one letter.

The prompt is the instruction, the pictures, and the question; `instruction` replaces the first.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from evalkit.api import (
    Accuracy,
    CsvCell,
    Image,
    MeanCredit,
    Message,
    Metric,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    UsageError,
    Verdict,
    sample_id,
    task,
    text_of,
    unknown,
    versioned,
)
from evalkit.scoring.anls import anls
from evalkit.scoring.relaxed import relaxed_match
from evalkit.scoring.vqa import vqa_accuracy_normalised

from .kit import SmallSet, brought, credited, strange_sign

INSTRUCTION = "Answer the question using a single word or phrase."
OWN = "evalkit/pictures"
MISSING = "vqa needs a data set: --set dataset=FOLDER, or owner/name on the Hub"
LEAST = 4
"""The fewest answers per question: an answer gets full credit if it agrees with three other people's."""


def reader(question: str, image: str, answers: str, group: str, least: int) -> Callable[[Record], Sample]:
    """The function that reads a record. The texts are columns; `group` may be "".

    The function raises `ValueError` for a record with fewer than `least` answers.
    """

    def sample(record: Record) -> Sample:
        shown = record[image] if isinstance(record[image], list) else [record[image]]
        media = tuple(picture(one, image) for one in shown)
        pictures = [one.key for one in media]
        target, asked = references(record[answers]), text_of(record[question], question)
        if len(target) < least:
            raise ValueError(
                f"{len(target)} answers: metric=vqa needs the answers of at least {least} people"
            )
        return Sample(
            id=sample_id(asked, *pictures),
            input=asked,
            target=target,
            group=text_of(record[group], group) if group else "",
            cluster=" ".join(pictures),
            media=media,
        )

    return sample


def picture(stored: object, column: str) -> Image:
    """A picture as stored in `column`. Raises `ValueError` if it is not one."""
    if stored is not None and not isinstance(stored, bytes | Mapping):
        raise ValueError(f"{column} must be a picture or a list of pictures, not {str(stored)[:60]!r}")
    return Image.of(stored)


def references(found: object) -> tuple[str, ...]:
    """The references from a text, a list of texts, or a list of records with an `answer`.

    A cell of a table may be a list of texts, in JSON or Python. Raises `ValueError` for anything else.
    """
    if isinstance(found, CsvCell):
        found = found.listed() or found
    listed = found if isinstance(found, list) else [found]
    texts = [item["answer"] if isinstance(item, Mapping) else item for item in listed]
    if not texts or any(text is None for text in texts):
        raise ValueError(f"answers must be a text or a list of texts, not {found!r}")
    given = tuple(text_of(text, "an answer") for text in texts)
    if not any(text.strip() for text in given):  # no answer could be right
        raise ValueError("answers must not be empty")
    return given


@versioned("vqa.prompt", 1)
def prompt(sample: Sample, protocol: Protocol, *, instruction: str) -> Prompt:
    """The instruction, the pictures, the question."""
    return (Message("user", (instruction, *sample.media, sample.input)),)


@versioned("vqa.whole_reply", 1)
def whole_reply(text: str, sample: Sample) -> str | None:
    return text.strip() or None


@versioned("vqa.by_vqa", 1)
def by_vqa(answer: str, sample: Sample) -> Verdict:
    credit = vqa_accuracy_normalised(answer, sample.target)
    return credited(credit, f"credit {credit:.1f}")


@versioned("vqa.by_anls", 1, packages=("rapidfuzz",))
def by_anls(answer: str, sample: Sample) -> Verdict:
    similarity = anls(answer, sample.target)
    return credited(similarity, f"similarity {similarity:.3f}")


@versioned("vqa.by_relaxed", 1)
def by_relaxed(answer: str, sample: Sample) -> Verdict:
    return Verdict(any(relaxed_match(answer, reference) for reference in sample.target))


@versioned("vqa.by_equality", 2)
def by_equality(answer: str, sample: Sample) -> Verdict:
    return Verdict(_plain(answer) in set(map(_plain, sample.target)))


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFC", text).strip().removesuffix(".").casefold()
    return unicodedata.normalize("NFC", folded)


METRICS: dict[str, tuple[Callable[[str, Sample], Verdict], Metric]] = {
    "exact": (by_equality, Accuracy()),
    "vqa": (by_vqa, MeanCredit("VQA accuracy")),
    "anls": (by_anls, MeanCredit("ANLS")),
    "relaxed": (by_relaxed, MeanCredit("relaxed accuracy")),
}


def gold(sample: Sample, protocol: Protocol) -> str:
    """The most frequent reference."""
    return max(sample.target, key=sample.target.count)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Nothing, and a text as long as the longest reference, of a character that is in none of them."""
    return ("", strange_sign(sample.target) * max(map(len, sample.target)))


@task("vqa")
def vqa(
    *,
    dataset: str = "",
    config: str = "default",
    split: str = "test",
    question: str = "question",
    image: str = "image",
    answers: str = "answers",
    group: str = "",
    metric: str = "exact",
    instruction: str = INSTRUCTION,
) -> Task:
    """Your own questions about pictures: --set dataset=FOLDER"""
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    if not instruction.strip():
        raise UsageError("instruction= must not be empty: omit it to use evalkit's own")
    score, figure = METRICS[metric]
    columns = tuple(filter(None, (question, image, answers, group)))
    return Task(
        data=brought(dataset, SmallSet(OWN, config, split, columns, MISSING), (image,)),
        sample=reader(question, image, answers, group, LEAST if metric == "vqa" else 1),
        prompt=functools.partial(prompt, instruction=instruction),
        answer=whole_reply,
        scorer=score,
        metrics=(figure,),
        protocols=(Protocol(name="0-shot", max_tokens=256, source="evalkit"),),
        media=("image",),
        gold=gold,
        wrong_responses=wrong_responses,
    )
