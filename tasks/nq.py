r"""NaturalQuestions with short answers: closed-book, and with passages that a search has found.

`nq-open` (Kwiatkowski et al. 2019; Lee et al. 2019, arXiv 1906.00300): 3,610 questions of NQ-open's
validation split, the test set of every paper. Data: `google-research-datasets/nq_open`, CC BY-SA 3.0, 87,925
questions to train; the same lines as `nq_open/` in google-research-datasets/natural-questions at fb26a30. No
commit of the copy could be verified, so it is read at `main`, and a run records the commit that it got.

Measure: exact match with any reference, by NQ-open's script (`evalkit.scoring.squad.nq_open_match`). The
answer is the first line of the response. lm-evaluation-harness 0.4.13 cuts answers at commas and full stops
and drops articles only before a blank, so its figure is another one.

Table 3 of the report prints "accuracy" for Nano 1 and 2, without shots or a prompt, so no protocol is known
to be the report's. `64-shot` is what GPT-3 (Brown et al. 2020) reports: "Q: …?\nA: …" pairs drawn from the
training split. Here they are the 64 whose questions have the smallest SHA-256, a random choice that the order
of the data does not change, the same for every question; `5-shot` shows the first five. `0-shot-chat` is
evalkit's own.

`nq-retrieved`: the passages of the report's row were not published. You bring them, in a column:

    evalkit run -m openai/my-model -t nq-retrieved --set dataset=./found --set k=5

`dataset` is a folder in any form that `datasets` reads, or `owner/name` on the Hub. `passages` names the
column with the list of passages, best first: each is a text, or has a `text` and perhaps a `title`. The first
`k` are shown. FiD's and lost-in-the-middle's files are read with `--set passages=ctxs --set answers=answers`.
Beside the exact match stands `retrieval recall`, the share of questions with an answer in a passage shown,
without which the figure measures the search; titles do not count. Groups are these questions and the others.
"""

from __future__ import annotations

import heapq
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.api import (
    JSON,
    Accuracy,
    CsvCell,
    Data,
    DataOptions,
    Hub,
    Local,
    Mapped,
    Message,
    OwnDataError,
    Prompt,
    Protocol,
    Record,
    Records,
    Sample,
    ShareOfSamples,
    Task,
    UsageError,
    Verdict,
    sample_id,
    task,
    text_of,
    versioned,
)
from evalkit.scoring.squad import first_line, nq_open_match

from .kit import is_in, is_on_the_hub, strange_sign

NAME, OWN = "google-research-datasets/nq_open", "evalkit/retrieved"
CHAT = "0-shot-chat"
SHOTS = 64
FOUND, NOT_FOUND = "answer in a passage", "answer in none"
BRIEFLY = "Answer the question with a name, a date or a few words, without a sentence around it."


@versioned("nq.drawn_examples", 1)
def drawn_examples(records: Iterable[Record]) -> list[Record]:
    """The `SHOTS` records whose questions have the smallest digests, in the order of these."""
    return heapq.nsmallest(SHOTS, records, key=lambda record: sample_id(record["question"]))


def to_sample(record: Record) -> Sample:
    return _sample(record["question"], record["answer"], {})


def _sample(question: str, answers: object, meta: Mapping[str, JSON], group: str = "") -> Sample:
    """Raises `ValueError` if there is no answer that is not blank."""
    if isinstance(answers, CsvCell):
        answers = answers.listed() or answers
    listed = answers if isinstance(answers, list) else [answers]
    target = tuple(text for text in (text_of(one, "an answer") for one in listed) if text.strip())
    if not target:
        raise ValueError(f"the question {question[:60]!r} has no answer")
    return Sample(id=sample_id(question), input=question, target=target, group=group, meta=meta)


