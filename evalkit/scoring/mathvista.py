"""MathVista's answers: the authors' rules for extracting an answer and for the form that is compared.

Source: lupantech/MathVista (Lu et al. 2023, arXiv 2310.02255) at ed0d56d, evaluation/extract_answer.py and
evaluation/calculate_score.py. These files did not change from 3 October 2023 until 2024, when the Gemini 1.0
report was written. A sample's `meta` holds the kind of answer: `answer_type` is "text" (one of `choices`),
"integer", "float" or "list"; for a float, `precision` is the number of decimals.

At 53d5258 (September 2025) precision is converted to an int first, because the Hub has 2.0 for 2, which
`round` refuses, so that no float could be right. Here it is an int. The option `--ignore_empty_extractions`
is new there, and off.

The authors' published outputs were scored with a stricter rule for integers, in which "3.4" had no value:
with the released script, some of their scores rise by up to one point. Bard's 34.8 % does not change.
"""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_LETTER = re.compile(r"\(([a-zA-Z])\)")
_OPENS, _CLOSES = 'The answer is "', '".'


@versioned("mathvista_rule_extraction", 1)
def rule_extraction(text: str, sample: Sample, *, quick: bool = False) -> str | None:
    """The answer that `extract_answer` finds without its language model; None if it would ask the model.

    It finds an option, word for word; an integer or a float if the answer should be one, as Python's `int`
    and `float` parse it ("1_000", "٣" and "1e5" are numbers; "1,000", "29." as an integer and "17%" are not);
    an empty response, unchanged. `quick` is the authors' `--quick_extract`, which also finds `The answer is
    "…".`. The response is stripped first, as in the authors' wrappers of GPT and Bard.
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
    r"""The first match of `The answer is "(.*)"\.`, without that expression, which takes quadratic time."""
    for line in response.split("\n"):
        _, found, rest = line.partition(_OPENS)
        if found and _CLOSES in rest:
            return rest.rpartition(_CLOSES)[0]
    return None


@versioned("mathvista_prediction", 1, packages=("rapidfuzz",))
def prediction(extraction: str, sample: Sample) -> str | None:
    """`extraction` in the form of the reference; None if it should be a number and is not.

    This is `normalize_extracted_answer`, with its consequences: an integer is truncated, not rounded ("2.9"
    becomes "2"); a float is rounded as in Python, half to even in binary, and loses trailing zeros ("1.20"
    becomes "1.2"); every text becomes an option, even an empty one.
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
    """The option of the first letter in brackets, or of a single capital letter, or else the nearest option.

    The nearest option has the least Levenshtein distance over code points; the first wins a tie. A letter in
    brackets has precedence: the option "(c)", quoted word for word, selects the third option. "B.", "b" and
    letters without an option are treated as texts.
    """
    from rapidfuzz.distance import Levenshtein

    lettered = _LETTER.search(extraction)
    if lettered is not None:
        extraction = lettered[1].upper()
    index = ord(extraction) - ord("A") if len(extraction) == 1 else -1
    if 0 <= index < len(choices):
        return choices[index]
    return min(choices, key=lambda choice: Levenshtein.distance(extraction, choice))
