"""What several benchmarks share: prompts about a picture, credit, right and wrong replies, submissions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from evalkit.api import (
    JSON,
    Data,
    DataOptions,
    Hub,
    Local,
    Message,
    OwnDataError,
    Prompt,
    Protocol,
    Records,
    Sample,
    Submitted,
    Verdict,
    letters,
)


def is_in(folder: Path | None, name: str) -> bool:
    """Whether a folder laid out like the Hub has the data set `owner/name`; False without a folder."""
    return folder is not None and folder.joinpath(*name.split("/")).is_dir()


def is_on_the_hub(dataset: str) -> bool:
    """Whether `dataset` is `owner/name` on the Hub: it does not look like a path, and is not a folder."""
    looks_like_a_path = dataset.startswith((".", "/", "~"))
    return dataset.count("/") == 1 and not looks_like_a_path and not Path(dataset).is_dir()


@dataclass(frozen=True, slots=True)
class SmallSet:
    """evalkit's own set `name`, for `--data`, of a benchmark whose data the user brings.

    Otherwise opening it raises `OwnDataError` with the text `missing`, which says how to bring the data.
    """

    name: str
    config: str
    split: str
    columns: tuple[str, ...]
    missing: str
    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        if options is None or not (options.small_sets or is_in(options.folder, self.name)):
            raise OwnDataError(self.missing)
        return Hub(self.name, self.config, self.split, "main", self.columns).open(options)


def brought(dataset: str, small: SmallSet, files: tuple[str, ...] = ()) -> Data:
    """The user's `dataset`, a folder or `owner/name` on the Hub, with config, split and columns of `small`.

    Without a `dataset` it is `small`. `files`: as in `Local`.
    """
    if not dataset:
        return small
    if is_on_the_hub(dataset):
        return Hub(dataset, small.config, split=small.split, revision="main", columns=small.columns)
    return Local(Path(dataset).expanduser(), small.config, small.split, small.columns, files=files)


def about_picture(rules: str, sample: Sample, question: str) -> Prompt:
    """The rules, the sample's picture and the question, in the order of Gemini 1.5 report, appendix 12.14."""
    return (Message("user", (rules, sample.media[0], f"\nQuestion: {question}")),)


def about_document(sample: Sample, protocol: Protocol, asking: str, kind: str) -> Prompt:
    """The document of a sample and a question about it.

    SCROLLS' protocol has the question first; a chat protocol has the instruction `asking`, and the `kind` of
    document above it; any other has the form of lm-evaluation-harness's `scrolls_…`.
    """
    if protocol.name.endswith("scrolls"):
        text = f"{sample.input}\n\n{sample.document}"
    elif protocol.name.endswith("chat"):
        text = f"{asking}\n\n{kind}:\n{sample.document}\n\nQuestion: {sample.input}"
    else:
        text = f"{sample.document}\n\nQuestion: {sample.input}\nAnswer:"
    return text if protocol.api == "completion" else (Message("user", text),)


def credited(credit: float, reason: str) -> Verdict:
    """The verdict of a credit between 0 and 1: an answer is right from one half on."""
    return Verdict(credit >= 0.5, reason, credit)


def first_reference(sample: Sample, protocol: Protocol) -> str:
    """`Task.gold` of a benchmark whose scorer compares the reply itself: the first reference."""
    return sample.target[0]


def best_answer(sample: Sample, accuracy: Callable[[str, Sequence[str]], float]) -> str:
    """The answer of people that gets the most credit, an empty one only if all are empty."""
    return max(sample.target, key=lambda answer: (bool(answer.strip()), accuracy(answer, sample.target)))


def wordy(opening: str, best: str, sample: Sample) -> Sequence[str]:
    """Wrong replies: the best answer within a sentence, a word longer than any answer, and nothing."""
    stranger = "x" * (1 + max(map(len, sample.target)))
    return (f"{opening} {best} {stranger}", stranger, "")


def wrong_letters(sample: Sample, respond: Callable[[str], str], *, generated: bool) -> Sequence[str]:
    """Wrong replies to a question with choices: every wrong letter, as `respond` gives it.

    `generated`: also a withdrawn right letter, no letter, and nothing.
    """
    right = sample.target[0]
    wrong = [letter for letter in letters(sample) if letter != right]
    others = [respond(letter) for letter in wrong]
    if not generated:
        return others
    return (*others, f"The answer is ({right}). No, the answer is ({wrong[0]}).", "I do not know.", "")


def strange_sign(texts: Iterable[str], first: str = "a") -> str:
    """The first letter or digit, from `first` on, that is in none of `texts`, ignoring case."""
    used = set("".join(texts).casefold())
    signs = map(chr, range(ord(first), 0x10000))
    return next(sign for sign in signs if sign.isalnum() and sign.casefold() not in used)


def answer_list(answers: Iterable[Submitted], key: str) -> JSON:
    """[{`key`: int, "answer": str}]: every question once, with "" if there was no answer."""
    return [{key: int(submitted.id), "answer": submitted.answer or ""} for submitted in answers]