@versioned("nq.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    question = f"Q: {_asked(sample)}\nA:"
    shown = [f"Q: {_asked(shot)}\nA: {shot.target[0]}" for shot in sample.shots[: protocol.shots]]
    text = f"{BRIEFLY}\n\n{_asked(sample)}" if protocol.name == CHAT else "\n\n".join([*shown, question])
    return text if protocol.api == "completion" else (Message("user", text),)


@versioned("nq.prompt_retrieved", 1)
def prompt_retrieved(sample: Sample, protocol: Protocol) -> Prompt:
    """The passages, best first and numbered, and then the question."""
    passages = sample.meta["passages"]
    assert isinstance(passages, list)
    shown = "\n\n".join(f"[{number}] {passage}" for number, passage in enumerate(passages, 1))
    if protocol.name == CHAT:
        text = f"{BRIEFLY} These passages may hold the answer.\n\n{shown}\n\n{_asked(sample)}"
    else:
        text = f"{shown}\n\nQ: {_asked(sample)}\nA:"
    return text if protocol.api == "completion" else (Message("user", text),)


def _asked(sample: Sample) -> str:
    return sample.input.rstrip("? ") + "?"


@versioned("nq.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    return Verdict(nq_open_match(answer, sample.target))


def gold(sample: Sample, protocol: Protocol) -> str:
    return sample.target[0]


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    """Another word, an answer with one, an answer only on the second line, and nothing."""
    stranger = 3 * strange_sign((*sample.target, "aehnt"), "b")
    right = sample.target[0]
    return (stranger, f"{right} {stranger}", f"{stranger}\n{right}", "")


@task("nq-open", report="Table 3")
def nq_open() -> Task:
    """NaturalQuestions without passages (Kwiatkowski et al. 2019)"""
    train, validation = (
        Hub(NAME, "nq_open", split=split, revision="main", columns=("question", "answer"))
        for split in ("train", "validation")
    )
    return Task(
        data=validation,
        dev=Mapped(train, drawn_examples),
        shots_by=lambda sample: "",
        sample=to_sample,
        prompt=prompt,
        answer=first_line,
        scorer=score,
        metrics=(Accuracy(),),
        size=3610,
        protocols=(
            Protocol(
                name="64-shot", shots=SHOTS, max_tokens=32, stop=("\nQ:",), drop_shots=True,
                source="Brown et al. 2020 (64 shots); the Gemini 1.0 report, table 3, gives no shots",
            ),
            Protocol(name="5-shot", shots=5, max_tokens=32, stop=("\nQ:",), source="evalkit"),
            Protocol(name=CHAT, max_tokens=128, source="evalkit"),
        ),
        max_shots=SHOTS,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip


def reader(question: str, answers: str, passages: str, k: int) -> Callable[[Record], Sample]:
    """The function that reads a record; the texts are columns. `k`: how many passages are shown."""

    def sample(record: Record) -> Sample:
        found = _passages(record[passages], passages)[:k]
        asked = text_of(record[question], question)
        meta: dict[str, JSON] = {"passages": [f"{title}\n{text}" if title else text for title, text in found]}
        made = _sample(asked, record[answers], meta)
        held = any(holds(text, made.target) for _, text in found)
        return _sample(asked, record[answers], {**meta, "held": held}, FOUND if held else NOT_FOUND)

    return sample


def _passages(listed: object, column: str) -> list[tuple[str, str]]:
    """(title or "", text) of each passage. Raises `ValueError` for anything but a list of passages."""
    if isinstance(listed, str):  # a cell of a table
        try:
            listed = json.loads(listed)
        except ValueError:
            listed = None
    if not isinstance(listed, list):
        raise ValueError(f"{column} must be a list of passages, each a text or with a title and a text")
    found = []
    for passage in listed:
        held = passage if isinstance(passage, Mapping) else {"text": passage}
        if not isinstance(held.get("text"), str):
            raise ValueError(f"a passage of {column} has no text: {str(passage)[:60]!r}")
        found.append((str(held.get("title") or ""), held["text"]))
    return found


@versioned("nq.holds", 1)
def holds(passage: str, answers: Iterable[str]) -> bool:
    """Whether the tokens of one of the answers stand in the passage, one after the other.

    facebookresearch/DPR at 10ca720, `dpr/data/qa_validation.py`, `has_answer`: both are decomposed and in
    lower case; a token is a run of letters, digits and marks, or any other visible sign.
    """
    text = _tokens(passage)
    return any(_tokens(answer) in text for answer in answers)


def _tokens(text: str) -> str:
    """The tokens, each between blanks."""
    tokens = [" "]
    for sign in unicodedata.normalize("NFD", text).lower():
        kind = unicodedata.category(sign)[0]
        tokens.append(sign if kind in "LNM" else " " if kind in "ZC" else f" {sign} ")
    return " " + " ".join("".join(tokens).split()) + " "


@dataclass(frozen=True, slots=True)
class OwnPassages:
    """The passages of `--data`, which may be evalkit's own; without them `open` raises `OwnDataError`."""

    columns: tuple[str, ...]

    def open(self, options: DataOptions | None = None) -> Records:
        if options is None or not (options.small_sets or is_in(options.folder, OWN)):
            raise OwnDataError(
                "nq-retrieved needs questions with passages, as none were published: "
                "--set dataset=FOLDER, or owner/name on the Hub"
            )
        return Hub(OWN, "default", "validation", "main", self.columns).open(options)


@task("nq-retrieved", report="Table 3")
def nq_retrieved(
    *,
    dataset: str = "",
    config: str = "default",
    split: str = "validation",
    question: str = "question",
    answers: str = "answer",
    passages: str = "passages",
    k: str = "10",
) -> Task:
    """NaturalQuestions with retrieved passages, which you bring: --set dataset=FOLDER"""
    if not k.isascii() or not k.isdigit() or int(k) < 1:
        raise UsageError(f"k={k}: must be a whole number of passages, at least 1")
    columns = (question, answers, passages)
    data: Data = OwnPassages(columns)
    if dataset and is_on_the_hub(dataset):
        data = Hub(dataset, config, split=split, revision="main", columns=columns)
    elif dataset:
        data = Local(Path(dataset).expanduser(), config, split, columns)
    return Task(
        data=data,
        sample=reader(question, answers, passages, int(k)),
        prompt=prompt_retrieved,
        answer=first_line,
        scorer=score,
        metrics=(Accuracy(), ShareOfSamples("retrieval recall", "held")),
        protocols=(
            Protocol(
                name="0-shot", max_tokens=32, stop=("\nQ:",),
                source="evalkit; the Gemini 1.0 report, table 3, gives no prompt",
            ),
            Protocol(name=CHAT, max_tokens=128, source="evalkit"),
        ),
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
