"""Equality of two MATH answers as values. It is slow and may not terminate: call it in a worker process."""

from __future__ import annotations

import re
from typing import Any, Literal

from evalkit.errors import UsageError
from evalkit.identity.declared import versioned
from evalkit.needs import installed

NEEDED = {"sympy": "", "antlr4-python3-runtime": "4.11.", "math-verify": ""}
"""Distributions, and what their versions have to begin with."""
TOLERANCE = 1e-4
"""The absolute and the relative tolerance (Gemini 1.5 report, appendix 12.13)."""
_EDGES = re.compile(r"^(?:\\[,:;! ]|\s)+|(?:\\[,:;! ]|[.\s])+$")
_BASE = re.compile(r"_\{(\w+)\}")
_POINT = re.compile(r"(?<![\d.])\.(?=\d)")


def versions() -> dict[str, str]:
    """Installed versions of what the rules here need, "" for what is missing."""
    return {name: installed(name) for name in NEEDED}


def needs() -> None:
    """Raises `UsageError` unless a formula is really parsed here.

    With another version of the parser's run-time library SymPy parses nothing, and every answer that is
    not spelled like the reference would count as wrong.
    """
    fix = "pip install 'evalkit[math]'"
    for name, version in versions().items():
        if not version:
            raise UsageError(f"math is judged with {name}, which is not installed: {fix}")
        if not version.startswith(NEEDED[name]):
            raise UsageError(
                f"math is judged with {name} {NEEDED[name]}*, and {version} is installed, with which SymPy "
                f"parses no LaTeX: {fix}"
            )
    try:
        parse(r"\frac{1}{2}")
    except Exception as error:
        raise UsageError(f"SymPy parses no LaTeX here ({type(error).__name__}: {error}): {fix}") from error


def prepare() -> None:
    """Imports what the rules of this module need, and uses it once to build the parsers' tables."""
    same_by_math_verify("1", "2")
    parse(r"\frac{1}{2}")


def parse(latex: str) -> Any:
    """The SymPy expression of a whole formula. Raises exceptions of many types if it cannot be parsed."""
    from sympy.parsing.latex import parse_latex

    return parse_latex(latex, strict=True)


@versioned("sympy_equal", 1, packages=("sympy", "antlr4-python3-runtime"))
def same_by_sympy(answer: str, reference: str) -> Literal["same", "different", "unparsed"]:
    r"""Whether SymPy simplifies the difference of two normalised answers to zero.

    Answers that cannot be parsed, subtracted or simplified are not equal. This is the rule of `is_equiv` in
    lm-evaluation-harness 0.4.13 (`minerva_math/utils.py`), with one difference. By default SymPy's parser
    stops at text that it cannot read and takes the beginning for the whole, so that there "1,3" equals
    "1,-2", and "25_6" equals "25_7". Here a formula must be parsed as a whole, except for blanks, full stops
    and an unopened brace at its ends; lists are compared part by part. A subscript is the same with and
    without braces, and .5, which SymPy does not parse, is 0.5. As in that rule, a word is the product of its
    letters, and 3\frac{1}{2} is a product too.
    """
    import sympy

    left, right = _tidy(answer), _tidy(reference)
    if left == right != "":
        return "same"
    try:
        difference = parse(left) - parse(right)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 — SymPy's parser raises exceptions of many types
        return "same" if _same_parts(left, right) else "unparsed"
    try:
        return "same" if sympy.simplify(difference) == 0 else "different"
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001
        return "different"


def _same_parts(left: str, right: str) -> bool:
    """Whether two lists, such as "1,3", have the same length and the same parts."""
    lefts, rights = _parts(left), _parts(right)
    return len(lefts) == len(rights) > 1 and all(
        same_by_sympy(*pair) == "same" for pair in zip(lefts, rights, strict=True)
    )


def _parts(text: str) -> list[str]:
    """The parts of `text` between commas that are not inside brackets."""
    depth, start, parts = 0, 0, []
    for at, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


@versioned("latex_same_number", 1, packages=("sympy", "antlr4-python3-runtime"))
def same_number(answer: str, reference: str) -> bool:
    r"""Whether two normalised answers are numbers within `TOLERANCE` of each other.

    Either tolerance is enough, also for integers: 28121600 and 28121601 are the same. \pi, e and i are the
    constants; SymPy's parser takes them for names of variables.
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
    """A SymPy number, not a `complex`, in which 2^{2005} would be infinite. Raises `TypeError` for others."""
    import sympy

    names = {sympy.Symbol("pi"): sympy.pi, sympy.Symbol("e"): sympy.E, sympy.Symbol("i"): sympy.I}
    value = parse(_tidy(latex)).subs(names).evalf()
    if not value.is_number:
        raise TypeError(f"{latex} is not a number")
    return value


def _tidy(latex: str) -> str:
    text = _EDGES.sub("", latex)
    if text.endswith("}") and text.count("}") == text.count("{") + 1:
        text = text[:-1]  # the normalisation turns "\text{x=7}" into "7}"
    return _POINT.sub("0.", _BASE.sub(r"_\1", text))


@versioned("math_verify_equal", 1, packages=("sympy", "math-verify"))
def same_by_math_verify(answer: str, reference: str) -> bool:
    """Whether math-verify finds the answer equal to the reference; both are LaTeX without dollar signs."""
    from math_verify import verify

    parsed = [_math_verify_parse(latex) for latex in (reference, answer)]
    return bool(verify(*parsed, timeout_seconds=None))


def _math_verify_parse(latex: str) -> list[Any]:
    """A formula as math-verify parses it, without its own time limit; the worker process has a limit."""
    from math_verify import parse as read

    return list(read(f"${latex}$", parsing_timeout=None))
