"""Relaxed accuracy: a number may be off by five per cent; everything else must be the same text.

ChartQA's metric (Masry et al. 2022, arXiv 2203.10244, section 5.1, after Methani et al. 2020), as
google-research/pix2struct at 945f27e computes it: `pix2struct/metrics.py`, `relaxed_correctness`. The
functions of that name in QwenLM/Qwen-VL at aa00ed0 and in lmms-eval at 75571cf,
`lmms_eval/tasks/chartqa/utils.py`, give the same for every pair; only the order of arguments differs.

The rule has these consequences, some of them hardly intended:

* A number is what Python's `float` accepts: "1e3", "1_000", "１７", "17." and "nan" are numbers; "1,000",
  "$5" and "17 kg" are texts. A text that ends with "%" is a hundredth of its number.
* So "17%" is wrong for "17", and right for "0.17".
* If the reference is "nan" or "inf", no answer is right, not even the same text. As answers they are wrong.
* If the reference is zero or not a number, the answer must be the same text except for case: "0.0" is wrong
  for "0".
* Years are numbers: any year from 1914 to 2114 is right for "2014".
"""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned

TOLERANCE = 0.05
_YEAR = re.compile(r"1[0-9]{3}|20[0-9]{2}|2100")


@versioned("relaxed_match", 1)
def relaxed_match(answer: str, reference: str, tolerance: float = TOLERANCE) -> bool:
    """Whether `answer` equals `reference`, or is a number within `tolerance`, a share of the reference."""
    value, target = _number(answer), _number(reference)
    if value is None or not target:
        return answer.lower() == reference.lower()
    return abs(value - target) / abs(target) <= tolerance


@versioned("is_year", 1)
def is_year(text: str) -> bool:
    """Whether `text` can be a year: four digits and nothing else, from 1000 to 2100.

    ChartQA does not mark the references that are years. The range contains every year that a chart shows,
    including projections, but also quantities that look like years.
    """
    return _YEAR.fullmatch(text) is not None


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
