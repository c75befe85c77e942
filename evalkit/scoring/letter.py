"""Extraction of the letter of a choice from the response of a chat, or from a chain of thought.

Only the letters of the sample's choices count. A letter counts with or without brackets, in bold, in tags, in
LaTeX, in full width, as the Cyrillic or Greek letter that looks the same, and in lower case if brackets or
punctuation show that it is not a word. "A" before a word in lower case is an article ("A cat"), unless the
word is one that follows an answer ("A because").
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
_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)
_ANSWER_TAG = re.compile(r"<(?:final[_ -]?)?answer>\s*", re.IGNORECASE)
_TAG = re.compile(
    r"<(b|strong|i|em|u|code|span|p)>(?P<inside>[^<>]{0,200})</\1>|</(?:final[_ -]?)?answer>",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^[ ]{0,3}#{1,6}[ \t]+", re.MULTILINE)
_SIGNS = str.maketrans(
    {**dict.fromkeys("「『【〈《", "("), **dict.fromkeys("」』】〉》", ")"), **dict.fromkeys("«»", '"')}
    | dict.fromkeys("➡⇒⟹➜", "→")
    | dict.fromkeys("✅✔☑👉🎯⭐🟢🏆▶•●\ufe0f")
    | {0x1F170 + place: chr(ord("A") + place) for place in range(26)}
)
"""Brackets of other scripts, arrows, and signs that point to an answer ("👉 B"); 🅱 is "B"."""
_LOOK_ALIKE = re.compile(r"""(?<![\w'’])[АВСЕНІЈΑΒΕΗΙ](?=\s*(?:[.,;:!?)\]}"'”’*`$]|$))""", re.MULTILINE)
_LOOK_ALIKES = str.maketrans("АВСЕНІЈΑΒΕΗΙ", "ABCEHIJABEHI")
_CYRILLIC_LIST = re.compile(r"(?<!\w)[БГД](?!\w)")
_BETWEEN_SCRIPTS = re.compile(
    r"(?<=[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af])(?=[A-Z])|(?<=[A-Z])(?=[\u3040-\u9fff])"
)
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
    (?: \b(?:is|be|was)\b | [:=→] | -> | \s[-–—]\s ) \s* :? \s* (?: \.{3} \s* )?
    (?: (?:answer|choice|clearly|definitely|indeed|letter|likely|most|option|probably|the|then|therefore|thus)
        \b \s* [:,]? \s* )*
    (?: \\f?boxed \s* \{? \s* )? ["'“‘<([{]{0,2} \Z
"""
_ANSWERED = re.compile(_CUE % "answer", re.VERBOSE | re.IGNORECASE)
_NOUN = (
    r"alternative|answer|choice|guess|letter|option|pick|selection|statement|verdict|(?:correct|right)\ one"
)
_DECLARED = re.compile(_CUE % _NOUN, re.VERBOSE | re.IGNORECASE)
_ABROAD = re.compile(
    r"""
    (?: (?<![^\W_]) (?:antwort|lösung|respuesta|réponse|risposta|resposta|ответ)\b | 答案|答え|正解|정답 )
    (?: (?! \b(?:nicht|no|ne|pas|non|não|не)\b | [不없아] ) [^.\n:=] ){0,40}?
    (?: \b(?:ist|lautet|es|est|è|é)\b | [:=→是为は은는] | \s[-–—]\s ) \s* :? \s* ["'“‘<([{]{0,2} \Z
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DENIED_ABROAD = re.compile(r"\s*(?:では|じゃ|이 아|가 아|नहीं)")
"""What denies a letter behind it: "B ではありません"."""
_LABELLED = re.compile(
    r"(?:\A|\n)\W*(?:final\s+)?(?:conclusion|correct|decision|result|solution|verdict)\s*:\s*[\"'“‘<([{]{0,2}\Z",
    re.IGNORECASE,
)
_CONCLUDED = re.compile(
    r"""
    (?: \A | [\n.!?;,:] \s* | \band\s+ ) (?: accordingly|consequently|hence|so|therefore|thus )\b ,? \s+
    (?: (?: it\s+is | it['’]s | it\s+must\s+be | (?:the\s+)?(?:answer|choice|letter|option) ) \s+ )?
    ["'“‘<([{]{0,2} \Z
    """,
    re.VERBOSE | re.IGNORECASE,
)
_IS_RIGHT = re.compile(r"\s+is\s+(?:the\s+)?(?:(?:most|only|one)\s+)*(?:answer|best|correct|right)\b")
_IS_WRONG = re.compile(r"\s+(?:is\s+(?:not|false|incorrect|wrong)|isn['’]t|cannot|can['’]t)\b", re.IGNORECASE)
_NEGATED = re.compile(r"(?:\b(?:cannot|except|never|not)|n['’]t)\s+(?:be\s+)?(?:\w+\s+)?\Z", re.IGNORECASE)
_BOXED = re.compile(r"\\f?boxed\s*\{?\s*(?:\\(?:text|mathrm|textbf|mathbf)\s*\{\s*)?\Z")
_BOX_GOES_ON = re.compile(r"\s*(?:[)\].:}]|\Z)")
_ANOTHER = re.compile(r"""["”]?\s*(?:,?\s*(?:and|or|&|/)|,)\s*""")
_GOES_ON = re.compile(r"\s+(?:is|was|are|would|does|cannot)\b")
_OPENS = re.compile(r"""(?:\A|\n)[\s"'“‘<>-]*\Z""")
_OPENS_LINE = re.compile(
    r"""(?:\A|\n)[\s"'“‘<>([{-]*(?:\d{1,3}[.)]\s+)?(?:(?:the\s+)?(?:answer|choice|letter|option)\s+)?["'“‘<([{]{0,2}\Z""",
    re.IGNORECASE,
)
_CLOSES = re.compile(r"""\s*(?:[.,;:!>)\]"'”’–—-]|\n|\Z)|\s+(?:because|since)\b""")
_LABEL = re.compile(r"A:\s+(?=\S)")
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


@versioned("chat_letter", 4)
def chat_letter(text: str, sample: Sample) -> str | None:
    """The letter that a chat gave as its answer; None if it gave none, or more than one.

    The first of these rules that finds a letter decides: the text is exactly one of the choices; the last
    letter that is declared ("The answer is (B)", "Option C is correct", "Therefore, A.", "\\boxed{D}", or
    alone on a line if no other letter is alone on a line); the only letter that is named in brackets, at the
    beginning of a line ("C. Paris") or after words such as "I think", and that is not denied. If two letters
    are declared together ("A and B"), neither is the answer. The Gemini reports do not describe how a
    generated letter is extracted; the rule is evalkit's own.
    """
    text = _plain(text)
    quoted = _quoted(text, sample)
    if quoted is not None:
        return quoted
    text = _unlabelled(text, sample)
    mentions = _mentions(text, sample)
    declared = _declared(text, mentions, sample)
    if declared:
        return _single(text, declared[-1], sample)
    named = {_single(text, mention, sample) for mention in mentions if _is_named(text, mention)}
    return named.pop() if len(named) == 1 else None


@versioned("cot_letter", 4)
def cot_letter(text: str, sample: Sample) -> str | None:
    """The letter with which a chain of thought ends: "answer is (X)", else \\boxed{X}, else its last line's.

    The last of several counts. "Answer: X" and `<answer>X</answer>` count as "answer is (X)". The last line
    gives a letter that it declares as in a chat ("Therefore, X."), or that it consists of ("#### X",
    "X. choice") if no line consists of another. lm-evaluation-harness (`flan_cot_fewshot` in 0.4.13)
    takes everything from the first "answer is " up to the second-last character of the line, and compares it
    without case and punctuation. For a chain that ends with "The answer is (X)." both find the same letter;
    tests/conformance/mmlu_cot_letter.json lists the cases in which they differ.
    """
    text = _unlabelled(_plain(text), sample)
    mentions = _mentions(text, sample)
    found = [mention for mention in mentions if _is_answered(text, mention, sample)]
    found = found or [mention for mention in mentions if _is_boxed(text, mention)]
    if not found:
        last_line = text.rfind("\n") + 1
        found = [mention for mention in _declared(text, mentions, sample) if mention.start >= last_line]
    return _single(text, found[-1], sample) if found else None


def _plain(text: str) -> str:
    """`text` in NFKC form ("（Ｂ）" becomes "(B)"), without the markup of Markdown, HTML and LaTeX."""
    if not text.isascii():
        text = _BETWEEN_SCRIPTS.sub(" ", unicodedata.normalize("NFKC", text).translate(_SIGNS))
        if not _CYRILLIC_LIST.search(text):
            text = _LOOK_ALIKE.sub(lambda letter: letter[0].translate(_LOOK_ALIKES), text)
    if "<" in text:
        text = _ANSWER_TAG.sub("\nAnswer: ", _BREAK.sub("\n", text))
        text = _TAG.sub(lambda tag: tag["inside"] or "", text)
    if "#" in text:
        text = _HEADING.sub("", text)
    return _MARKS.sub(lambda mark: mark[0][1:] if mark[0][0] == "\\" else "", _FONT.sub(r"\1", text)).strip()


def _unlabelled(text: str, sample: Sample) -> str:
    """`text` without the "A:" of an answer that is a letter ("A: B"), unless "B" is the text of choice A."""
    label = _LABEL.match(text)
    if label is None or (sample.choices and _bare(sample.choices[0]) == _bare(text[label.end() :])):
        return text
    rest = text[label.end() :]
    first = next(iter(_mentions(rest.partition("\n")[0], sample)), None)
    return rest if first is not None and _is_alone(rest, first, sample) else text


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


def _declared(text: str, mentions: list[_Mention], sample: Sample) -> list[_Mention]:
    """The mentions that are declared, or alone on a line if no other letter is, in their order."""
    alone = [mention for mention in mentions if _is_alone(text, mention, sample)]
    declared = {mention for mention in mentions if _is_declared(text, mention, sample)}
    if len({mention.letter for mention in alone}) == 1:
        declared |= {*alone}
    return sorted(declared, key=lambda mention: mention.start)


def _is_declared(text: str, one: _Mention, sample: Sample) -> bool:
    before = max(0, one.start - _BEFORE)
    if _DECLARED.search(text, before, one.start) or _IS_RIGHT.match(text, one.end):
        return True
    if _is_boxed(text, one) or _is_answered(text, one, sample) or _LABELLED.search(text, before, one.start):
        return True
    return bool(_CONCLUDED.search(text, before, one.start)) and _ends(text, one, sample)


def _is_answered(text: str, one: _Mention, sample: Sample) -> bool:
    """Whether "The answer is" precedes the letter, perhaps with the choice between ("is Rome (B)")."""
    end, before = one.start, max(0, one.start - _BEFORE)
    if text[end] in "([":
        words = map(re.escape, _bare(sample.choices[letters(sample).index(one.letter)]).split())
        choice = re.compile(r"\s+".join(words) + r"""[\s.,"'”’]*\Z""")
        said = choice.search(text, max(0, end - 2 * len(choice.pattern)), end)
        if said is not None:
            end, before = said.start(), max(0, said.start() - _BEFORE)
    if _ANSWERED.search(text, before, end):
        return True
    return bool(_ABROAD.search(text, before, end)) and not _DENIED_ABROAD.match(text, one.end)


def _is_boxed(text: str, one: _Mention) -> bool:
    if _BOXED.search(text, max(0, one.start - 30), one.start) is None:
        return False
    return text[one.start] in "([{" or _BOX_GOES_ON.match(text, one.end) is not None


def _is_alone(text: str, one: _Mention, sample: Sample) -> bool:
    """Whether the letter is on a line alone, or with only the text of its choice."""
    opens = _OPENS_LINE.search(text, max(0, one.start - 30), one.start)
    return opens is not None and _ends(text, one, sample)


def _ends(text: str, one: _Mention, sample: Sample) -> bool:
    """Whether the letter, or it with the text of its choice, ends its line."""
    rest = text[one.end : text.find("\n", one.end) if "\n" in text[one.end :] else None]
    rest = rest.lstrip(").:,;!>]}\"'”’ ").strip()
    choice = _bare(sample.choices[letters(sample).index(one.letter)])
    return _bare(rest) in ("", choice) or _bare(rest.lstrip("-–— ")) in ("", choice)


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
