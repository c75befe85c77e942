"""A baseline that only reads: an OCR engine finds lines of text in the picture, and rules select the answer.

    pip install 'rapidocr>=3.10' 'onnxruntime>=1.20'
    evalkit run -m python:examples/models/ocr_vqa.py:ocr_vqa -t docvqa --data builtin

RapidOCR is Apache-2.0, and its wheel contains its weights (PP-OCR, 32 MB): nothing is downloaded at run time.
With its dependencies it takes about 280 MB of disk, besides those of evalkit itself. A picture takes about a
second on four cores; further questions about it take no time.

It sees pixels only through the OCR engine: colours, shapes and counts are guesses. It has no rules for single
benchmarks: the question is what follows "Question:", or the whole text, and choices are lines "(A) …" or
follow "Choices are:". It shows the score of reading without understanding, which a model should beat.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib.metadata import version
from typing import Any

from evalkit.api import JSON, Image, Message, Prompt, UsageError

INSTALL = "pip install 'rapidocr>=3.10' 'onnxruntime>=1.20'"
STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "at",
        "by",
        "can",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
    ]
    + [
        "in",
        "is",
        "it",
        "its",
        "many",
        "much",
        "of",
        "on",
        "or",
        "shown",
        "that",
        "the",
        "there",
        "this",
        "to",
    ]
    + ["was", "were", "what", "when", "where", "which", "who", "whose", "why", "will", "with"]
)
YES_OR_NO = re.compile(r"(?:is|are|was|were|do|does|did|can|could|has|have|had|will) ", re.IGNORECASE)
CHOICE = re.compile(r"^\(([A-Z])\) (.*)$", re.MULTILINE)
LISTED = re.compile(r"Choices are: (.*?)(?: Answer:)?$", re.MULTILINE)
NUMBER = re.compile(r"[$€£]?\d[\d.,:/-]*%?")
DATE = re.compile(r"\d{1,2} [A-Z][a-z]{2,9} \d{4}|\d{1,4}[./-]\d{1,2}[./-]\d{1,4}")
TIME = re.compile(r"\d{1,2}:\d{2}")
NAME = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+){1,2}")
ASKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (r"\bdate\b|what day|\bborn\b", DATE),
    (r"what time|\bwhen\b", TIME),
    (r"^who\b|whose", NAME),
    (r"how (?:many|much|long|far|old|tall|high)|\b(?:number|total|amount|price|cost|year)\b|percent", NUMBER),
)
"""(pattern of a question, pattern of its answer); the first that matches counts."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and its box, in pixels."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    @property
    def centre(self) -> float:
        return (self.left + self.right) / 2

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def beside(self, other: Line) -> bool:
        """Whether both lines are in one row."""
        return abs(self.middle - other.middle) < 0.6 * min(self.height, other.height)


class OcrVqa:
    """(prompt) → answer. It loads the engine once. Raises `UsageError` if that is not installed."""

    def __init__(self, read: Callable[[bytes], Sequence[Line]] | None = None) -> None:
        """`read`: another function that finds the lines in a picture's file."""
        self.identity: dict[str, JSON] = {} if read else {"rapidocr": version_of("rapidocr")}
        self._read = read or engine()
        self._seen: dict[str, Sequence[Line]] = {}

    def __call__(self, prompt: Prompt) -> str:
        turns = prompt if isinstance(prompt, tuple) else (Message("user", str(prompt)),)
        parts = [part for turn in turns for part in turn.parts]
        text = "".join(part for part in parts if isinstance(part, str))
        pages = [self._lines(part) for part in parts if isinstance(part, Image)]
        said = answer(question_of(text), choices_of(text), pages)
        return worded(said, text)

    def _lines(self, image: Image) -> Sequence[Line]:
        if image.key not in self._seen:
            self._seen[image.key] = self._read(image.data)
        return self._seen[image.key]


def ocr_vqa() -> OcrVqa:
    """The model that `python:examples/models/ocr_vqa.py:ocr_vqa` opens."""
    return OcrVqa()


def version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except ImportError:
        raise UsageError(f"{distribution} is not installed: {INSTALL}") from None


def engine() -> Callable[[bytes], Sequence[Line]]:
    try:
        import onnxruntime  # noqa: F401  (RapidOCR needs it, but does not depend on it)
        from rapidocr import RapidOCR
    except ImportError as error:
        raise UsageError(f"{error}: {INSTALL}") from error
    reader: Any = RapidOCR(params={"Global.log_level": "error"})

    def read(data: bytes) -> Sequence[Line]:
        found = reader(data)
        if found.boxes is None:
            return []
        return [boxed(text, box) for text, box in zip(found.txts, found.boxes, strict=True)]

    return read


def boxed(text: str, corners: Any) -> Line:
    """`corners`: an array of the four points (x, y) of a box, which may be rotated."""
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return Line(text, left, top, right, bottom)


