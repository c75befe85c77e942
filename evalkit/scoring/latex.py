r"""Answers in LaTeX: the last \boxed{…} of a text, and a formula between dollar signs."""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*(?P<brace>\{)?")
_MATH = re.compile(r"(?<!\\)(\${1,2})(?P<inside>(?!\$).+?)(?<!\\)\1", re.DOTALL)
_BRACE = re.compile(r"[{}]")


@versioned("boxed_answer", 1)
def boxed_answer(text: str, sample: Sample | None = None) -> str | None:
    r"""The content of the last \boxed{…} or \fbox{…} of `text`; None if there is none or it is not closed.

    This is the rule of hendrycks/math at 985bdc1 (`last_boxed_only_string`) and lm-evaluation-harness 0.4.13
    (`minerva_math/utils.py`), which agree with this one on every solution of MATH. They differ in cases that
    no solution has: here the last box counts, whether \boxed or \fbox, with or without a space before its
    brace; a box without braces (`\boxed 5$`, `\boxed\frac12$`) extends to the dollar sign or the end of its
    line.
    """
    box = None
    for box in _BOX.finditer(text):  # noqa: B007 — only the last match is wanted
        pass
    if box is None:
        return None
    if box["brace"] is None:
        return re.split(r"[$\n]", text[box.end() :], maxsplit=1)[0].strip() or None
    depth = 0
    for brace in _BRACE.finditer(text, box.end() - 1):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return text[box.end() : brace.start()].strip()
    return None


@versioned("inside_dollars", 1)
def inside_dollars(text: str) -> str | None:
    r"""The formula between dollar signs in `text`; None unless there is exactly one.

    `$…$` and `$$…$$` are formulas; `\$` is an amount of money.
    """
    formulas = [match["inside"] for match in _MATH.finditer(text)]
    return formulas[0].strip() if len(formulas) == 1 else None
