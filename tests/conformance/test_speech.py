"""Whisper's normalisers, and word error rates by jiwer and by NIST's sclite, beside the official code.

The tables' figures came from running it; `oracle` in each says what, `reasons` where the package that evalkit
uses would differ by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.scoring.speech import edits, normalise, normaliser_for, unit_for, units_of

HERE = Path(__file__).parent
NORMALISERS: dict[str, Any] = json.loads((HERE / "speech_normalisers.json").read_text("utf-8"))
RATES: dict[str, Any] = json.loads((HERE / "speech_error_rates.json").read_text("utf-8"))
SCLITE: dict[str, Any] = json.loads((HERE / "speech_sclite.json").read_text("utf-8"))


@pytest.mark.parametrize("case", NORMALISERS["cases"], ids=lambda case: json.dumps(case)[:80])
def test_the_normalisers_are_whispers(case: dict[str, Any]) -> None:
    assert normalise(case["text"], "whisper-english") == case["english"]
    basic = normalise(case["text"], "whisper-basic")
    assert basic == case["basic"]
    assert units_of(basic, "character") == case["characters"]
    assert normalise(case["text"], "none") == case["text"]


def test_the_package_alone_would_differ() -> None:
    """What is taken out of its table is needed: without that these cases would not be Whisper's."""
    from whisper_normalizer.english import EnglishTextNormalizer

    package = EnglishTextNormalizer()
    differing = [case for case in NORMALISERS["cases"] if "package" in case]
    assert len(differing) >= 3
    for case in differing:
        assert package(case["text"]) == case["package"] != case["english"]


@pytest.mark.parametrize("case", RATES["cases"], ids=lambda case: json.dumps(case)[:80])
def test_edits_are_jiwers_on_whispers_text(case: dict[str, Any]) -> None:
    assert counts(case, case["units"]) == case["edits"]


def counts(case: dict[str, Any], units: str = "report") -> list[int]:
    """Substitutions, deletions, insertions and hits, by the rules for the case's language."""
    unit = unit_for(case["language"], units)
    found = edits(case["answer"], case["reference"], normaliser_for(case["language"]), unit)
    return [found.substitutions, found.deletions, found.insertions, found.hits]


@pytest.mark.parametrize("case", SCLITE["cases"], ids=lambda case: json.dumps(case)[:80])
def test_edits_are_sclites_on_the_small_sets(case: dict[str, Any]) -> None:
    assert counts(case) == case["edits"]


def test_sclites_clips_are_in_many_languages_and_not_all_heard_right() -> None:
    said = {(case["task"], case["language"]) for case in SCLITE["cases"]}
    assert len(said) > 30
    assert {unit_for(language) for _, language in said} == {"word", "character"}
    assert sum(sum(case["edits"][:3]) for case in SCLITE["cases"]) > 100