def worded(said: str, instructions: str) -> str:
    """The answer in the form of the instructions: without units, after "Final Answer:", or in a sentence."""
    if "any units" in instructions:
        said = said.strip("$€£%")
    if "Final Answer:" in instructions:
        return f"Final Answer: {said}"
    return f'The answer is "{said}".' if " at the end.\n" in instructions else said


def question_of(text: str) -> str:
    """The question without instructions and choices."""
    asked = text.rpartition("Question:")[2]
    asked = LISTED.sub("", CHOICE.sub("", asked)).partition("Choices:")[0]
    return asked.strip().removesuffix("Answer:").strip()


def choices_of(text: str) -> dict[str, str]:
    """{answer: text} of the choices; the answer is the choice's letter, or its text if it has no letter."""
    lettered = {match[1]: match[2].strip() for match in CHOICE.finditer(text)}
    if lettered:
        return lettered
    listed = LISTED.search(text)
    return {choice.strip(): choice.strip() for choice in listed[1].split(";")} if listed else {}


def answer(question: str, choices: dict[str, str], pages: Sequence[Sequence[Line]]) -> str:
    """The answer by the rules, a guess if no rule applies.

    The question is assumed to be about the page that has most of its words.
    """
    words = words_of(question)
    page = max(
        pages, key=lambda page: max((common(words, line.text) for line in page), default=0), default=()
    )
    if choices:
        return chosen(choices, found(question, words, page), page)
    if YES_OR_NO.match(question):
        return "Yes"
    return found(question, words, page) or "1"


def found(question: str, words: frozenset[str], page: Sequence[Line]) -> str:
    """The text on the page that answers the question; "" for an empty page."""
    if not page:
        return ""
    form = next((form for asks, form in ASKS if re.search(asks, question, re.IGNORECASE)), None)
    fitting = [line for line in page if form and form.search(line.text)]
    title = max(page, key=lambda line: line.height)
    if form is None or not fitting:
        named = max(page, key=lambda line: (common(words, line.text), line.height))
        return named.text if common(words, named.text) else title.text

    def fits(line: Line) -> tuple[int, bool, float]:
        """Ranks lines by the question's words in them, then by a value in the row, then by few others."""
        share = common(words, line.text) / (len(words_of(line.text)) or 1)
        return common(words, line.text), any(line is other or line.beside(other) for other in fitting), share

    label = max([line for line in page if line is not title or line in fitting] or page, key=fits)
    if not common(words, label.text):
        return first(form, max(fitting, key=lambda line: line.height))
    return valued(words, label, form, page, fitting)


def valued(
    words: frozenset[str], label: Line, form: re.Pattern[str], page: Sequence[Line], fitting: Sequence[Line]
) -> str:
    """The value of a label: in its line, in its row, in the column that the question names, or nearest."""
    own = [match[0] for match in form.finditer(label.text) if not words_of(match[0]) <= words]
    if own and form is not NAME:
        return own[-1].rstrip(".,:")
    others = [line for line in fitting if line is not label] or fitting
    if NUMBER.fullmatch(label.text):  # on an axis: its value is above or below
        return first(form, min(others, key=lambda line: distance(line, label, across=4)))
    row = [line for line in others if line.beside(label)]
    left = words - words_of(label.text)
    heads = [line for line in page if not line.beside(label) and common(left, line.text)]
    if row and heads:
        head = max(heads, key=lambda line: common(left, line.text))
        return first(form, min(row, key=lambda line: abs(line.centre - head.centre)))
    right = [line for line in row if line.left > label.left]
    if right:
        return first(form, min(right, key=lambda line: line.left))
    return first(form, min(others, key=lambda line: distance(line, label)))


def chosen(choices: dict[str, str], said: str, page: Sequence[Line]) -> str:
    """The choice most similar to the found text, or else one that is on the page, or else the first."""

    def likeness(key: str) -> tuple[float, bool]:
        like = SequenceMatcher(None, choices[key].casefold(), said.casefold(), autojunk=False).ratio()
        words = words_of(choices[key])
        return (like if like > 0.6 else 0.0), any(words and words <= words_of(line.text) for line in page)

    return max(choices, key=likeness)


def first(form: re.Pattern[str], line: Line) -> str:
    """The part of a line that matches the form; the whole line if it is a number with a unit, "500 ml"."""
    match = form.search(line.text)
    if match is None:
        return line.text
    unit = line.text[match.end() :].strip()
    if form is NUMBER and match.start() == 0 and unit.isalpha() and len(unit) < 4:
        return line.text
    return match[0].rstrip(".,:")


def distance(line: Line, other: Line, across: float = 1) -> float:
    return across * abs(line.centre - other.centre) + abs(line.middle - other.middle)


def words_of(text: str) -> frozenset[str]:
    """The words that are not stop words, without plural endings."""
    words = re.findall(r"\w+", text.casefold())
    return frozenset(word.removesuffix("s") or word for word in words if word not in STOP_WORDS)


def common(words: frozenset[str], text: str) -> int:
    """The number of `words` that are in `text`."""
    return len(words & words_of(text))
