"""MMMU's answers, as its authors read and judge them.

MMMU-Benchmark/MMMU at bb0b95a, mmmu/utils/eval_utils.py, quirks included:

- Multiple choice: the letter in brackets, else alone between two spaces, else, in a response of more than
  five words, the option whose text occurs; of several the one that stands last. "A" before a line break is
  no letter, for there a space is missing.
- Open: every number and every phrase after words such as "is" and "answer". One of them that fits is enough,
  so "12 or 15" is right for both. Numbers are compared to two decimals, and a phrase is right that contains
  a reference.

Where no letter is found the authors guess, with a generator that is seeded once, so a verdict depends on
the samples before it. Here such a response has no answer; `accuracy (random guess)`
(`evalkit.metrics.guessing`) is the authors' figure in expectation. An open response with nothing in it has
no answer either; theirs is the empty string, which is never right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from evalkit.identity.declared import versioned
from evalkit.samples import Sample, letters

Value = float | str
"""What an open answer consists of: numbers to two decimals, and phrases in lower case."""

_ENDS = ",.!?;:'"
_CUES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_LAST_CUES = (*_CUES, "=")
_NO_PHRASE = frozenset(":,.!?;'")
# Digits are never given back and a number starts where its digits do. The authors' patterns find the same
# numbers in quadratic time.
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d++"),
    re.compile(r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?!,)"),
)


@versioned("mmmu_answer", 1)
def mmmu_answer(text: str, sample: Sample) -> str | None:
    """The letter where the sample has choices, else the canonical text of `open_values`; or None."""
    if sample.choices:
        return chosen_letter(text, sample)
    values = open_values(text)
    return None if values in ([], [""]) else canonical(values)


@versioned("mmmu_is_right", 1)
def mmmu_is_right(answer: str, sample: Sample) -> bool:
    """Whether what `mmmu_answer` gave is right: `eval_multi_choice` and `eval_open` of the original."""
    if sample.choices:
        return answer in sample.target
    references = [value for reference in sample.target for value in _normalised(reference)]
    phrases = [value for value in references if isinstance(value, str)]
    return any(
        any(phrase in value for phrase in phrases) if isinstance(value, str) else value in references
        for value in json.loads(answer)
    )


@versioned("mmmu_chosen_letter", 1)
def chosen_letter(text: str, sample: Sample) -> str | None:
    """`parse_multi_choice_response` of the original, with None for its guess."""
    for mark in _ENDS:  # one after the other: "A.," loses both, "A,." only the full stop
        text = text.strip(mark)
    text = f" {text} "
    for form in ("({})", " {} "):
        places = {letter: text.rfind(form.format(letter)) for letter in letters(sample)}
        if max(places.values()) >= 0:
            return _last(places)
    if len(text.split()) <= 5:
        return None
    lowered = text.lower()
    options = zip(letters(sample), sample.choices, strict=True)
    places = {letter: lowered.rfind(option.lower()) for letter, option in options}
    return _last(places) if max(places.values()) >= 0 else None


def _last(places: dict[str, int]) -> str:
    return max(places, key=lambda letter: places[letter])  # max keeps the first of equals, as argmax does


@versioned("mmmu_open_values", 1)
def open_values(text: str) -> list[Value]:
    """`parse_open_response` of the original: numbers in ascending order, then phrases.

    Without NaN, which equals no reference.
    """
    phrases = _phrases(text.strip().strip(".").lower())
    found = [number for phrase in phrases for pattern in _NUMBERS for number in pattern.findall(phrase)]
    values = {value for part in (*phrases, *found) for value in _normalised(part) if value == value}
    return sorted(values, key=lambda value: (isinstance(value, str), value))


@versioned("mmmu_canonical", 1)
def canonical(values: Iterable[Value]) -> str:
    """`values` as JSON, so that equal answers are equal texts and can be voted on."""
    return json.dumps(list(values), ensure_ascii=False)


def _phrases(text: str) -> list[str]:
    """What follows the last cue of each line; the whole text where no line has one.

    The original also means to split at full stops before capitals, but there are none in lower case.
    """
    *lines, last = text.split("\n")
    found = [_after_cue(line, _CUES) for line in lines] + [_after_cue(last, _LAST_CUES)]
    return [phrase for phrase in found if phrase and phrase not in _NO_PHRASE] or [text]


def _after_cue(line: str, cues: Iterable[str]) -> str:
    shortest = ""
    for cue in cues:
        if cue in line:
            tail = line.rpartition(cue)[2].strip()
            if not shortest or len(tail) < len(shortest):  # the tail after an empty one always counts
                shortest = tail
    return shortest


def _normalised(text: str) -> tuple[Value, ...]:
    """`normalize_str` of the original: a number to two decimals, else a phrase in lower case.

    A single character becomes two phrases with a space, so that it is no part of a word.
    """
    text = text.strip()
    try:
        return (round(float(text.replace(",", "")), 2) + 0.0,)  # + 0.0: -0.0 and 0.0 are one answer
    except ValueError:
        text = text.lower()
    return (f" {text}", f"{text} ") if len(text) == 1 else (text,)


@versioned("mmmu_as_response", 1)
def as_response(answer: str) -> str:
    """A response that is read as `answer`, the canonical text of an open one.

    MMMU's server parses what it is sent once more (mmmu/main_eval_only.py). Mostly the phrase that was
    parsed will do, else there is a line for each part, and a last one to protect them. Only a phrase that
    itself ends in a cue, or goes over several lines, is read otherwise.
    """
    values = json.loads(answer)
    parts = [value.strip() if isinstance(value, str) else f"{value:.2f}" for value in values]
    if canonical(open_values(parts[-1])) == answer:
        return parts[-1]
    return "\n".join([*(f"answer {part}" for part in dict.fromkeys(parts)), ":"])
