"""Equality of two MATH answers as values. Slow, and endless for some input: call it in a worker."""

from __future__ import annotations

import re
from typing import Any, Literal

TOLERANCE = 1e-4
"""Absolute and relative (Gemini 1.5 report, appendix 12.13)."""
_EDGES = re.compile(r"^(?:\\[,:;! ]|\s)+|(?:\\[,:;! ]|[.\s])+$")
_BASE = re.compile(r"_\{(\w+)\}")
_POINT = re.compile(r"(?<![\d.])\.(?=\d)")


def prepare() -> None:
    """Imports what the rules here need; using it once builds the parsers' tables."""
    same_by_math_verify("1", "2")
    parse(r"\frac{1}{2}")


def parse(latex: str) -> Any:
    """The SymPy expression of a whole formula. Raises many things for what is none."""
    from sympy.parsing.latex import parse_latex

    return parse_latex(latex, strict=True)


def same_by_sympy(answer: str, reference: str) -> Literal["same", "different", "unparsed"]:
    r"""Whether SymPy simplifies the difference of two normalised answers to zero.

    What cannot be parsed, subtracted or simplified is not equal. The rule of `is_equiv` in
    lm-evaluation-harness 0.4.13 (`minerva_math/utils.py`), with one difference: SymPy's parser, left to
    itself, stops at what it cannot read and takes the beginning for the whole, so that "1,3" equals "1,-2"
    there, and "25_6" equals "25_7". Here a formula is read whole or not at all, save for blanks and a full
    stop at its ends; a subscript is the same with braces and without, and .5 is 0.5, which SymPy does not
    read. As there, a word is the product of its letters and 3\frac{1}{2} is a product too.
    """
    import sympy

    left, right = _tidy(answer), _tidy(reference)
    if left == right != "":
        return "same"
    try:
        difference = parse(left) - parse(right)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 — SymPy's parser raises whatever its grammar or its sums run into
        return "unparsed"
    try:
        return "same" if sympy.simplify(difference) == 0 else "different"
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001
        return "different"


def same_number(answer: str, reference: str) -> bool:
    r"""Whether two normalised answers are numbers within `TOLERANCE` of each other.

    Either tolerance is enough, also for whole numbers: 28121600 and 28121601 are the same. \pi, e and i
    count as what they are; SymPy's parser takes them for names.
    """
    try:
        left, right = _number(answer), _number(reference)
        if not (left.is_finite and right.is_finite):
            return left == right and left.is_extended_real is True
        gap = abs(left - right)
        return bool(gap <= TOLERANCE) or bool(gap <= TOLERANCE * max(abs(left), abs(right)))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 — such as a comparison that cannot be decided
        return False


def _number(latex: str) -> Any:
    """A SymPy number; not a `complex`, for which 2^{2005} is infinite. Raises `TypeError` for none."""
    import sympy

    names = {sympy.Symbol("pi"): sympy.pi, sympy.Symbol("e"): sympy.E, sympy.Symbol("i"): sympy.I}
    value = parse(_tidy(latex)).subs(names).evalf()
    if not value.is_number:
        raise TypeError(f"{latex} is no number")
    return value


def _tidy(latex: str) -> str:
    return _POINT.sub("0.", _BASE.sub(r"_\1", _EDGES.sub("", latex)))


def same_by_math_verify(answer: str, reference: str) -> bool:
    """Whether math-verify finds that the answer is the reference; both as LaTeX without dollar signs."""
    from math_verify import verify

    parsed = [_math_verify_parse(latex) for latex in (reference, answer)]
    return bool(verify(*parsed, timeout_seconds=None))


def _math_verify_parse(latex: str) -> list[Any]:
    """math-verify's reading of a formula, without its own time limits: the worker's holds."""
    from math_verify import parse as read

    return list(read(f"${latex}$", parsing_timeout=None))
