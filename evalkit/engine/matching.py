"""Matches the samples of imported results to those of a task, whose rules then score their responses."""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import ModelScorer, Task
from evalkit.engine.faults import FAULTS
from evalkit.samples import Sample

Placed: TypeAlias = tuple[int, Sample]
"""A sample of the task, with its position in the data."""


_FEW = 3
"""The number of imported questions from which a template is found."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An imported sample: its place (cell, position), id, question and references."""

    place: tuple[int, int]
    id: str
    text: str
    target: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matched:
    """What `match` found.

    `pairs`: each matched sample, in the order of the task's data. `by_text`: how many of them were matched by
    their question and not by their id. `unmatched`, `ambiguous`: ids of imported samples that the task does
    not have, and of those that may be one of several. `disagree`: ids of matched samples whose imported
    reference is wrong by the task's rules. `of`: the number of the task's samples.
    """

    pairs: tuple[tuple[Stored, Placed], ...]
    by_text: int
    unmatched: tuple[str, ...]
    ambiguous: tuple[str, ...]
    disagree: tuple[str, ...]
    of: int


def match(
    stored: Sequence[Stored],
    samples: Callable[[], Iterable[Placed]],
    disagrees: Callable[[tuple[str, ...], Sample], bool] = lambda target, sample: False,
) -> Matched:
    """Finds the task's sample of each imported one.

    A sample is matched by its id, or else by its question, whose runs of white space count as one blank. Both
    must be unique among the imported samples and among the task's; of several samples with the same question,
    such as one about several passages, it is the only one whose references do not disagree. An id counts for
    nothing if the question is that of another sample only: the tool then numbered the questions otherwise. An
    id alone, with a question that the task does not have, counts for nothing if the references disagree too.

    If no question is the task's, and the first few imported ones are questions of the task between the same
    words, as in a tool's template "Question: … Answer:", these words are left out of all of them.

    `samples`: gives the task's samples in each call. `disagrees`: whether imported references are not those
    of a sample, as `references_disagree` says.
    """
    found = _matched(stored, samples(), disagrees)
    known = any(_plain(one.text) == _plain(sample.input) for one, (_, sample) in found.pairs)
    if known or not found.unmatched:
        return found
    template = _template([_plain(one.text) for one in stored[:_FEW]], samples())
    if template is None:
        return found
    return _matched(
        [replace(one, text=_inside(_plain(one.text), *template)) for one in stored], samples(), disagrees
    )


def _template(texts: Sequence[str], samples: Iterable[Placed]) -> tuple[str, str] | None:
    """Returns the words before and after the longest question of the task in each of `texts`, if the same."""
    longest = [""] * len(texts)
    for _, sample in samples:
        question = _plain(sample.input)
        for at, text in enumerate(texts):
            if len(question) > len(longest[at]) and question in text:
                longest[at] = question
    around = {tuple(text.split(own, 1)) for text, own in zip(texts, longest, strict=True) if own}
    if "" in longest or len(around) != 1:
        return None
    before, after = around.pop()
    return before, after


def _inside(text: str, before: str, after: str) -> str:
    framed = text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after)
    return text[len(before) : len(text) - len(after)] if framed else text


def _matched(
    stored: Sequence[Stored],
    samples: Iterable[Placed],
    disagrees: Callable[[tuple[str, ...], Sample], bool],
) -> Matched:
    found = _Known(stored)
    of = sum(1 for placed in samples if found.add(placed))
    taken: dict[int, list[tuple[Stored, Placed, bool]]] = defaultdict(list)
    unmatched, ambiguous = list[str](), list[str]()
    for one in stored:
        named, said = found.candidates(one)
        if named and (named[0] in said or not (said or disagrees(one.target, named[0][1]))):
            taken[named[0][0]].append((one, named[0], False))
            continue
        alike = said
        if len(said) > 1 and any(one.target):
            alike = [placed for placed in said if not disagrees(one.target, placed[1])]
        elif found.asked_twice(one):
            alike = []
        if len(alike) == 1:
            taken[alike[0][0]].append((one, alike[0], True))
        else:
            (ambiguous if said else unmatched).append(one.id)
    ambiguous += [one.id for several in taken.values() if len(several) > 1 for one, _, _ in several]
    matched = [several[0] for _, several in sorted(taken.items()) if len(several) == 1]
    return Matched(
        pairs=tuple((one, placed) for one, placed, _ in matched),
        by_text=sum(by_text for _, _, by_text in matched),
        unmatched=tuple(unmatched),
        ambiguous=tuple(ambiguous),
        disagree=tuple(one.id for one, (_, sample), _ in matched if disagrees(one.target, sample)),
        of=of,
    )


class _Known:
    """The samples of a task that have the id or the question of an imported one."""

    def __init__(self, stored: Sequence[Stored]) -> None:
        self._ids = Counter(one.id for one in stored)
        self._texts = Counter(_plain(one.text) for one in stored)
        self._texts.pop("", None)
        self._by_id: dict[str, list[Placed]] = defaultdict(list)
        self._by_text: dict[str, list[Placed]] = defaultdict(list)

    def add(self, placed: Placed) -> bool:
        sample = placed[1]
        if sample.id in self._ids:
            self._by_id[sample.id].append(placed)
        if (text := _plain(sample.input)) in self._texts:
            self._by_text[text].append(placed)
        return True

    def candidates(self, one: Stored) -> tuple[list[Placed], list[Placed]]:
        """Returns the sample with the same id, if both ids are unique, and those with the same question."""
        named = self._by_id.get(one.id, [])
        unique = len(named) == 1 and self._ids[one.id] == 1
        return (named if unique else []), self._by_text.get(_plain(one.text), [])

    def asked_twice(self, one: Stored) -> bool:
        return self._texts[_plain(one.text)] > 1


def references_disagree(task: Task, protocol: Protocol, target: Sequence[str], sample: Sample) -> bool:
    """Whether imported references are wrong answers by the task's rules.

    A reference agrees if it is one of the sample's as a text, or the text of the choice whose letter is one,
    or if it is right when it is read and scored as a response. It disagrees if an answer is read in it that
    is wrong. Nothing is said of a sample without references, nor if a model or a program scores answers.
    """
    given = [text for text in target if text.strip()]
    known = {_plain(text).casefold() for text in _forms(sample)}
    if not given or not known or any(_plain(text).casefold() in known for text in given):
        return False
    if isinstance(task.scorer, ModelScorer) or inspect.iscoroutinefunction(inspect.unwrap(task.scorer)):
        return False
    extract = task.extract(protocol)
    try:
        read = [answer for text in given if (answer := extract(text, sample)) is not None]
        return bool(read) and not any(_right(task, answer, sample) for answer in (*read, *given))
    except FAULTS:  # a text that the rules cannot take is no answer
        return False


def _right(task: Task, answer: str, sample: Sample) -> bool:
    verdict = task.scorer(answer, sample)
    if inspect.isawaitable(verdict):
        getattr(verdict, "close", lambda: None)()
        return True
    return verdict.worth > 0


def _forms(sample: Sample) -> Iterator[str]:
    """Yields the texts of a sample's references, and of the choices whose letters they are."""
    for text in sample.target:
        yield text
        at = ord(text) - ord("A") if len(text) == 1 else -1
        if 0 <= at < len(sample.choices):
            yield sample.choices[at]


def _plain(text: str) -> str:
    return " ".join(text.split())
