"""MMMU: college questions about pictures, in 30 subjects (Yue et al. 2023, arXiv 2311.16502).

The report prints 59.4 % pass@1 and 62.4 % Maj1@32 for Ultra on the 900 validation questions, zero-shot and
pixels only (table 7; by discipline in table 8). The headline weights questions equally; groups are the
subjects, tags the six disciplines.

- Data: `MMMU/MMMU` at 98e6ac0, Apache-2.0; a config for each subject, 30 validation questions in each.
- Prompt: the authors' text (MMMU-Benchmark/MMMU at bb0b95a, mmmu/configs/llava1.5.yaml and
  mmmu/utils/data_utils.py). The report does not print its own, but says that answers are short; the prompt
  of the 1.5 report (appendix 12.14.3) asks for reasoning first.
- Pictures replace the marks "<image 1>" to "<image 7>" of the question and the options, at every occurrence.
  The authors' script shows LLaVA only the first picture, before the text, and none if the options have
  several. As in their script, a record without any mark shows its first picture before the text. Pictures
  without a mark are not shown, because they may belong to the explanation. If a mark has no picture, only
  that question fails ("media"): as first published, `validation_Math_7` referred to picture 30.
- Answer: the authors' parsing, without its random guess (`evalkit.scoring.mmmu`). `accuracy (random guess)`
  is the expected value of what their script prints.
- `maj1@32`: the same prompt, at temperature 0.7 without top-k, as Wang et al. (2022, arXiv 2203.11171)
  sampled GPT-3, since the report does not give one. Draws of an open question count as the same vote if
  everything that is parsed from them is the same.
- `max_tokens` is 1,024, because models that reason before they answer need more tokens than a letter has, and
  a response that is cut off loses its answer.
- `--set split=test`: 10,500 questions, whose answers were withheld for years ("?" in the data). Such a
  question is asked and exported for the authors' server (EvalAI, challenge 2179) as {id: answer}, but not
  scored; a question whose answer is in the data is scored.
- Questions about the same first picture are one cluster.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

from evalkit.api import (
    JSON,
    Accuracy,
    GuessingAccuracy,
    Hub,
    Image,
    Message,
    Part,
    Prompt,
    Protocol,
    Record,
    Sample,
    Submitted,
    Task,
    Verdict,
    letters,
    majority_vote,
    task,
    unknown,
    versioned,
)
from evalkit.scoring.mmmu import as_response, mmmu_answer, mmmu_is_right, open_values

from .kit import first_reference
from .mmmu_fields import SUBJECTS, discipline_of, subject_of

REVISION = "98e6ac0cb9b7b2cd2c991b85a50762edc4aedc68"
SPLITS = ("validation", "test")
COLUMNS = ("id", "question", "options", "answer", "question_type", *(f"image_{n}" for n in range(1, 8)))
LETTER = "Answer with the option's letter from the given choices directly."
PHRASE = "Answer the question using a single word or phrase."
HIDDEN = ("", "?")
MARK = re.compile(r"<image ([0-9]{1,3})>")
MOST_TEXT, MOST_CHOICES = 20_000, 26


def to_sample(record: Record) -> Sample:
    """The sample of a record. Raises `ValueError`, with the record's id, if its options are not a list.

    If the record lacks a picture that its text names, the picture is empty, and only that question fails.
    """
    name, question = record["id"], record["question"]
    choices = _choices(record) if record["question_type"] == "multiple-choice" else ()
    if not _marks(question, choices) and record["image_1"] is not None:
        question = f"<image 1>\n{question}"
    pictures = tuple(Image.of(record.get(f"image_{mark}")) for mark in _marks(question, choices))
    subject = subject_of(name)
    return Sample(
        id=name,
        input=question,
        target=_references(record["answer"] or ""),
        choices=choices,
        group=subject,
        tags=(discipline_of(subject),),
        media=pictures,
        cluster=pictures[0].key if pictures else "",
    )


def _marks(question: str, choices: Iterable[str]) -> list[str]:
    """The numbers of the pictures that the text names, each once, in order of occurrence."""
    return list(dict.fromkeys(MARK.findall("\n".join([question, *choices]))))


def _choices(record: Record) -> tuple[str, ...]:
    options = _list(record["options"])
    if options is None or not 1 <= len(options) <= MOST_CHOICES:
        raise ValueError(
            f"{record['id']}: options must be a list of 1 to {MOST_CHOICES}, not {record['options'][:60]!r}"
        )
    return tuple(str(option) for option in options)


def _references(answer: str) -> tuple[str, ...]:
    """The references: one, or several if `answer` is the text of a list; none if it is not public."""
    found = _list(answer) if answer.startswith("[") else None
    texts = tuple(one for one in found or () if isinstance(one, str))
    if found and len(texts) == len(found):
        return texts
    return () if answer in HIDDEN else (answer,)


def _list(text: str) -> list[object] | None:
    """The Python list that is written in `text`, read without evaluation; None if there is none."""
    if len(text) > MOST_TEXT:
        return None
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, list) else None


@versioned("mmmu.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    marked = zip(letters(sample), sample.choices, strict=True)
    options = "".join(f"({letter}) {choice}\n" for letter, choice in marked)
    asked = f"{options}\n{LETTER}" if sample.choices else PHRASE
    shown = dict(zip(_marks(sample.input, sample.choices), sample.media, strict=True))
    # split() keeps the pattern's group: text, number, text, number, …, text
    pieces = enumerate(MARK.split(f"{sample.input}\n{asked}"))
    parts: list[Part] = [shown[piece] if i % 2 else piece for i, piece in pieces if piece]
    return (Message("user", tuple(parts)),)


@versioned("mmmu.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    right = mmmu_is_right(answer, sample)
    says = "fits" if right else "does not fit"
    return Verdict(right, f"{answer[:200]} {says} {' or '.join(sample.target)}")


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """A wrong letter and a withdrawn right one, or numbers that are no reference; no answer, and nothing."""
    if not sample.choices:
        values = [value for reference in sample.target for value in open_values(reference)]
        above = max((value for value in values if isinstance(value, float)), default=0.0) + 1
        return (str(above), f"{above}\n{above + 1}", "unknowable", "")
    wrong = next((letter for letter in letters(sample) if letter not in sample.target), "")
    withdrawn = f"({sample.target[0]}), no, ({wrong})" if wrong else ""
    return (wrong, withdrawn, "No idea.", "")


def submission(answers: Iterable[Submitted]) -> JSON:
    """The form of mmmu/main_eval_only.py and the authors' server: a letter, or a text that is parsed there.

    An answer that could not be parsed is "", which is wrong; without an entry it would not be counted.
    """
    return {one.id: _as_submitted(one.answer) for one in answers}


def _as_submitted(answer: str | None) -> str:
    if answer is None:
        return ""
    return as_response(answer) if answer.startswith("[") else answer  # a JSON list, or a letter


@task("mmmu", report="Table 7")
def mmmu(*, split: str = "validation") -> Task:
    """College questions about pictures, in 30 subjects (Yue et al. 2023)"""
    if split not in SPLITS:
        raise unknown("split of mmmu", split, SPLITS)
    return Task(
        data=Hub("MMMU/MMMU", SUBJECTS, split=split, revision=REVISION, columns=COLUMNS),
        sample=to_sample,
        prompt=prompt,
        answer=mmmu_answer,
        scorer=score,
        metrics=(Accuracy(), GuessingAccuracy()),
        size=900 if split == "validation" else 10_500,
        # the paper does not give the number of test questions per subject
        group_sizes=dict.fromkeys(SUBJECTS, 30) if split == "validation" else {},
        protocols=(
            Protocol(
                name="pass@1", max_tokens=1024,
                source="Gemini 1.0 report, tables 7 and 8 (pass@1, greedy); prompt: the authors'",
            ),
            Protocol(
                name="maj1@32", reader=majority_vote, draws=32, temperature=0.7, max_tokens=1024,
                source="Gemini 1.0 report, tables 7 and 8 (Maj1@32); temperature: Wang et al. 2022",
            ),
        ),
        media=("image",),
        submission=submission,
        gold=first_reference,
        wrong_responses=wrong_responses,
    )  # fmt: skip
