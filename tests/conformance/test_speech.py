"""Whisper's normalisers and word error rates beside the official code, case by case.

The tables' figures came from running it; `oracle` in each says what, `reasons` where the package that evalkit
uses would differ by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.answers.speech import edits, normalise, normaliser_for, unit_for, units_of

HERE = Path(__file__).parent
NORMALISERS: dict[str, Any] = json.loads((HERE / "speech_normalisers.json").read_text("utf-8"))
RATES: dict[str, Any] = json.loads((HERE / "speech_error_rates.json").read_text("utf-8"))


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
    normaliser = normaliser_for(case["language"])
    unit = unit_for(case["language"], case["units"])
    found = edits(case["answer"], case["reference"], normaliser, unit)
    assert [found.substitutions, found.deletions, found.insertions, found.hits] == case["edits"]
