"""MMMU's answers, extracted and scored by the rules of its authors.

MMMU-Benchmark/MMMU at bb0b95a, mmmu/utils/eval_utils.py, including its quirks:

- Multiple choice: the letter in brackets, or else alone between two spaces, or else, in a response of more
  than five words, the option whose text occurs; the last one if there are several. "A" before a line break
  does not count as a letter, because it is not followed by a space.
- Open: every number and every phrase after words such as "is" and "answer". One match is enough, so
  "12 or 15" is right for either reference. Numbers are compared to two decimals, and a phrase is right if it
  contains a reference.

If no letter is found, the authors guess with a generator that is seeded once, so that a verdict depends on
the samples before it. Here such a response has no answer; `accuracy (random guess)`
(`evalkit.metrics.guessing`) is the expected value of the authors' figure. An empty open response has no
answer here either; in the original its answer is the empty string, which is never right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from evalkit.identity.declared import versioned
from evalkit.samples import Sample, letters

Value = float | str
"""A part of an open answer: a number to two decimals, or a phrase in lower case."""

_ENDS = ",.!?;:'"
_CUES = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_LAST_CUES = (*_CUES, "=")
_NO_PHRASE = frozenset(":,.!?;'")
# The quantifiers are possessive, and a number cannot start inside a run of digits. The authors' patterns find
# the same numbers, in quadratic time.
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d++"),
    re.compile(r"-?(?:(?<!\d)\d++\.\d++|\.\d++|(?<!\d)\d++\b)(?![eE][+-]?\d)(?!,)"),
)


@versioned("mmmu_answer", 1)
def mmmu_answer(text: str, sample: Sample) -> str | None:
    """The letter if the sample has choices, else the `canonical` text of `open_values`; or None."""
    if sample.choices:
        return chosen_letter(text, sample)
    values = open_values(text)
    return None if values in ([], [""]) else canonical(values)


@versioned("mmmu_is_right", 1)
def mmmu_is_right(answer: str, sample: Sample) -> bool:
    """Whether an answer of `mmmu_answer` is right, as in the original `eval_multi_choice` and `eval_open`."""
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
    """The letter that the original `parse_multi_choice_response` finds; None if the original would guess."""
    for mark in _ENDS:  # one mark after the other: "A.," loses both marks, "A,." only the full stop
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
    return max(places, key=lambda letter: places[letter])  # the first of several maxima, as argmax


@versioned("mmmu_open_values", 1)
def open_values(text: str) -> list[Value]:
    """The values that the original `parse_open_response` finds: numbers in ascending order, then phrases.

    NaN is left out, because it equals no reference.
    """
    phrases = _phrases(text.strip().strip(".").lower())
    numbers = [number for phrase in phrases for pattern in _NUMBERS for number in pattern.findall(phrase)]
    values = {value for part in (*phrases, *numbers) for value in _normalised(part) if value == value}
    return sorted(values, key=lambda value: (isinstance(value, str), value))


@versioned("mmmu_canonical", 1)
def canonical(values: Iterable[Value]) -> str:
    """`values` as JSON, so that equal answers are equal texts, as a majority vote needs."""
    return json.dumps(list(values), ensure_ascii=False)


def _phrases(text: str) -> list[str]:
    """The text after the last cue of each line, or the whole text if no line has a cue.

    The original also tries to split at full stops before capitals, but the text is in lower case.
    """
    *lines, last = text.split("\n")
    phrases = [_after_cue(line, _CUES) for line in lines] + [_after_cue(last, _LAST_CUES)]
    return [phrase for phrase in phrases if phrase and phrase not in _NO_PHRASE] or [text]


def _after_cue(line: str, cues: Iterable[str]) -> str:
    shortest = ""
    for cue in cues:
        if cue in line:
            tail = line.rpartition(cue)[2].strip()
            if not shortest or len(tail) < len(shortest):  # the tail after an empty one is always taken
                shortest = tail
    return shortest


def _normalised(text: str) -> tuple[Value, ...]:
    """The result of the original `normalize_str`: a number to two decimals, or a phrase in lower case.

    A single character becomes two phrases with a space, so that it does not match inside a word.
    """
    text = text.strip()
    try:
        return (round(float(text.replace(",", "")), 2) + 0.0,)  # + 0.0: -0.0 and 0.0 are the same answer
    except ValueError:
        text = text.lower()
    return (f" {text}", f"{text} ") if len(text) == 1 else (text,)


@versioned("mmmu_as_response", 1)
def as_response(answer: str) -> str:
    """A response from which `answer`, the canonical text of an open answer, is extracted again.

    MMMU's server parses each submitted response again (mmmu/main_eval_only.py). Usually the phrase that was
    extracted is enough; otherwise the response has a line for each part, and a last line that protects them.
    Only a phrase that itself ends with a cue, or has several lines, is extracted differently.
    """
    values = json.loads(answer)
    parts = [value.strip() if isinstance(value, str) else f"{value:.2f}" for value in values]
    if canonical(open_values(parts[-1])) == answer:
        return parts[-1]
    return "\n".join([*(f"answer {part}" for part in dict.fromkeys(parts)), ":"])
