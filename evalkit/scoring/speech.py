"""Transcripts: how two of them are made alike, what they are counted in, and how many edits lie between them.

Normalisers are Whisper's (Radford et al. 2022, arXiv 2212.04356, appendix C; openai/whisper at c0d2f62,
`whisper/normalizers`), from the package `whisper-normalizer`:

* `whisper-english`: no brackets and fillers, contractions written out, numbers in digits, American spelling;
* `whisper-basic`: no brackets, no marks, symbols and punctuation. A mark becomes a space, so that words of
  Hindi, and of Thai, break at their vowel signs; that is Whisper's rule, and holds for both sides;
* `none`: the text as it is.

Whisper's quirks stay: "O'Neill" becomes "0 neill", an invisible sign of direction belongs to its word. The
package differs from the repository in four words ("kinda", "sorta", "dunno" and "cause", which it makes
"because"): they are taken out, and a version with any other table is refused. Two things are ours. Openers
that nothing closes are read in linear time, with the same result. Where Whisper's reading of numbers fails,
as it does on one of more than 4,300 digits, the text's numbers stay as they are.

The Gemini reports do not say how transcripts are normalised. `auto` is Whisper's practice: the English rules
for English, the basic ones for all else.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal, NamedTuple, TypeAlias

from evalkit.errors import UsageError, unknown
from evalkit.identity.declared import versioned
from evalkit.needs import load
from evalkit.samples import JSON, Sample, Verdict

SpeechUnit: TypeAlias = Literal["word", "character"]
NORMALISERS = ("auto", "whisper-english", "whisper-basic", "none")
UNITS = ("report", "whisper", "word", "character")
"""Rules for what is counted: by the report's list of languages, by Whisper's, or one unit for all."""

_MANDARIN, _CANTONESE, _JAPANESE = ("zh", "cmn", "zho", "chi"), ("yue",), ("ja", "jpn")
_THAI, _KOREAN = ("th", "tha"), ("ko", "kor")
_LAO, _BURMESE = ("lo", "lao"), ("my", "mya", "bur")
_IN_CHARACTERS = {
    "report": frozenset((*_MANDARIN, *_CANTONESE, *_JAPANESE, *_THAI, *_KOREAN)),
    "whisper": frozenset((*_MANDARIN, *_CANTONESE, *_JAPANESE, *_THAI, *_LAO, *_BURMESE)),
    "word": frozenset[str](),
}
_ENGLISH = ("en", "eng")

_ADDED = (r"\bkinda\b", r"\bsorta\b", r"\bdunno\b", r"\bcause\b")
_TABLES = "5851c15202c7653f"
_BRACKETS = re.compile(r"[<\[][^>\]]*[>\]]")
_PARENTHESES = re.compile(r"\([^)]+\)")
_WIDE = re.compile(r"\s{3,}")


@versioned("speech_normaliser_for", 1)
def normaliser_for(language: str, normaliser: str = "auto") -> str:
    """The normaliser for texts in `language`, never "auto"; a `UsageError` for a name nobody knows.

    `language`: a code of ISO 639, alone or with script and region, as FLEURS has them: "en", "eng", "en_us",
    "zh-CN", "cmn_hans_cn". "": not known, which is not English.
    """
    if normaliser not in NORMALISERS:
        raise unknown("normaliser", normaliser, NORMALISERS)
    if normaliser != "auto":
        return normaliser
    return "whisper-english" if _primary(language) in _ENGLISH else "whisper-basic"


@versioned("speech_unit_for", 1)
def unit_for(language: str, units: str = "report") -> SpeechUnit:
    """What texts in `language` are counted in by the rule `units`; a `UsageError` for one nobody knows.

    "report": characters for Mandarin, Japanese, Korean and Thai (Gemini 1.0 report, section 5.2.4).
    "whisper": for Chinese, Japanese, Thai, Lao and Burmese (Whisper's paper, appendix C). Cantonese, which
    neither names, is in characters under both: it is written like Mandarin, without spaces.
    """
    if units not in UNITS:
        raise unknown("rule for units", units, UNITS)
    if units == "character":
        return "character"
    return "character" if _primary(language) in _IN_CHARACTERS[units] else "word"


def _primary(language: str) -> str:
    code = re.split("[-_]", language.lower())[0]
    if language and not re.fullmatch("[a-z]{2,3}", code):
        raise UsageError(f"{language!r} is no code of a language: en, en_us and eng are")
    return code


def rules(normaliser: str, units: str) -> dict[str, JSON]:
    """Both rules by language, and the versions of the packages that carry them out: a signature's notes."""
    listed = (code for code in _IN_CHARACTERS.get(units, ()) if len(code) == 2 or code in _CANTONESE)
    return {
        "normaliser": "whisper-english for en, whisper-basic else" if normaliser == "auto" else normaliser,
        "characters": "all" if units == "character" else ",".join(sorted(listed)) or "none",
        **{package: version(package) for package in ("whisper-normalizer", "jiwer")},
    }


def needs() -> None:
    """Loads all that the rules here need. Raises `UsageError` where it is missing or not Whisper's."""
    _rules("whisper-english")
    _rules("whisper-basic")
    units_of("a", "character")
    _chunks(["a"], ["a"])


@versioned("speech_normalise", 1, packages=("whisper-normalizer",))
def normalise(text: str, normaliser: str) -> str:
    """`text` under a normaliser's name other than "auto". Raises `UsageError` when a package is missing."""
    return _rules(normaliser)(text)


@versioned("speech_units_of", 1)
def units_of(normalised: str, unit: SpeechUnit) -> list[str]:
    """The words, or the characters without the spaces, of a normalised text.

    A character is what a reader takes for one, an extended grapheme cluster (UAX 29), as in Whisper's
    `split_letters`.
    """
    if unit == "character":
        normalised = " ".join(_package("regex").findall(r"\X", normalised))
    return normalised.split()


@functools.cache
def _rules(normaliser: str) -> Callable[[str], str]:
    if normaliser == "none":
        return lambda text: text
    if normaliser == "whisper-basic":
        basic = _package("whisper_normalizer.basic").BasicTextNormalizer()
        return lambda text: str(basic(_without_asides(text.lower())))
    if normaliser != "whisper-english":
        raise unknown("normaliser", normaliser, NORMALISERS[1:])
    english = _english()
    filler = re.compile(english.ignore_patterns)
    return lambda text: str(english(_WIDE.sub("  ", filler.sub("", _without_asides(text.lower())))))


def _package(name: str) -> Any:
    return load(name, "speech", "pip install 'evalkit[speech]'")


def _english() -> Any:
    """The package's English rules, brought back to Whisper's."""
    english = _package("whisper_normalizer.english").EnglishTextNormalizer()
    for pattern in _ADDED:
        english.replacers.pop(pattern, None)
    tables = (english.ignore_patterns, list(english.replacers.items()), english.standardize_spellings.mapping)
    if hashlib.sha256(json.dumps(tables).encode()).hexdigest()[:16] != _TABLES:
        raise UsageError(
            "this version of whisper-normalizer has other tables than Whisper: "
            "pip install whisper-normalizer==0.1.15"
        )
    english.standardize_numbers = functools.partial(_numbers, english.standardize_numbers)
    return english


def _numbers(rule: Callable[[str], str], text: str) -> str:
    """`text` with its numbers in digits; as it is where Whisper's own rule fails on a number's length."""
    try:
        return rule(text)
    except (AssertionError, ValueError):
        return text


def _without_asides(text: str) -> str:
    """`text` without <…>, […] and (…), by Whisper's patterns.

    They look for each opener's closer to the text's end: without end where there is none. Here an opener
    without one becomes "{", which they leave alone and later take for the same punctuation.
    """
    end = max(text.rfind(">"), text.rfind("]")) + 1
    text = _BRACKETS.sub("", text[:end]) + text[end:].replace("<", "{").replace("[", "{")
    end = text.rfind(")") + 1
    return (_PARENTHESES.sub("", text[:end]) + text[end:]).replace("(", "{")


class Step(NamedTuple):
    """One step from a reference to a hypothesis; "" where a side has no unit."""

    op: Literal["equal", "substitute", "delete", "insert"]
    reference: str
    hypothesis: str


@versioned("speech_alignment", 1, packages=("jiwer",))
def alignment(reference: str, hypothesis: str, unit: SpeechUnit = "word") -> list[Step]:
    """The steps from one normalised text to another with the fewest edits, as jiwer 4 takes them."""
    words, heard = units_of(reference, unit), units_of(hypothesis, unit)
    steps: list[Step] = []
    for chunk in _chunks(words, heard):
        left, right = (
            words[chunk.ref_start_idx : chunk.ref_end_idx],
            heard[chunk.hyp_start_idx : chunk.hyp_end_idx],
        )
        filler = [""] * max(len(left), len(right))
        steps += map(Step, [chunk.type] * len(filler), left or filler, right or filler)
    return steps


@versioned("speech_confusions", 1)
def confusions(
    pairs: Iterable[tuple[str, str]], unit: SpeechUnit = "word", most: int = 20
) -> list[tuple[str, str, int]]:
    """(reference's unit, hypothesis' unit, how often) of the most frequent edits, most frequent first.

    `pairs`: (reference, hypothesis), normalised. "" on one side: deleted, or inserted.
    """
    counts = Counter(
        (step.reference, step.hypothesis)
        for reference, hypothesis in pairs
        for step in alignment(reference, hypothesis, unit)
        if step.op != "equal"
    )
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(*edit, count) for edit, count in ranked[:most]]


