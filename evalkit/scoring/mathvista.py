"""MathVista's answers: what the authors' rules read from a response, and what they compare.

Source: lupantech/MathVista (Lu et al. 2023, arXiv 2310.02255) at ed0d56d, evaluation/extract_answer.py and
evaluation/calculate_score.py, which stood unchanged from 3 October 2023 until 2024 and so when the Gemini 1.0
report was written. A sample's `meta` says what is asked for: `answer_type`, "text" (one of `choices`),
"integer", "float" or "list", and for a float `precision`, its decimals.

At 53d5258 (September 2025) precision is made an int first, because the Hub has 2.0 for 2 and `round` refuses
that: no float could be right. It is an int here. Besides, `--ignore_empty_extractions` is new, and off.

The authors' published outputs were scored with a stricter rule for integers, under which "3.4" had no value:
scored again with the released script, some of them rise by up to one point. Bard's 34.8 % stays.
"""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_LETTER = re.compile(r"\(([a-zA-Z])\)")
_OPENS, _CLOSES = 'The answer is "', '".'


@versioned("mathvista_rule_extraction", 1)
def rule_extraction(text: str, sample: Sample, *, quick: bool = False) -> str | None:
    """What `extract_answer` finds without its language model; None where it would ask that.

    An option word for word; an integer or a float where one is asked for, as Python's `int` and `float` read
    it ("1_000", "٣" and "1e5" are numbers, "1,000", "29." as an integer and "17%" are none); an empty
    response as it is. `quick` is the authors' `--quick_extract`: also `The answer is "…".`. The response is
    stripped first, as the authors' wrappers of GPT and Bard do.
    """
    response, kind = text.strip(), sample.meta["answer_type"]
    if not response or (kind == "text" and response in sample.choices):
        return response
    try:
        if kind == "integer":
            return str(int(response))
        if kind == "float":
            return str(float(response))
    except ValueError:
        pass
    return _quoted(response) if quick else None


def _quoted(response: str) -> str | None:
    r"""What `The answer is "(.*)"\.` finds first. The expression itself takes quadratic time."""
    for line in response.split("\n"):
        _, found, rest = line.partition(_OPENS)
        if found and _CLOSES in rest:
            return rest.rpartition(_CLOSES)[0]
    return None


@versioned("mathvista_prediction", 1, packages=("rapidfuzz",))
def prediction(extraction: str, sample: Sample) -> str | None:
    """`extraction` in the form that the reference has; None where it is no number but should be.

    `normalize_extracted_answer`, with what follows from its text: an integer is cut, not rounded ("2.9" is
    "2"); a float is rounded as Python does, half to even in binary, and loses its zeros ("1.20" is "1.2");
    every text is some option, the empty one too.
    """
    kind, precision = sample.meta["answer_type"], sample.meta.get("precision")
    if kind == "text":
        return _option(extraction.strip(), sample.choices)
    try:
        if kind == "integer":
            return str(int(float(extraction)))
        if kind == "float":
            assert isinstance(precision, int)
            return str(round(float(extraction), precision))
    except (ValueError, OverflowError):
        return None
    return extraction


def _option(extraction: str, choices: tuple[str, ...]) -> str:
    """The option of the first letter in brackets, or of a bare capital; else the nearest, first of equals.

    Nearest by Levenshtein's distance over code points. A letter in brackets comes before everything: the
    option "(c)", quoted word for word, is the third one. "B.", "b" and letters without an option are texts.
    """
    from rapidfuzz.distance import Levenshtein

    lettered = _LETTER.search(extraction)
    if lettered is not None:
        extraction = lettered[1].upper()
    index = ord(extraction) - ord("A") if len(extraction) == 1 else -1
    if 0 <= index < len(choices):
        return choices[index]
    return min(choices, key=lambda choice: Levenshtein.distance(extraction, choice))
