"""Any questions about pictures: your own set, without code.

    evalkit run -m openai/my-model -t vqa --set dataset=./receipts --set metric=anls
    evalkit run -m openai/my-model -t vqa --set dataset=owner/name --set split=validation --set question=query

`dataset` is a folder in any shape that `datasets` reads (parquet; JSON lines or CSV; pictures beside a
metadata.jsonl that names them), or `owner/name` on the Hub. `image` names a column of one picture or of a
list of them, shown before the question; in a folder they may also be names of files, from the folder on.
`answers` names one of a text, of a list of texts, or of a list of records with an `answer`. What a file
says is a text: 007, 1.50, None and 2019-05-01 stay what they are. A cell of a table may hold a list, as JSON.
`--data builtin` asks a few questions of evalkit's own.

`metric` says how an answer is judged:

- `vqa`: the VQA accuracy over at least four people's answers, as `tasks/vqav2.py` has it, both sides
  normalised whether the people agree or not;
- `anls`: similarity to the nearest reference, as for DocVQA;
- `relaxed`: numbers within 5 %, other texts exactly, as for ChartQA;
- `exact`: equal to a reference but for case, white space around it and a full stop at its end; letters with
  marks may be composed or not. It is the default, and for a reference of one letter the only sensible one.

The prompt is the instruction, the pictures, and the question; `instruction` replaces the first.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.api import (
    Accuracy,
    Cell,
    Data,
    DataError,
    DataOptions,
    Hub,
    Image,
    Local,
    MeanCredit,
    Message,
    Metric,
    Prompt,
    Protocol,
    Record,
    Records,
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

from .kit import credited, is_on_the_hub, strange_sign

INSTRUCTION = "Answer the question using a single word or phrase."
OWN = "evalkit/pictures"
LEAST = 4
"""People that must have answered: three others of the same opinion are full marks."""


def reader(question: str, image: str, answers: str, group: str, least: int) -> Callable[[Record], Sample]:
    """How a record is read; the texts are columns, `group` may be "", `least` answers there must be."""

    def sample(record: Record) -> Sample:
        shown = record[image] if isinstance(record[image], list) else [record[image]]
        media = tuple(picture(one, image) for one in shown)
        pictures = [one.key for one in media]
        target, asked = references(record[answers]), text_of(record[question], question)
        if len(target) < least:
            raise ValueError(
                f"{len(target)} answers, where metric=vqa compares those of {least} people or more"
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
    if stored is not None and not isinstance(stored, bytes | Mapping):
        raise ValueError(f"{column} is {str(stored)[:60]!r}: a picture, or a list of pictures")
    return Image.of(stored)


def references(found: object) -> tuple[str, ...]:
    """Texts, from a text, a list of them, or a list of records with an `answer`.

    A cell of a table may hold a list of texts, as JSON or Python writes it.
    """
    if isinstance(found, Cell):
        found = found.listed() or found
    listed = found if isinstance(found, list) else [found]
    texts = [item["answer"] if isinstance(item, Mapping) else item for item in listed]
    if not texts or any(text is None for text in texts):
        raise ValueError(f"answers are {found!r}: a text, or a list of texts")
    given = tuple(text_of(text, "an answer") for text in texts)
    if not any(text.strip() for text in given):  # nobody could be right
        raise ValueError("answers are empty: a text, or a list of texts")
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
    """Nothing, and a sign that no reference has, as often as the longest has signs."""
    return ("", strange_sign(sample.target) * max(map(len, sample.target)))


@dataclass(frozen=True, slots=True)
class Unnamed:
    """evalkit's own pictures for `--data builtin`; else it asks for a set."""

    config: str
    split: str
    columns: tuple[str, ...]
    name: str = OWN

    def open(self, options: DataOptions | None = None) -> Records:
        if options is None or not (options.small_sets or options.folder):
            raise DataError("vqa asks about a set of yours: --set dataset=FOLDER, or owner/name on the Hub")
        return Hub(OWN, self.config, self.split, "main", self.columns).open(options)


def _data(dataset: str, config: str, split: str, columns: tuple[str, ...], image: str) -> Data:
    if not dataset:
        return Unnamed(config, split, columns)
    if is_on_the_hub(dataset):
        return Hub(dataset, config, split=split, revision="main", columns=columns)
    return Local(Path(dataset).expanduser(), config, split, columns, files=(image,))


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
        raise UsageError("instruction= is empty: leave it out for evalkit's own")
    score, figure = METRICS[metric]
    columns = tuple(filter(None, (question, image, answers, group)))
    return Task(
        data=_data(dataset, config, split, columns, image),
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
