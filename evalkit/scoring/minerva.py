"""Minerva's answers to MATH: how they are extracted and normalised (Lewkowycz et al. 2022)."""

from __future__ import annotations

import re

from evalkit.identity.declared import versioned
from evalkit.samples import Sample
from evalkit.scoring.latex import boxed_answer, inside_dollars

_MARKS = r"[*_]{0,3}"
_STATEMENT = re.compile(
    rf"Final Answer(?:{_MARKS}:{_MARKS}|[*_]{{1,3}}|[ \t]{{0,9}}\n)\s{{0,9}}{_MARKS}"
    rf"The final answer is(?::(?!=))?{_MARKS}(?:\s+(?=\$|\\[(\[]|\*\*[$\\]))?",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"\.?[*_\s]{0,9}I hope (?:it is|it['’]s) correct", re.IGNORECASE)
_DISPLAY = re.compile(r"\$\$.+?\$\$|\\\[.+?\\\]", re.DOTALL)
_FORMULA = re.compile(r"(?<!\\)(?:\$|\\[(\[])")
_REPLACED = (
    ("an ", ""),
    ("a ", ""),
    (".$", "$"),
    ("\\$", ""),
    ("\\ ", ""),
    (" ", ""),
    ("mbox", "text"),
    (",\\text{and}", ","),
    ("\\text{and}", ","),
    ("\\text{m}", "\\text{}"),
)
_DELETED = (
    "square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units", "\\ldots", "sue",
    "points", "feet", "minutes", "digits", "cents", "degrees", "cm", "gm", "pounds", "meters", "meals",
    "edges", "students", "childrentickets", "multiples", "\\text{s}", "\\text{.}", "\\text{\ns}",
    "\\text{}^2", "\\text{}^3", "\\text{\n}", "\\text{}", "\\mathrm{th}", "^\\circ", "^{\\circ}", "\\;",
    ",\\!", "{,}", '"', "\\dots",
)  # fmt: skip
_UNIT_WORD = re.compile(rf"(?<!\\)\b(?:{'|'.join(filter(str.isalpha, _DELETED))})\b")
_GLUED = [(word, re.compile(rf"(\\[a-zA-Z]+)|{word}") if word.isalpha() else None) for word in _DELETED]
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+")


@versioned("minerva_stated_answer", 3)
def stated_answer(text: str, sample: Sample | None = None) -> str | None:
    r"""The answer of a response to Minerva's prompt, as it was written; None if there is none.

    The rule of the report's team (Gemini 1.5 report, appendix 12.13): the formula `$…$` in the text between
    "Final Answer: The final answer is" and ". I hope it is correct."; without one, the last \boxed{…} of
    the response. The rule leaves some cases open, which are settled here: case, bold print, a colon and a
    line break after "Final Answer" do not matter; `\(…\)` and `\[…\]` are formulas too; the first such
    statement counts; a statement that is not closed extends to the end of its line; a statement with several
    formulas is taken as a whole; and without a formula or a box, the words of the statement are the answer.
    In contrast, lm-evaluation-harness 0.4.13 (`get_unnormalized_answer`) takes the whole statement, which
    must be closed on its own line; otherwise it has no answer, even if there is a box.
    """
    stated = _STATEMENT.search(text)
    if stated is None:
        return boxed_answer(text)
    statement = _statement(text[stated.end() :]).strip()
    if _FORMULA.search(statement):
        formula = inside_dollars(statement) or statement
        return boxed_answer(formula) or formula
    return boxed_answer(text) or statement.removesuffix(".").strip("* ").removesuffix(".") or None


def _statement(rest: str) -> str:
    """The statement up to its closing words; without them, up to the end of its line or displayed formula."""
    closing = _CLOSING.search(rest.partition("\n\n")[0])
    if closing is not None:
        return rest[: closing.start()]
    display = _DISPLAY.match(rest)
    start = 0 if display is None else display.end()
    return rest[:start] + rest[start:].partition("\n")[0]


@versioned("minerva_normalize", 2)
def normalize(answer: str) -> str:
    r"""`answer` without words and units, and with LaTeX variants written in one way.

    Behaves like `normalize_final_answer` of lm-evaluation-harness 0.4.13 (`minerva_math/utils.py`). That
    differs from appendix D of Lewkowycz et al. (2022) in three points: whole unit words are removed first,
    so that `2\pi cm` loses its unit and `\left` keeps its "ft"; the index of `\sqrt[3]8` stays; and commas
    are removed only from numbers with groups of three digits, so that "0,1" stays a pair. The order of the
    steps matters.
    """
    text = answer.rpartition("=")[2]
    text = _UNIT_WORD.sub("", text)
    for old, new in _REPLACED:
        text = text.replace(old, new)
    for word, pattern in _GLUED:
        # The same letters inside the name of a LaTeX command are not a unit.
        text = text.replace(word, "") if pattern is None else pattern.sub(lambda m: m[1] or "", text)
    text = "\n".join(map(_first_formula, text.split("\n")))
    for command in ("text", "textbf", "overline"):
        text = "\n".join(_without(f"\\{command}{{", line) for line in text.split("\n"))
    text = "\n".join(map(_unboxed, text.split("\n")))
    text = re.sub(r"frac([^{])(.)", r"frac{\1}{\2}", text)
    text = re.sub(r"sqrt(\[[^\]]{0,1000}\])(\w)", r"sqrt\1{\2}", text)
    text = re.sub(r"sqrt(?!\[)([^{])", r"sqrt{\1}", text)
    text = text.replace("$", "")
    return text.replace(",", "") if _GROUPED.fullmatch(text) else text


def _without(opener: str, line: str) -> str:
    r"""The line without each `opener`, such as `\text{`, that is closed, and without the next brace.

    `re.sub` with `.*?` between would take quadratic time.
    """
    kept, at = list[str](), 0
    while (start := line.find(opener, at)) >= 0 and (end := line.find("}", start)) >= 0:
        kept += (line[at:start], line[start + len(opener) : end])
        at = end + 1
    return "".join((*kept, line[at:]))


def _unboxed(line: str) -> str:
    r"""The line without its first \boxed{ and its last brace, if this comes later."""
    before, box, rest = line.partition("\\boxed{")
    inside, brace, after = rest.rpartition("}")
    return f"{before}{inside}{after}" if box and brace else line


def _first_formula(line: str) -> str:
    """The first formula of a line, or the line if it has none. A pattern would take quadratic time."""
    parts = line.split("$", 2)
    return f"${parts[1]}$" if len(parts) == 3 else line
