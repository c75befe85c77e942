r"""Answers in LaTeX: the last \boxed{…} of a text, a marked formula, and one spelling of the same formula."""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*(?P<brace>\{)?")
_MATH = re.compile(
    r"(?<!\\)(?:(\${1,2})(?P<inside>(?!\$).+?)(?<!\\)\1"
    r"|\\\((?P<round>(?:(?!\\[()]).)+)\\\)|\\\[(?P<square>(?:(?!\\[\[\]]).)+)\\\])",
    re.DOTALL,
)
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


@versioned("inside_dollars", 2)
def inside_dollars(text: str) -> str | None:
    r"""The formula between dollar signs in `text`; None unless there is exactly one.

    `$…$`, `$$…$$`, `\(…\)` and `\[…\]` are formulas; `\$` is an amount of money.
    """
    formulas = [match["inside"] or match["round"] or match["square"] for match in _MATH.finditer(text)]
    return formulas[0].strip() if len(formulas) == 1 else None


_SIGNS = {
    "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2013": "-", "°": r"^\circ", "º": r"^\circ", "π": r"\pi",
    "θ": r"\theta", "α": r"\alpha", "β": r"\beta", "λ": r"\lambda", "φ": r"\phi", "∞": r"\infty",
    "×": r"\times", "·": r"\cdot", "⋅": r"\cdot", "÷": r"\div", "±": r"\pm", "≤": r"\le", "≥": r"\ge",
    "≠": r"\ne", "∪": r"\cup", "∩": r"\cap", "∈": r"\in", "∅": r"\emptyset", "…": r"\ldots",
    "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
}  # fmt: skip
_SIGN = re.compile(f"([{''.join(_SIGNS)}])(?=(\\s*[a-zA-Z])?)")
_SUPERSCRIPT = re.compile("[⁻⁰¹²³⁴-⁹]+")
_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_ASCII = str.maketrans(
    {code + 0xFEE0: code for code in range(0x21, 0x7F)}
    | dict.fromkeys(map(ord, "\u00a0\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"), " ")
)
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\d+|\w))")
_RESPELLED = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<!\\)\\[()\[\]]", ""),  # delimiters of a formula
        (r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![a-zA-Z])\s*\.?", ""),
        (r"(?<![\\a-zA-Z])\\[,:;!]|(?<!\\)\\[,:;!](?![a-zA-Z])", ""),  # but not what parts \sin\,x
        (r"~|\\q?quad(?![a-zA-Z])|\\thinspace(?![a-zA-Z])", " "),
        (r"\\\\\s*(?:\[[\d.]+\s?[a-z]{2}\])?\s*", r"\\\\"),
        (r"\\\\(?=\\end)", ""),
        (r"\\[cdt]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(?:display|text|script)style(?![a-zA-Z])\s*", ""),
        (r"\\(?:mathrm|textrm|textit|textnormal)\s*\{(?!th\})", r"\\text{"),
        (r"\\(?:mathbf|boldsymbol|bm)\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*+\})*+)\}", r"\1"),
        (r"\\(le|ge|ne)q(?![a-zA-Z])", r"\\\1"),
        (r"\\varnothing(?![a-zA-Z])", r"\\emptyset"),
        (r"\\[lr]?vert(?![a-zA-Z])\s*", "|"),
        (r"\\(?:lbrace|\{)(?![a-zA-Z])\s*", r"\\{"),
        (r"\\(?:rbrace|\})(?![a-zA-Z])", r"\\}"),
        (r"(?:\{\}\s*)?\^\s*(?:\{\s*\\(?:circ|degree)\s*\}|\\(?:circ|degree)(?![a-zA-Z]))", r"^\\circ"),
        (r"\\degree(?![a-zA-Z])", r"^\\circ"),
        (r"\A\s*\*\*(.+)\*\*\s*\Z", r"\1"),
        (r"(?<=[^\d\s.])\s*\.\s*\Z", ""),
    )
)


@versioned("plain_formula", 2)
def plain_formula(latex: str) -> str:
    r"""`latex` without what changes its looks and not its meaning.

    Delimiters (`\(…\)`), `\left` and `\right`, thin spaces, blanks after `\\`, `\displaystyle` and bold print
    are left out; `\dfrac` is `\frac`, `\leq` is `\le`; signs of Unicode, such as "−", "°" and "π", are
    written in LaTeX. It goes before a rule for formulas, such as Minerva's, that does not know them.
    """
    if not latex.isascii():
        latex = _SUPERSCRIPT.sub(lambda m: f"^{{{m[0].translate(_SUPERSCRIPTS)}}}", latex.translate(_ASCII))
        latex = _ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2]}}}", latex)
        latex = _SIGN.sub(_in_latex, latex)
    for pattern, replacement in _RESPELLED:
        latex = pattern.sub(replacement, latex)
    return latex


def _in_latex(match: re.Match[str]) -> str:
    """The command of a sign, with a blank where a letter follows."""
    command = _SIGNS[match[1]]
    return command + " " if match[2] and command[-1].isalpha() else command
