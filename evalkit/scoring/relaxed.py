"""Relaxed accuracy: a number may be five per cent off, everything else must be the same text.

ChartQA's measure (Masry et al. 2022, arXiv 2203.10244, section 5.1, after Methani et al. 2020), as
google-research/pix2struct at 945f27e computes it: `pix2struct/metrics.py`, `relaxed_correctness`. The
functions of that name in QwenLM/Qwen-VL at aa00ed0 and in lmms-eval at 75571cf,
`lmms_eval/tasks/chartqa/utils.py`, give the same for every pair; only the order of arguments differs.

What the rule does, wanted or not:

* A number is what Python's `float` takes: "1e3", "1_000", "１７", "17." and "nan" are numbers; "1,000",
  "$5" and "17 kg" are texts. A text that ends in "%" is a hundredth of its number.
* So "17%" is wrong for "17", and right for "0.17".
* "nan" and "inf" as references are met by nothing, not by themselves either. As answers they are wrong.
* A reference that is zero, or no number, wants the same text but for case: "0.0" is wrong for "0".
* Years are numbers: any year from 1914 to 2114 is right for "2014".
"""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned

TOLERANCE = 0.05
_YEAR = re.compile(r"1[0-9]{3}|20[0-9]{2}|2100")


@versioned("relaxed_match", 1)
def relaxed_match(answer: str, reference: str, tolerance: float = TOLERANCE) -> bool:
    """Whether `answer` is `reference`, or a number within `tolerance`, a share of the reference."""
    said, wanted = _number(answer), _number(reference)
    if said is None or not wanted:
        return answer.lower() == reference.lower()
    return abs(said - wanted) / abs(wanted) <= tolerance


@versioned("is_year", 1)
def is_year(text: str) -> bool:
    """Whether `text` can be a year: four digits and nothing else, from 1000 to 2100.

    Nothing in ChartQA says which references are years. The range holds every year that a chart shows,
    projections too, and with them quantities that look alike.
    """
    return _YEAR.fullmatch(text) is not None


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
