"""Equality of two MATH answers as its authors defined it: by spelling, without any computation."""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned

_REPLACED = (
    ("\n", ""),
    ("\\!", ""),
    ("\\\\", "\\"),
    ("tfrac", "frac"),
    ("dfrac", "frac"),
    ("\\left", ""),
    ("\\right", ""),
    ("^{\\circ}", ""),
    ("^\\circ", ""),
    ("\\$", ""),
)
_SLASH = re.compile(r"(0|-?[1-9][0-9]*)/(0|-?[1-9][0-9]*)")


@versioned("hendrycks_equal", 1)
def same_spelling(answer: str, reference: str) -> bool:
    r"""Whether two answers have the same spelling after LaTeX variants and some units are removed.

    Behaves like `is_equiv` of hendrycks/math at 985bdc1 (`modeling/math_equivalence.py`), including its
    oddities: "0.5" equals "1/2" but "0.25" does not equal "1/4"; "-1/2" does not equal "-\frac{1}{2}"; a name
    of up to two characters before a single "=" is ignored, and what follows "\text{ " is a unit. If it cannot
    read one of them, such as one with a "\sqrt" at the end, it compares them unchanged.
    """
    try:
        return _spelling(answer) == _spelling(reference)
    except ValueError:
        return answer == reference


def _spelling(text: str) -> str:
    """The normalised spelling. Raises `ValueError` for texts on which the original fails."""
    for old, new in _REPLACED:
        text = text.replace(old, new)
    text = _without_unit(text).replace("\\%", "").replace("\\%", "")  # twice, as in the original: \\%%
    text = text.replace(" .", " 0.").replace("{.", "{0.")
    if text.startswith("."):
        text = "0" + text
    name, *values = text.split("=")
    if len(values) == 1 and len(name) <= 2:
        text = values[0]
    text = _braced_fractions(_braced_roots(text).replace(" ", ""))
    if text == "0.5":
        return "\\frac{1}{2}"
    slash = _SLASH.fullmatch(text)
    return f"\\frac{{{slash[1]}}}{{{slash[2]}}}" if slash else text


def _without_unit(text: str) -> str:
    before, *units = text.split("\\text{ ")
    if len(units) > 1:
        raise ValueError("two units")
    return before


def _braced_roots(text: str) -> str:
    r"""`text` with `\sqrt3` written as `\sqrt{3}`."""
    before, *roots = text.split("\\sqrt")
    if "" in roots:
        raise ValueError("a root of nothing")
    return before + "".join(f"\\sqrt{r}" if r[0] == "{" else f"\\sqrt{{{r[0]}}}{r[1:]}" for r in roots)


def _braced_fractions(text: str) -> str:
    r"""`text` with `\frac12` written as `\frac{1}{2}`, `\frac1{72}` as `\frac{1}{72}`; `\frac{72}1` stays."""
    done, *fractions = text.split("\\frac")
    for part in fractions:
        if not part:
            raise ValueError("a fraction of nothing")
        if part[0] == "{":
            done += f"\\frac{part}"
        elif len(part) == 1:
            return text
        else:
            under = part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}"
            done += f"\\frac{{{part[0]}}}{under}"
    return done
