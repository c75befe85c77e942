r"""Numbers as people and models write them, in one plain spelling: "3 000", `3\,000` and 3e3 as 3000.

Every rule concerns spelling and keeps the value. A rule applies only where the text cannot mean two numbers:
groups are of exactly three digits with the same mark between them ("3 000", but not "1999 200" or "3 4"),
"1.234,56", "1.234.567" and "12,50 €" are European; "1.234", "1,2" and the point (2.414,10) are not.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from decimal import Decimal
from fractions import Fraction

LONGEST = 200
"""A number with more digits is compared as text: it is hardly an answer, and slow to convert."""
_FURTHEST = 100
"""The largest power of ten that is written out."""

_SIGNS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212\u2796\ufe63\uff0d", "-"))
_SLASHES = str.maketrans(dict.fromkeys("\u2044\u2215", "/"))
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_POWER_OF_TEN = re.compile(r"(?<!\d)10([⁺⁻]?[⁰¹²³⁴-⁹]{1,3})")
_WIDE_MARK = re.compile(r"(?<=[０-９])，(?=[０-９])|(?<=\d)[．\u066b\u066c](?=\d)")
_KEYCAP = re.compile("\ufe0f?\u20e3")
_WIDE_MARKS = {"，": ",", "．": ".", "\u066b": ".", "\u066c": ","}

_WHOLE = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_LATEX_FRACTION = re.compile(
    r"(?P<whole>(?<![\w.,^{])\d[\d,]{0,15}[ ]?)?(?P<glued>(?<=[\w.}]))?"
    rf"\\[cdt]?frac(?:\s?\{{\s?(?P<minus>-?)(?P<over>(?:{_WHOLE})(?:\.\d+)?)\s?\}}\s?\{{\s?(?P<under>{_WHOLE})\s?\}}"
    r"|(?P<o>\d)(?P<u>\d)(?!\d))"
)
_MIXED = re.compile(r"(?<![\w.,/^])(\d[\d,]{0,15})[ ]([1-9]\d{0,3})/(\d{1,4})(?![\d/]|\.\d)")
_VULGAR = re.compile(
    r"(?:(?<![\d.,])(?P<whole>\d[\d,]{0,15})|(?P<stop>(?<=[.,]))?(?<!\d)(?<!\d[.,]))(?P<part>[¼-¾⅐-⅞↉])"
)
"""`stop`: whether a full stop or a comma, which is not part of the number, precedes it directly."""

_GROUPED = re.compile(
    r"(?<![\w.,^])(?P<first>[1-9]\d{0,2})"
    r"(?P<rest>(?P<mark>[ \u00a0\u2005-\u200a\u202f'’ʼ_~]|\{\\,\}|\\[,;:! ]|\\thinspace[ ]?)"
    r"(?:0\d\d|\d{3}(?!/\d))(?!\d)"
    r"(?:(?P=mark)(?:0\d\d|\d{3}(?!/\d))(?!\d))*+)"
    r"(?:,(?P<decimals>\d{1,2})(?![\d,]))?"
)
_EUROPEAN = re.compile(
    r"(?<![\w.,([{])(?P<whole>\d{1,3}(?:\.\d{3}(?!\d))++)(?:,(?P<decimals>\d{2})(?![\d,]))?(?![.,]?\d)"
)
_BODY = rf"(?<![\w.,^])(?P<body>(?:{_WHOLE})(?:\.\d+)?|\.\d+)"
_TO_THE = r"(?:[ ]?\^[ ]?(?P<brace>\{[ ]?)?|\*\*)(?P<power>[+-]?\d{1,3})(?(brace)[ ]?\})(?!\w|\.\d|\*)"
_SCIENTIFIC = re.compile(rf"{_BODY}[eE](?P<power>[+-]?\d{{1,3}})(?!\w|\.\d)")
_TIMES_TEN = re.compile(rf"{_BODY}[ ]?(?:\\times|\\cdot|\\ast|[×xX*·⋅∙✕]|times)[ ]?10{_TO_THE}")
_OF_TEN = re.compile(rf"(?<![\w.,^}})])10{_TO_THE}")
_UNIT = r"[A-Za-z]|\\[a-z]{2,9}[ ]?\{[^{}\d]{0,40}\}|\([A-Za-z]{1,12}\)"
_UNIT_POWER = re.compile(
    rf"({_UNIT})(?:[ ]?\$?\^[ ]?(?:\{{[ ]?-?\d{{1,2}}[ ]?\}}|-?\d{{1,2}}(?!\d))"
    r"|\*\*\d(?![\d*])|<sup>-?\d{1,2}</sup>)"
)
_EXPONENT = re.compile(r"\d[eE][+-]?\d")
_AFTER_UNIT = re.compile("[mntdis][23]")
"""What every match of `_SCIENTIFIC` and of `_UNIT_SQUARED` has, and is found in a fifth of their time."""
_UNIT_SQUARED = re.compile(r"((?:\d[ ]?|/|\bper |\()(?:[cdhkmµ]?m|in|ft|yd|mi)|/s)[23](?!\w|\.\d)")
_ELEMENT = "(?:Ag|Al|Ba|Br|Ca|Cl|Cu|Fe|Li|Mg|Mn|Na|Pb|Si|Zn|[CFHKNOPS])"
_COMPOUND = re.compile(
    rf"(?<![\w.])(?!(?:CHF|CNH|COP|NOK|PHP|SOS)\d)(?=[A-Za-z()]{{1,9}}[2-9])"
    rf"(?:(?:[FHNO]|Br|Cl)[23]|(?:{_ELEMENT}\d{{0,2}}|\({_ELEMENT}{{1,2}}\d?\)\d?){{2,9}}(?:eq?)?)(?!\w)"
)
"""A chemical formula with an index, such as H2O; the codes of currencies before an amount are none."""
_REFERENCE = re.compile(
    r"(?<=\d)[ ]?\[\d{1,2}(?:,[ ]?\d{1,2})*\](?=[.,;!]?\s*(?:\n|\Z))|\[\^\w{1,20}\]|\^\[\d{1,2}\]"
    r"|https?://[^\s)\]]+"
)
"""The mark of a source right behind a number ("12 [1]"), a footnote's, or an address."""
_INDIAN = re.compile(r"(?:₹|\bRs\.?|\bINR)\s?(?P<amount>\d{1,2}(?:,\d{2})+,\d{3})(?![\d,]*\d)")
_EURO = r"(?:€|EUR\b|[Ee]uros?\b|zł|₽)"
_WITH_CENTS = re.compile(
    rf"(?<![\w.,])(?P<a>\d{{1,3}}),(?P<b>\d{{2}})(?=[ ]?{_EURO})"
    r"|(?<=€)[ ]?(?P<c>\d{1,3}),(?P<d>\d{2})(?![\d,])"
)
_BRACKETED = re.compile(
    r"(?<![\w.)\]}%])-[ ]?[(\[]\s?([$€£]?(?:\d[\d,]{0,40}(?:\.\d{1,40})?|\.\d{1,40}))\s?[)\]]"
)
_NEGATIVE = re.compile(
    r"(?:\b[Nn]egative|(?:(?<=\bis )|(?<== ))minus) (?=[$€£]?\.?\d)|(?<=[=({])[ ]?-[ ](?=[$€£]?\.?\d)"
)
_LATEX_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d{1,2}(?![\d{]))")


