"""Transcripts: their normalisation, the units in which they are counted, and the edits between two of them.

Normalisers are Whisper's (Radford et al. 2022, arXiv 2212.04356, appendix C; openai/whisper at c0d2f62,
`whisper/normalizers`), from the package `whisper-normalizer`:

* `whisper-english`: without brackets and fillers, with contractions written out, numbers in digits and
  American spelling;
* `whisper-basic`: without brackets, marks, symbols and punctuation. A mark becomes a space, so words in Hindi
  and Thai are split at their vowel signs; that is Whisper's rule, and it applies to both sides;
* `none`: the unchanged text.

Whisper's quirks are kept: "O'Neill" becomes "0 neill", and an invisible direction mark is part of its word.
The package differs from the repository in four words ("kinda", "sorta", "dunno" and "cause", which it turns
into "because"): they are removed here, and a version with any other table is refused. Two points are
evalkit's own. Brackets that are not closed are handled in linear time, with the same result. If Whisper's
rule for numbers fails, as it does for one with more than 4,300 digits, the numbers stay unchanged.

The Gemini reports do not describe how transcripts are normalised. `auto` is Whisper's practice: the English
rules for English, and the basic rules for all other languages.
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
"""Rules for the units: by the report's list of languages, by Whisper's list, or one unit for all."""

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
    """The normaliser for texts in `language`, never "auto". Raises `UsageError` for an unknown name.

    `language`: an ISO 639 code, with or without script and region, as in FLEURS: "en", "eng", "en_us",
    "zh-CN", "cmn_hans_cn". "" means unknown, and is treated as not English.
    """
    if normaliser not in NORMALISERS:
        raise unknown("normaliser", normaliser, NORMALISERS)
    if normaliser != "auto":
        return normaliser
    return "whisper-english" if _primary(language) in _ENGLISH else "whisper-basic"


@versioned("speech_unit_for", 1)
def unit_for(language: str, units: str = "report") -> SpeechUnit:
    """The unit in which the rule `units` counts texts in `language`. Raises `UsageError` for an unknown rule.

    "report": characters for Mandarin, Japanese, Korean and Thai (Gemini 1.0 report, section 5.2.4).
    "whisper": characters for Chinese, Japanese, Thai, Lao and Burmese (Whisper's paper, appendix C).
    Cantonese, which neither lists, is counted in characters by both: like Mandarin, it is written without
    spaces.
    """
    if units not in UNITS:
        raise unknown("rule for units", units, UNITS)
    if units == "character":
        return "character"
    return "character" if _primary(language) in _IN_CHARACTERS[units] else "word"


def _primary(language: str) -> str:
    code = re.split("[-_]", language.lower())[0]
    if language and not re.fullmatch("[a-z]{2,3}", code):
        raise UsageError(f"{language!r} is not a language code: write one such as en, en_us or eng")
    return code


def rules(normaliser: str, units: str) -> dict[str, JSON]:
    """Both rules by language, and the versions of the packages that they use, for a signature's notes."""
    listed = (code for code in _IN_CHARACTERS.get(units, ()) if len(code) == 2 or code in _CANTONESE)
    return {
        "normaliser": "whisper-english for en, whisper-basic else" if normaliser == "auto" else normaliser,
        "characters": "all" if units == "character" else ",".join(sorted(listed)) or "none",
        **{package: version(package) for package in ("whisper-normalizer", "jiwer")},
    }


def needs() -> None:
    """Loads the packages of these rules. Raises `UsageError` if one is missing or its tables differ."""
    _rules("whisper-english")
    _rules("whisper-basic")
    units_of("a", "character")
    _chunks(["a"], ["a"])


@versioned("speech_normalise", 1, packages=("whisper-normalizer",))
def normalise(text: str, normaliser: str) -> str:
    """`text` normalised by a normaliser other than "auto". Raises `UsageError` if a package is missing."""
    return _rules(normaliser)(text)


@versioned("speech_units_of", 1)
def units_of(normalised: str, unit: SpeechUnit) -> list[str]:
    """The words, or the characters without the spaces, of a normalised text.

    A character is an extended grapheme cluster (UAX 29), as in Whisper's `split_letters`.
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
    """The package's English rules without its own additions. Raises `UsageError` if they still differ."""
    english = _package("whisper_normalizer.english").EnglishTextNormalizer()
    for pattern in _ADDED:
        english.replacers.pop(pattern, None)
    tables = (english.ignore_patterns, list(english.replacers.items()), english.standardize_spellings.mapping)
    if hashlib.sha256(json.dumps(tables).encode()).hexdigest()[:16] != _TABLES:
        raise UsageError(
            "the tables of this version of whisper-normalizer differ from Whisper's: "
            "pip install whisper-normalizer==0.1.15"
        )
    english.standardize_numbers = functools.partial(_numbers, english.standardize_numbers)
    return english


def _numbers(rule: Callable[[str], str], text: str) -> str:
    """`text` with its numbers in digits; unchanged if Whisper's own rule fails, as for a very long number."""
    try:
        return rule(text)
    except (AssertionError, ValueError):
        return text


def _without_asides(text: str) -> str:
    """`text` without <…>, […] and (…), by Whisper's patterns.

    For each opening bracket, these search for the closing one up to the end of the text, which takes
    quadratic time if there is none. Here an opening bracket without a closing one becomes "{", which the
    patterns ignore and the later rules treat as the same punctuation.
    """
    end = max(text.rfind(">"), text.rfind("]")) + 1
    text = _BRACKETS.sub("", text[:end]) + text[end:].replace("<", "{").replace("[", "{")
    end = text.rfind(")") + 1
    return (_PARENTHESES.sub("", text[:end]) + text[end:]).replace("(", "{")


class Step(NamedTuple):
    """One step from a reference to a hypothesis. A side without a unit is ""."""

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
    """(unit of the reference, unit of the hypothesis, count) of the `most` most frequent edits, in order.

    `pairs`: (reference, hypothesis), normalised. The unit is "" on one side for a deletion or an insertion.
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
    """The numbers of edits and hits between a reference and a hypothesis, in words or characters."""

    substitutions: int
    deletions: int
    insertions: int
    hits: int

    @property
    def total(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def units(self) -> int:
        """The length of the reference."""
        return self.substitutions + self.deletions + self.hits


@functools.lru_cache(maxsize=64)  # the scorer and each metric need the same pair, one after the other
def edits(answer: str, reference: str, normaliser: str, unit: SpeechUnit) -> Edits:
    """The edits from `reference` to `answer`, both not yet normalised; `normaliser` must not be "auto".

    A reference that is empty after normalisation has no units: all units of the answer are insertions.
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
    """Right if there is no edit. The reason counts the edits: "2 substitutions, 1 deletion of 12 words"."""
    found = edits(answer, reference, normaliser, unit)
    kinds = {"substitution": found.substitutions, "deletion": found.deletions, "insertion": found.insertions}
    counts = ", ".join(_counted(number, kind) for kind, number in kinds.items() if number)
    return Verdict(not counts, f"{counts or 'no edit'} of {_counted(found.units, unit)}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@versioned("speech_sample_edits", 1, packages=("jiwer", "whisper-normalizer"))
def sample_edits(answer: str, sample: Sample, normaliser: str = "auto", units: str = "report") -> Edits:
    """The edits from a sample's only reference by the rules for its language, `sample.meta["language"]`."""
    return edits(answer, *_of(sample, normaliser, units))


@versioned("speech_scorer", 1, packages=("jiwer", "whisper-normalizer"))
def score_speech(answer: str, sample: Sample, normaliser: str = "auto", units: str = "report") -> Verdict:
    """The `speech_verdict` by the rules for the sample's language, for use as a task's scorer."""
    return speech_verdict(answer, *_of(sample, normaliser, units))


def _of(sample: Sample, normaliser: str, units: str) -> tuple[str, str, SpeechUnit]:
    (reference,) = sample.target
    language = str(sample.meta["language"])
    return reference, normaliser_for(language, normaliser), unit_for(language, units)
