"""HellaSwag: 10,042 stories with four endings, one of them right (Zellers et al. 2019, arXiv 1905.07830).

The report prints 87.8 % for Ultra and 84.7 % for Pro, 10-shot, on a validation set without contaminated
items (table 2); which items those are is not published, so here all are asked. Its section 5.1.1 adds that a
hundred further steps on extracts of the websites behind the training split raise Pro to 89.6 % and Ultra to
96.0 %, 1-shot. The two halves of the data, clips of ActivityNet and articles of WikiHow, are therefore the
groups. Tags are `indomain` and `zeroshot`: whether the training split has stories of the same activity.

- `10-shot` asks for a letter, as the report's team describes one version later (Gemini 1.5 report, appendix
  12.13): "A) … B) … C) … D) …", a new line, "What is the right option?", and the letter. The letter is the
  likeliest of " A" to " D" as the next token; the report does not say whether it was scored or generated.
  `10-shot-chat` generates it.
- `0-shot-continuation` and `10-shot-continuation` compare the endings themselves as continuations of the
  story, as the `hellaswag` of lm-evaluation-harness 0.4.13 does: the log-probability of " " and the ending,
  divided by the ending's characters (its `acc_norm`). Beside it stand `accuracy (by bytes)` (`acc_bytes`) and
  `accuracy (unnormalised)` (`acc`). Figures of this kind, such as 85.5 for GPT-3.5, are not comparable with
  those by letters, and a printed row does not always say which kind it is.
- Text: as in lm-evaluation-harness (`hellaswag/utils.py`): the activity, ": ", `ctx_a` and `ctx_b` with a
  capital; " [title]" becomes ". ", other words in brackets are left out, and pairs of blanks become one.
- Shots: which ten the report shows is not stated. evalkit takes the first five of either half of the training
  split, of ten different clips and articles, in turn.

Several stories are about the same clip or article (`source_id`); intervals resample these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from evalkit.api import (
    BY_BYTES,
    WHOLE,
    Accuracy,
    Hub,
    Mapped,
    Message,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    Verdict,
    ask_continuations,
    ask_likelihoods,
    choose_continuation,
    choose_letter,
    letters,
    list_of,
    sample_id,
    task,
    text_of,
    versioned,
)
from evalkit.scoring import chat_letter

from .kit import wrong_letters

REVISION = "218ec52e09a7e7462a5400043bb9a69a41d06b76"
COLUMNS = ("ind", "activity_label", "ctx_a", "ctx_b", "endings", "source_id", "split_type", "label")
HALVES = ("activitynet", "wikihow")
SHOTS = 10
QUESTION = "What is the right option?"
_IN_BRACKETS = re.compile(r"\[.*?\]")


def to_sample(record: Record) -> Sample:
    """Labels are texts, empty in the test split. Raises `ValueError` for a source that is neither half."""
    source, label = record["source_id"], str(record["label"]).strip()
    half = source.partition("~")[0]
    if half not in HALVES:
        raise ValueError(f"source_id is {source!r}: it must begin with {' or '.join(HALVES)}")
    about, first, second = (text_of(record[name], name) for name in ("activity_label", "ctx_a", "ctx_b"))
    story = plain(f"{about}: {first} {second.capitalize()}")
    endings = tuple(map(plain, list_of(record["endings"], "endings")))
    return Sample(
        id=sample_id(source, str(record["ind"]), story),
        input=story,
        target=("ABCD"[int(label)],) if label else (),
        choices=endings,
        group=half,
        cluster=source,
        tags=(record["split_type"],),
    )


def plain(text: str) -> str:
    """The text without WikiHow's marks in brackets (lm-evaluation-harness 0.4.13, hellaswag/utils.py)."""
    return _IN_BRACKETS.sub("", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def first_of_either_half(records: Iterable[Record]) -> Iterator[Record]:
    """The first five records of either half, of different sources, in turn; fewer if the data has fewer."""
    found: dict[str, dict[str, Record]] = {half: {} for half in HALVES}
    for record in records:
        chosen = found.get(record["source_id"].partition("~")[0], {})
        if len(chosen) < SHOTS // len(HALVES):
            chosen.setdefault(record["source_id"], record)
        if all(len(one) == SHOTS // len(HALVES) for one in found.values()):
            break
    for pair in zip(*(one.values() for one in found.values()), strict=False):
        yield from pair


@versioned("hellaswag.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    shots = sample.shots[: protocol.shots]
    if protocol.solver is ask_continuations:
        told = [f"{shot.input} {shot.choices[letters(shot).index(shot.target[0])]}" for shot in shots]
        text = "\n\n".join([*told, sample.input])
    else:
        told = [f"{_lettered(shot)} {shot.target[0]}" for shot in shots]
        text = "\n\n".join([*told, _lettered(sample)])
    return text if protocol.api == "completion" else (Message("user", text),)


def _lettered(sample: Sample) -> str:
    marked = zip(letters(sample), sample.choices, strict=True)
    options = " ".join(f"{letter}) {ending}" for letter, ending in marked)
    return f"{sample.input}\n{options}\n{QUESTION}"


@versioned("hellaswag.scorer", 1)
def score(answer: str, sample: Sample) -> Verdict:
    return Verdict(answer == sample.target[0], f"{answer}, and {sample.target[0]} is right")


def gold(sample: Sample, protocol: Protocol) -> str:
    return _as_response(sample.target[0], sample, protocol)


def wrong_responses(sample: Sample, protocol: Protocol) -> Sequence[str]:
    generated = protocol.reader not in (choose_letter, choose_continuation)
    return wrong_letters(sample, lambda letter: _as_response(letter, sample, protocol), generated=generated)


def _as_response(letter: str, sample: Sample, protocol: Protocol) -> str:
    if protocol.solver is ask_continuations:
        return sample.choices[letters(sample).index(letter)]
    return f" {letter}" if protocol.api == "completion" else letter


def _continuation(shots: int) -> Protocol:
    return Protocol(
        name=f"{shots}-shot-continuation", solver=ask_continuations, reader=choose_continuation,
        api="completion", likelihood="prompt", shots=shots, max_tokens=1, drop_shots=bool(shots),
        branches=(BY_BYTES, WHOLE), source="lm-evaluation-harness 0.4.13, hellaswag (acc_norm)",
    )  # fmt: skip


@task("hellaswag", report="Table 2")
def hellaswag() -> Task:
    """Stories with four endings (Zellers et al. 2019)"""
    validation, train = (
        Hub("Rowan/hellaswag", "default", split=split, revision=REVISION, columns=COLUMNS)
        for split in ("validation", "train")
    )
    return Task(
        data=validation,
        dev=Mapped(train, first_of_either_half),
        shots_by=lambda sample: "",
        sample=to_sample,
        prompt=prompt,
        answer=chat_letter,
        scorer=score,
        metrics=(Accuracy(), Accuracy(variant=BY_BYTES), Accuracy(variant=WHOLE)),
        size=10042,
        protocols=(
            Protocol(
                name="10-shot", solver=ask_likelihoods, reader=choose_letter, api="completion", shots=SHOTS,
                max_tokens=1, logprobs=20, drop_shots=True,
                source="Gemini 1.0 report, table 2 (10-shot); prompt: Gemini 1.5 report, appendix 12.13",
            ),
            Protocol(
                name="10-shot-chat", shots=SHOTS, max_tokens=256, drop_shots=True,
                source="prompt: Gemini 1.5 report, appendix 12.13; the letter is generated",
            ),
            _continuation(0),
            _continuation(SHOTS),
        ),
        max_shots=SHOTS,
        gold=gold,
        wrong_responses=wrong_responses,
    )  # fmt: skip