def plain(text: str) -> str:
    """`text` with every number that is spelled in another way in ASCII digits with a point for decimals.

    What is no number is left out: the power of a unit ("42 cm^2", "5 m2"), the index of a chemical formula
    ("H2O"), the mark of a footnote or a source ("42 [1]"), and addresses.
    """
    if text.isascii() and text.isdecimal():
        return text
    if "," in text:
        text = _WITH_CENTS.sub(_with_cents, text)
    if "[" in text or "://" in text:
        text = _REFERENCE.sub("", text)
    if "frac" in text:
        text = _LATEX_FRACTION.sub(_latex_fraction, text)
    if "/" in text:
        text = _MIXED.sub(lambda m: _mixed(*m.groups()) or m[0], text)
    if not text.isascii():
        text = _in_ascii(text)
    if "," in text:
        text = _INDIAN.sub(lambda m: m["amount"].replace(",", ""), text)
    text = _GROUPED.sub(_joined, text)
    text = (
        _LATEX_COMMA.sub(".", text)
        .replace("{,}", ",")
        .replace("\\$", "$")
        .replace("\\%", "%")
        .replace("\\!", "")
    )
    text = _EUROPEAN.sub(_from_european, text)
    text = _COMPOUND.sub("", text)
    if _EXPONENT.search(text):
        text = _SCIENTIFIC.sub(_written_out, text)
    if _AFTER_UNIT.search(text):
        text = _UNIT_SQUARED.sub(r"\1", text)
    if "^" in text or "**" in text or "<sup>" in text:
        text = _OF_TEN.sub(_written_out, _TIMES_TEN.sub(_written_out, text))
        text = _UNIT_POWER.sub(r"\1", text)
    return _signed(text)


