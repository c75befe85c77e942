"""Numbers in text: how the last one of a response is extracted, and when two are the same."""

from __future__ import annotations

import re
from fractions import Fraction

from evalkit.identity.declared import versioned
from evalkit.samples import Sample
from evalkit.scoring.numeral import LONGEST, plain

_STRICT = re.compile(r"The answer is (-?[0-9.,]+)")
_NUMBER = re.compile(
    r"""
    (?=[-.\d$€£¥₹₩₽₺₫₦₱฿₪¢])             # what a number begins with: a place without it is left at once
    (?P<part>(?<=/))?                    # the 25 of 12/25/2024
    (?P<sign>(?<![\w.)\]}%])-)?          # a minus after a digit, a word or a bracket is an operator
    (?:[$€£¥₹₩₽₺₫₦₱฿₪¢]\s?(?P<inner>-)?)?   # $-5
    (?P<body>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)? | \d+(?:\.\d+)? | (?<!\d)\.\d+)
    (?(part)|(?:/(?P<under>0*[1-9]\d*)(?!\d|/|\.\d))?)   # 3/4, but not in 12/25/2024
    """,
    re.VERBOSE,
)


@versioned("final_number", 4)
def final_number(text: str, sample: Sample | None = None) -> str | None:
    r"""The last number in `text`, in canonical form; None if there is none.

    The rule of the report's team for GSM8K ("the final number in the response is the answer", Gemini 1.5
    report, appendix 12.13). Currency signs, thousands separators, percent signs, a trailing full stop, and
    the script of digits and minus signs do not matter; "29.00" is "29"; "3/4", "½", "\frac{3}{4}" and
    "1 1/2" are one number each, and so are "3 000", "3'000", "1.234,56", "1.5 × 10^3" and "-(42)"
    (`evalkit.scoring.numeral`). The power of a unit, as in "42 cm^2", is no number, nor is the index of a
    formula ("H2O"), the mark of a source right behind a number ("42 [1]") or a part of an address.
    lm-evaluation-harness's `flexible-extract` differs: it takes "1,2" for one number, "3-2" for "-2", and
    the last digits of the other spellings.
    """
    last = _last(plain(text)) or _last(text)  # where the power of a unit is all that there is
    return None if last is None else _canonical(last)


@versioned("stated_number", 2)
def stated_number(text: str, sample: Sample | None = None) -> str | None:
    """The number in the first "The answer is N", in canonical form; None if the text has no such phrase.

    lm-evaluation-harness 0.4.13, `gsm8k-cot.yaml`, filter `strict-match`: case matters, and "$18" and
    "**18**" are not numbers. The filter differs in two points: it requires one more character after the
    number, so that it finds "1" in a response that ends with "The answer is 18", and it compares spellings.
    """
    match = _STRICT.search(text)
    return None if match is None else canonical_number(match[1].rstrip(".,"))


@versioned("canonical_number", 3)
def canonical_number(text: str) -> str | None:
    """`text` as a number in canonical form; None if it is not a number or has other text."""
    match = _NUMBER.fullmatch(plain(text).strip().rstrip(".%").strip())
    return None if match is None else _canonical(match)


@versioned("same_number", 3)
def same_number(answer: str, reference: str) -> bool:
    """Whether two numbers have exactly the same value: "1,250.0" is "1250", "0.3333" is not "1/3"."""
    left, right = canonical_number(answer), canonical_number(reference)
    return left is not None and left == right


def _last(text: str) -> re.Match[str] | None:
    last = None
    for last in _NUMBER.finditer(text):  # noqa: B007 — only the last match is wanted
        pass
    return last


def _canonical(match: re.Match[str]) -> str:
    body = match["body"].replace(",", "")
    under = match["under"]
    sign = "-" if match["sign"] or match["inner"] else ""
    if under is None and body.isdigit():
        whole = body.lstrip("0")
        return sign + whole if whole else "0"
    if len(body) + len(under or "") > LONGEST:
        return sign + body + (f"/{under}" if under else "")
    value = Fraction(body)
    if under is not None:
        value /= int(under)
    if sign:
        value = -value
    return _decimal(value)


def _decimal(value: Fraction) -> str:
    """`value` as an integer, a finite decimal or p/q: the first of these that is exact."""
    rest = value.denominator
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    if places == 0:
        return str(value.numerator)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return ("-" if value < 0 else "") + digits[:-places] + "." + digits[-places:]