@dataclass(frozen=True, slots=True)
class Edits:
    """What lies between a reference and a hypothesis, in words or characters."""

    substitutions: int
    deletions: int
    insertions: int
    hits: int

    @property
    def total(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def units(self) -> int:
        """How long the reference is."""
        return self.substitutions + self.deletions + self.hits


@functools.lru_cache(maxsize=64)  # the judge and each metric ask for the same pair, one after the other
def edits(answer: str, reference: str, normaliser: str, unit: SpeechUnit) -> Edits:
    """The edits from `reference` to `answer`, both as they came; `normaliser` is none but "auto".

    A reference with nothing left has no units: what is said nevertheless is inserted.
    """
    words = units_of(normalise(reference, normaliser), unit)
    heard = units_of(normalise(answer, normaliser), unit)
    counts = Counter[str]()
    for chunk in _chunks(words, heard):
        size = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        counts[chunk.type] += size
    return Edits(counts["substitute"], counts["delete"], counts["insert"], counts["equal"])


def _chunks(words: list[str], heard: list[str]) -> Any:
    """jiwer's alignment of two lists of units."""
    (chunks,) = _package("jiwer").process_words(" ".join(words), " ".join(heard)).alignments
    return chunks


@versioned("speech_verdict", 1, packages=("jiwer", "whisper-normalizer"))
def speech_verdict(answer: str, reference: str, normaliser: str, unit: SpeechUnit) -> Verdict:
    """Right without an edit. The reason counts them: "2 substitutions, 1 deletion of 12 words"."""
    found = edits(answer, reference, normaliser, unit)
    kinds = {"substitution": found.substitutions, "deletion": found.deletions, "insertion": found.insertions}
    counts = ", ".join(_counted(number, kind) for kind, number in kinds.items() if number)
    return Verdict(not counts, f"{counts or 'no edit'} of {_counted(found.units, unit)}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@versioned("speech_sample_edits", 1, packages=("jiwer", "whisper-normalizer"))
def sample_edits(answer: str, sample: Sample, normaliser: str = "auto", units: str = "report") -> Edits:
    """The edits from a sample's one reference, by the rules for its language, `sample.meta["language"]`."""
    return edits(answer, *_of(sample, normaliser, units))


@versioned("speech_scorer", 1, packages=("jiwer", "whisper-normalizer"))
def score_speech(answer: str, sample: Sample, normaliser: str = "auto", units: str = "report") -> Verdict:
    """`speech_verdict` by the rules for the sample's language: a task's scorer, or a partial of it is."""
    return speech_verdict(answer, *_of(sample, normaliser, units))


def _of(sample: Sample, normaliser: str, units: str) -> tuple[str, str, SpeechUnit]:
    (reference,) = sample.target
    language = str(sample.meta["language"])
    return reference, normaliser_for(language, normaliser), unit_for(language, units)