def _signed(text: str) -> str:
    """Puts the sign right before the number in "-(5)", "- 5", "negative 5" and "is minus 5"."""
    if "-" in text:
        text = _BRACKETED.sub(r"-\1", text)
    if "- " in text or "egative " in text or "minus " in text:
        text = _NEGATIVE.sub("-", text)
    return text


def _in_ascii(text: str) -> str:
    text = _VULGAR.sub(_vulgar, _KEYCAP.sub("", text)).translate(_SIGNS).translate(_SLASHES)
    text = _POWER_OF_TEN.sub(lambda m: f"10^{{{m[1].translate(_SUPERSCRIPTS)}}}", text)
    text = _WIDE_MARK.sub(lambda m: _WIDE_MARKS[m[0]], text)
    return "".join(c if c.isascii() or not c.isdecimal() else str(unicodedata.decimal(c)) for c in text)


def _latex_fraction(match: re.Match[str]) -> str:
    r"""`\frac{3}{4}` and `2\frac{3}{4}` as p/q, separated from any other text directly before them."""
    over, under = match["over"] or match["o"], match["under"] or match["u"]
    whole, over, under = match["whole"] or "", over.replace(",", ""), under.replace(",", "")
    space = " " if whole or match["glued"] is not None else ""
    if match["minus"]:
        return f"{whole}{space}-{over}/{under}"
    return (whole and _mixed(whole, over, under)) or f"{whole}{space}{over}/{under}"


def _mixed(whole: str, over: str, under: str) -> str | None:
    """An integer followed by a proper fraction, as p/q; None if the fraction is not below one."""
    if len(over) + len(under) > LONGEST or "." in over or not int(over) < int(under):
        return None
    return f"{int(whole.replace(',', '')) * int(under) + int(over)}/{under}"


def _vulgar(match: re.Match[str]) -> str:
    """A fraction that is one character, with the integer before it if there is one, as p/q."""
    over, under = _parts(match["part"])
    over += under * int((match["whole"] or "0").replace(",", ""))
    return f"{'' if match['stop'] is None else ' '}{over}/{under}"


@functools.cache
def _parts(character: str) -> tuple[int, int]:
    """The numerator and the denominator of a character such as "½"."""
    return Fraction(unicodedata.numeric(character)).limit_denominator(10).as_integer_ratio()


def _joined(match: re.Match[str]) -> str:
    whole = match["first"] + match["rest"].replace(match["mark"], "")
    return whole + (f".{match['decimals']}" if match["decimals"] else "")


def _with_cents(match: re.Match[str]) -> str:
    return f"{match['a'] or match['c']}.{match['b'] or match['d']}"


def _from_european(match: re.Match[str]) -> str:
    """ "1.234,56" and "1.234.567" in plain digits; "1.234", which may be a decimal, unchanged."""
    whole, decimals = match["whole"], match["decimals"]
    if decimals is None and whole.count(".") == 1:
        return match[0]
    return whole.replace(".", "") + (f".{decimals}" if decimals else "")


def _written_out(match: re.Match[str]) -> str:
    """A number with a power of ten, in digits; unchanged if that would take too many."""
    body, power = match.groupdict().get("body") or "1", int(match["power"])
    if abs(power) > _FURTHEST or len(body) > LONGEST:
        return match[0]
    return f"{Decimal(body.replace(',', '')).scaleb(power):f}"
