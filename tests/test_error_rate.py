"""Word and character error rates: totals over totals, beside jiwer."""

from __future__ import annotations

import math
import random

import jiwer
import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.metrics.base import Scored
from evalkit.metrics.error_rate import ErrorRate, Over100
from evalkit.samples import Answer, Final, Sample
from evalkit.scoring.speech import (
    alignment,
    confusions,
    edits,
    normalise,
    normaliser_for,
    score_speech,
    speech_verdict,
    unit_for,
)

WORDS = ["a", "b", "c", "d", "e", "the", "boat", "is", "red", "mr.", "o'neill", "21", "twenty-one", "the"]


def clip(reference: str, language: str = "en") -> Sample:
    return Sample(id="s", input="", target=(reference,), meta={"language": language})


def scored(*said: str | None) -> Scored:
    return Scored(Answer(tuple(map(Final, said))), (False,) * len(said))


def rate(pairs: list[tuple[str, str]], metric: ErrorRate | None = None, language: str = "en") -> float:
    """The metric over (reference, answer) pairs."""
    metric = metric or ErrorRate(normaliser="none", units="word")
    rows = [metric.statistics(clip(reference, language), scored(answer)) for reference, answer in pairs]
    return float(metric.finish(np.array(rows, dtype=float).sum(axis=0)))


@pytest.mark.slow
def test_it_is_jiwers_on_ten_thousand_random_pairs() -> None:
    dice = random.Random(7)

    def text() -> str:
        return " ".join(dice.choices(WORDS, k=dice.randint(1, 12)))

    pairs = [(text(), text()) for _ in range(10_000)]
    metric = ErrorRate(normaliser="none", units="word")
    for reference, answer in pairs:
        expected = jiwer.process_words(reference, answer)
        assert list(metric.statistics(clip(reference), scored(answer))) == [
            expected.substitutions, expected.deletions, expected.insertions, expected.hits,
        ]  # fmt: skip
    whole = jiwer.wer([reference for reference, _ in pairs], [answer for _, answer in pairs])
    assert rate(pairs) == pytest.approx(100 * whole, abs=1e-9)
    mean = 100 * sum(jiwer.wer(reference, answer) for reference, answer in pairs) / len(pairs)
    assert abs(rate(pairs) - mean) > 1, "a mean of rates is another number"


def test_characters_are_jiwers_without_spaces() -> None:
    pairs = [("今日は 晴れ", "今日は晴れ"), ("船が赤い", "舟は赤い"), ("abc", "ab")]
    metric = ErrorRate("CER", normaliser="none", units="character")
    bare = [(reference.replace(" ", ""), answer.replace(" ", "")) for reference, answer in pairs]
    expected = jiwer.cer([reference for reference, _ in bare], [answer for _, answer in bare])
    assert rate(pairs, metric) == pytest.approx(100 * expected)


def test_nothing_said_and_nothing_to_say() -> None:
    """jiwer 4 refuses an empty reference; here it has a meaning, as in the sum it has one."""
    plain = ErrorRate(normaliser="none", units="word")
    assert list(plain.statistics(clip(""), scored(""))) == [0, 0, 0, 0]
    assert list(plain.statistics(clip(""), scored("two words"))) == [0, 0, 2, 0]
    assert list(plain.statistics(clip("two words"), scored(None))) == [0, 2, 0, 0]
    assert rate([("", "two words"), ("one two three four", "one two three four")]) == 50.0
    assert math.isnan(rate([("", "two words")])), "edits over no words are no rate"
    english = ErrorRate()
    assert list(english.statistics(clip("[noise] (laughs) uh"), scored("hmm"))) == [0, 0, 0, 0]
    assert list(english.statistics(clip("[noise]"), scored("thank you for watching"))) == [0, 0, 4, 0]


