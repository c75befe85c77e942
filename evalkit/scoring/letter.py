"""Extraction of the letter of a choice from the response of a chat, or from a chain of thought.

Only the letters of the sample's choices count. A letter counts with or without brackets, in bold, in LaTeX,
in full width, and in lower case if brackets or punctuation show that it is not a word. "A" before a word in
lower case is an article ("A cat"), unless the word is one that follows an answer ("A because").
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from typing import NamedTuple

from evalkit.identity.declared import versioned
from evalkit.samples import Sample, letters

_FONT = re.compile(r"\\(?:text|mathrm|mathbf|mathit|textbf|textit|textrm)\s*\{([^{}]*)\}")
_MARKS = re.compile(r"[*`$]|\\[()]|(?<![^\W_])_+|_+(?![^\W_])")
_MENTION = re.compile(
    r"""
    [(\[{] \s* ([A-Za-z]) \s* [)\]}]
    | (?<![\w.\\-]) (?<!\w['’]) ([A-Z]) (?! ['’-]?\w )
      (?! (?<=[AI]) \s+ (?!(?:and|as|because|based|due|for|given|is|or|since|which)\b) [a-z])
    | (?<![\w.\\-]) (?<!\w['’]) ([a-z]) (?= \s* (?: [.,;:!)\]}"'”’] | $))
    """,
    re.VERBOSE | re.MULTILINE,
)
_CUE = r"""
    (?<![a-z]) (?:%s) s?\b
    (?: (?! \b(?:not|never|cannot)\b | n['’]t\b ) [^.\n:=] ){0,80}?      # "to the question", "choice"
    (?: \b(?:is|be|was)\b | [:=→] | -> | \s[-–—]\s ) \s* :? \s*
    (?: (?:answer|choice|clearly|definitely|indeed|letter|likely|most|option|probably|the|then|therefore|thus)
        \b \s* [:,]? \s* )*
    ["'“‘<]? \Z
"""
_ANSWERED = re.compile(_CUE % "answer", re.VERBOSE | re.IGNORECASE)
_DECLARED = re.compile(_CUE % "alternative|answer|choice|letter|option", re.VERBOSE | re.IGNORECASE)
_IS_RIGHT = re.compile(r"\s+is\s+(?:the\s+)?(?:(?:most|only|one)\s+)*(?:answer|best|correct|right)\b")
_IS_WRONG = re.compile(r"\s+(?:is\s+(?:not|false|incorrect|wrong)|isn['’]t|cannot|can['’]t)\b", re.IGNORECASE)
_NEGATED = re.compile(r"(?:\b(?:cannot|except|never|not)|n['’]t)\s+(?:be\s+)?(?:\w+\s+)?\Z", re.IGNORECASE)
_BOXED = re.compile(r"\\f?boxed\s*\{?\s*\Z")
_BOX_GOES_ON = re.compile(r"\s*(?:[)\].:}]|\Z)")
_ANOTHER = re.compile(r"""["”]?\s*(?:,?\s*(?:and|or|&|/)|,)\s*""")
_GOES_ON = re.compile(r"\s+(?:is|was|are|would|does|cannot)\b")
_OPENS = re.compile(r"""(?:\A|\n)[\s"'“‘<>-]*\Z""")
_CLOSES = re.compile(r"""\s*(?:[.,;:!>)\]"'”’-]|\n|\Z)""")
_LEANING = re.compile(
    r"""(?<![^\W_])(?:alternative|answer|choice|letter|option|choose|pick|select|go\ with|going\ with|must\ be
    |it\ is|it['’]s|probably|i\ think|i\ guess|i['’]d\ say)\s+["'“‘]?\Z""",
    re.VERBOSE | re.IGNORECASE,
)
_BEFORE = 160
"""The number of characters before a letter that are searched for a declaration such as "The answer is"."""

_MOST = 1000
"""The most letters that are considered, from the end: a text with more is not an answer, and slow to read."""


class _Mention(NamedTuple):
    letter: str
    start: int
    end: int


@versioned("chat_letter", 1)
def chat_letter(text: str, sample: Sample) -> str | None:
    """The letter that a chat gave as its answer; None if it gave none, or more than one.

    The first of these rules that finds a letter decides: the text is exactly one of the choices; the last
    letter that is declared ("The answer is (B)", "Option C is correct", "\\boxed{D}", or alone on a line if
    no other letter is alone on a line); the only letter that is named in brackets, at the beginning of a
    line ("C. Paris") or after words such as "I think", and that is not denied. If two letters are declared
    together ("A and B"), neither is the answer. The Gemini reports do not describe how a generated letter is
    extracted; the rule is evalkit's own.
    """
    text = _plain(text)
    quoted = _quoted(text, sample)
    if quoted is not None:
        return quoted
    mentions = _mentions(text, sample)
    alone = [mention for mention in mentions if _is_alone(text, mention, sample)]
    declared = [mention for mention in mentions if _is_declared(text, mention)]
    if len({mention.letter for mention in alone}) == 1:
        declared = sorted({*declared, *alone}, key=lambda mention: mention.start)
    if declared:
        return _single(text, declared[-1], sample)
    named = {_single(text, mention, sample) for mention in mentions if _is_named(text, mention)}
    return named.pop() if len(named) == 1 else None


@versioned("cot_letter", 1)
def cot_letter(text: str, sample: Sample) -> str | None:
    """The letter with which a chain of thought ends: the last "answer is (X)", else \\boxed{X}, else None.

    "Answer: X" and "the answer is option X" count too. lm-evaluation-harness (`flan_cot_fewshot` in 0.4.13)
    takes everything from the first "answer is " up to the second-last character of the line, and compares it
    without case and punctuation. For a chain that ends with "The answer is (X)." both find the same letter;
    tests/conformance/mmlu_cot_letter.json lists the cases in which they differ.
    """
    text = _plain(text)
    mentions = _mentions(text, sample)
    answered = [m for m in mentions if _ANSWERED.search(text, max(0, m.start - _BEFORE), m.start)]
    answered = answered or [mention for mention in mentions if _is_boxed(text, mention)]
    return _single(text, answered[-1], sample) if answered else None


def _plain(text: str) -> str:
    """`text` in NFKC form ("（Ｂ）" becomes "(B)"), without the markup of Markdown and LaTeX."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _MARKS.sub(lambda mark: mark[0][1:] if mark[0][0] == "\\" else "", _FONT.sub(r"\1", text)).strip()


def _mentions(text: str, sample: Sample) -> list[_Mention]:
    names = letters(sample)
    matches = deque(_MENTION.finditer(text), _MOST)
    return [_Mention(_letter(match), *match.span()) for match in matches if _letter(match) in names]


def _letter(match: re.Match[str]) -> str:
    return str(match[1] or match[2] or match[3]).upper()


def _quoted(text: str, sample: Sample) -> str | None:
    """The letter of the only choice that is the same as `text`, word for word; else None."""
    bare = _bare(text)
    same = [
        name for name, choice in zip(letters(sample), sample.choices, strict=True) if _bare(choice) == bare
    ]
    is_letter = len(bare) == 1 and bare.upper() in letters(sample)
    return same[0] if len(same) == 1 and bare and not is_letter else None


def _bare(text: str) -> str:
    return " ".join(_plain(text).strip("\"'“”‘’. \n").split())


def _is_declared(text: str, one: _Mention) -> bool:
    before = max(0, one.start - _BEFORE)
    declared = _DECLARED.search(text, before, one.start) or _IS_RIGHT.match(text, one.end)
    return bool(declared) or _is_boxed(text, one)


def _is_boxed(text: str, one: _Mention) -> bool:
    boxed = _BOXED.search(text, max(0, one.start - 12), one.start)
    return boxed is not None and _BOX_GOES_ON.match(text, one.end) is not None


def _is_alone(text: str, one: _Mention, sample: Sample) -> bool:
    """Whether the letter is on a line alone, or with only the text of its choice."""
    if not _opens(text, one):
        return False
    rest = text[one.end :].partition("\n")[0].lstrip(').:,-]"”').strip()
    return not rest or _bare(rest) == _bare(sample.choices[letters(sample).index(one.letter)])


def _is_named(text: str, one: _Mention) -> bool:
    if _IS_WRONG.match(text, one.end) or _NEGATED.search(text, max(0, one.start - 30), one.start):
        return False
    if text[one.start] in "([":
        return not text[max(0, one.start - 1) : one.start].isalnum()
    if _opens(text, one):
        return _CLOSES.match(text, one.end) is not None
    return _LEANING.search(text, max(0, one.start - _BEFORE), one.start) is not None


def _opens(text: str, one: _Mention) -> bool:
    return _OPENS.search(text, max(0, one.start - 12), one.start) is not None


def _single(text: str, one: _Mention, sample: Sample) -> str | None:
    """The letter, or None if another one is declared with it: "A and B", but not "A, and B is wrong"."""
    link = _ANOTHER.match(text, one.end)
    other = _MENTION.match(text, link.end()) if link is not None else None
    if other is None or _GOES_ON.match(text, other.end()):
        return one.letter
    letter = _letter(other)
    return one.letter if letter == one.letter or letter not in letters(sample) else None
