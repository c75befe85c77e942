"""Numbers in text: how the last one of a response is extracted, and when two are the same."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_MINUS = dict.fromkeys(map(ord, "\u2212\u2013\ufe63\uff0d"), "-")
_LATEX_FRACTION = re.compile(
    r"(?P<whole>(?<![\w.,^{])\d[\d,]{0,15}[ ]?)?(?P<glued>(?<=[\w.}]))?"
    r"\\[dt]?frac(?:\{(?P<over>\d+)\}\{(?P<under>\d+)\}|(?P<o>\d)(?P<u>\d)(?!\d))"
)
_MIXED = re.compile(r"(?<![\w.,/^])(\d[\d,]{0,15})[ ](\d{1,4})/(\d{1,4})(?![\d/]|\.\d)")
_VULGAR = re.compile(
    r"(?:(?<![\d.,])(?P<whole>\d[\d,]{0,15})|(?P<stop>(?<=[.,]))?(?<!\d)(?<!\d[.,]))(?P<part>[¼-¾⅐-⅞↉])"
)
"""`stop`: whether a full stop or a comma, which is not part of the number, precedes it directly."""
_STRICT = re.compile(r"The answer is (-?[0-9.,]+)")
_GROUP_SPACE = re.compile(r"(?<=\d)(?<!\d{4})[\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_NUMBER = re.compile(
    r"""
    (?P<part>(?<=/))?                    # the 25 of 12/25/2024
    (?P<sign>(?<![\w.)\]}%])-)?          # a minus after a digit, a word or a bracket is an operator
    (?:[$€£¥₹]\s?(?P<inner>-)?)?          # $-5
    (?P<body>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)? | \d+(?:\.\d+)? | (?<!\d)\.\d+)
    (?(part)|(?:/(?P<under>0*[1-9]\d*)(?!\d|/|\.\d))?)   # 3/4, but not in 12/25/2024
    """,
    re.VERBOSE,
)
_LONGEST = 200
"""A number with more digits is compared as text: it is hardly an answer, and slow to convert."""


@versioned("final_number", 2)
def final_number(text: str, sample: Sample | None = None) -> str | None:
    r"""The last number in `text`, in canonical form; None if there is none.

    The rule of the report's team for GSM8K ("the final number in the response is the answer", Gemini 1.5
    report, appendix 12.13). Currency signs, thousands separators, percent signs, a trailing full stop, and
    the script of digits and minus signs do not matter; "29.00" is "29"; "3/4", "½", "\frac{3}{4}" and
    "1 1/2" are one number each.
    lm-evaluation-harness's `flexible-extract` differs: it takes "1,2" for one number and "3-2" for "-2".
    """
    last = None
    for last in _NUMBER.finditer(_plain(text)):  # noqa: B007 — only the last match is wanted
        pass
    return None if last is None else _canonical(last)


@versioned("stated_number", 1)
def stated_number(text: str, sample: Sample | None = None) -> str | None:
    """The number in the first "The answer is N", in canonical form; None if the text has no such phrase.

    lm-evaluation-harness 0.4.13, `gsm8k-cot.yaml`, filter `strict-match`: case matters, and "$18" and
    "**18**" are not numbers. The filter differs in two points: it requires one more character after the
    number, so that it finds "1" in a response that ends with "The answer is 18", and it compares spellings.
    """
    match = _STRICT.search(text)
    return None if match is None else canonical_number(match[1].rstrip(".,"))


@versioned("canonical_number", 1)
def canonical_number(text: str) -> str | None:
    """`text` as a number in canonical form; None if it is not a number or has other text."""
    match = _NUMBER.fullmatch(_plain(text).strip().rstrip(".%").strip())
    return None if match is None else _canonical(match)


@versioned("same_number", 1)
def same_number(answer: str, reference: str) -> bool:
    """Whether two numbers have exactly the same value: "1,250.0" is "1250", "0.3333" is not "1/3"."""
    left, right = canonical_number(answer), canonical_number(reference)
    return left is not None and left == right


def _plain(text: str) -> str:
    if "frac" in text:
        text = _LATEX_FRACTION.sub(_latex_fraction, text)
    if "/" in text:
        text = _MIXED.sub(lambda m: _mixed(*m.groups()) or m[0], text)
    if not text.isascii():
        text = _VULGAR.sub(_vulgar, text)
        text = text.translate(_MINUS)
        text = _GROUP_SPACE.sub("", text)
        text = "".join(c if c.isascii() or not c.isdecimal() else str(unicodedata.decimal(c)) for c in text)
    return text.replace("{,}", ",").replace("\\$", "$").replace("\\%", "%").replace("\\!", "")


def _latex_fraction(match: re.Match[str]) -> str:
    r"""`\frac{3}{4}` and `2\frac{3}{4}` as p/q, separated from any other text directly before them."""
    whole, over, under = match["whole"] or "", match["over"] or match["o"], match["under"] or match["u"]
    space = " " if whole or match["glued"] is not None else ""
    return (whole and _mixed(whole, over, under)) or f"{whole}{space}{over}/{under}"


def _mixed(whole: str, over: str, under: str) -> str | None:
    """An integer followed by a proper fraction, as p/q; None if the fraction is not below one."""
    if len(over) + len(under) > _LONGEST or not int(over) < int(under):
        return None
    return f"{int(whole.replace(',', '')) * int(under) + int(over)}/{under}"


def _vulgar(match: re.Match[str]) -> str:
    """A fraction that is one character, with the integer before it if there is one, as p/q."""
    value = Fraction(unicodedata.numeric(match["part"])).limit_denominator(10)
    value += int((match["whole"] or "0").replace(",", ""))
    return f"{'' if match['stop'] is None else ' '}{value.numerator}/{value.denominator}"


def _canonical(match: re.Match[str]) -> str:
    body = match["body"].replace(",", "")
    under = match["under"]
    sign = "-" if match["sign"] or match["inner"] else ""
    if under is None and body.isdigit():
        whole = body.lstrip("0")
        return sign + whole if whole else "0"
    if len(body) + len(under or "") > _LONGEST:
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