def test_what_is_made_up_shows() -> None:
    pairs = [("yes", "yes and thank you for watching"), ("no it is not", "no it is not"), ("", "hello")]
    inserted = ErrorRate(only="insertions", normaliser="none", units="word")
    assert inserted.name == "WER (insertions)"
    assert rate(pairs, inserted) == pytest.approx(100 * 6 / 5)
    over = Over100(normaliser="none", units="word")
    rows = [over.statistics(clip(reference), scored(answer)) for reference, answer in pairs]
    assert float(over.finish(np.array(rows).sum(axis=0))) == pytest.approx(100 * 2 / 3)


def test_several_answers_count_by_the_mean_of_their_edits() -> None:
    metric = ErrorRate(normaliser="none", units="word")
    assert list(metric.statistics(clip("a b"), scored("a b", "a"))) == [0, 0.5, 0, 1.5]


@pytest.mark.parametrize(
    ("language", "units", "unit"),
    [
        ("cmn_hans_cn", "report", "character"), ("ja", "report", "character"),
        ("ko_kr", "report", "character"), ("th", "report", "character"),
        ("yue_hant_hk", "report", "character"),
        ("lo", "report", "word"), ("ko", "whisper", "word"), ("lo_la", "whisper", "character"),
        ("my", "whisper", "character"), ("en_us", "report", "word"), ("", "report", "word"),
        ("en", "character", "character"), ("zh-CN", "word", "word"),
    ],
)  # fmt: skip
def test_what_is_counted(language: str, units: str, unit: str) -> None:
    assert unit_for(language, units) == unit


def test_the_normaliser_of_a_language() -> None:
    assert [normaliser_for(code) for code in ("en", "en_us", "eng", "de", "", "ceb_ph")] == [
        "whisper-english", "whisper-english", "whisper-english", "whisper-basic", "whisper-basic",
        "whisper-basic",
    ]  # fmt: skip
    assert normaliser_for("en", "none") == "none"
    with pytest.raises(UsageError, match="did you mean whisper-basic"):
        normaliser_for("en", "wisper-basic")
    with pytest.raises(UsageError, match="did you mean report"):
        unit_for("en", "reprot")
    with pytest.raises(UsageError, match="'english' is not a language code"):
        normaliser_for("english")


def test_a_missing_package_stops_instead_of_falling_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from evalkit.scoring import speech

    monkeypatch.setitem(sys.modules, "whisper_normalizer.basic", None)
    speech._rules.cache_clear()
    with pytest.raises(UsageError, match=r"pip install 'evalkit\[speech\]'"):
        normalise("Text", "whisper-basic")
    monkeypatch.undo()
    speech._rules.cache_clear()
    assert normalise("Text.", "whisper-basic") == "text "


def test_the_verdict_counts_its_edits() -> None:
    assert speech_verdict("The boat, is RED", "the boat is red.", "whisper-english", "word").correct
    wrong = speech_verdict("the goat is", "The boat is red.", "whisper-english", "word")
    assert (wrong.correct, wrong.reason) == (False, "1 substitution, 1 deletion of 4 words")
    assert score_speech("船は赤い", clip("船が赤い。", "ja")).reason == "1 substitution of 4 characters"


def test_the_alignment_and_what_is_confused() -> None:
    assert [tuple(step) for step in alignment("the boat is red", "the goat is very")] == [
        ("equal", "the", "the"), ("substitute", "boat", "goat"), ("equal", "is", "is"),
        ("substitute", "red", "very"),
    ]  # fmt: skip
    pairs = [("the boat", "the goat"), ("a boat now", "a goat"), ("", "so")]
    assert confusions(pairs) == [("boat", "goat", 2), ("", "so", 1), ("now", "", 1)]


def test_a_megabyte_costs_no_hours() -> None:
    text = "<" * 200_000 + "boat " * 100_000
    assert normalise(text, "whisper-basic").count("boat") == 100_000
    found = edits("boat " * 20_000, "boat " * 20_000 + "red", "none", "word")
    assert (found.total, found.units) == (1, 20_001)
