"""ROUGE: long and hostile texts, each word stemmed alone, what is missing, and what a signature says."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.errors import ScorerError, UsageError
from evalkit.scoring import rouge_xlsum
from evalkit.scoring.rouge import PIECE, best_rouge, pieces, plain, rouge, stemmed
from evalkit.scoring.rouge_xlsum import XlSum, aggressive, burmese, sanitised
from tests.conformance.test_rouge import stop_words
from tests.growth import takes_time_in_proportion

__all__ = ["stop_words"]


@pytest.mark.slow
def test_a_long_answer_against_a_short_reference_takes_a_moment() -> None:
    best_rouge("warm", ["up"], tokens=stemmed)
    answer, reference = "so " * 60_000, "so it is " * 20
    takes_time_in_proportion(lambda text: best_rouge(text, [reference], tokens=plain), answer)
    found = best_rouge(answer, [reference], tokens=plain)
    assert found.rougeL == pytest.approx(2 * 20 / 60_060)


def test_two_endless_texts_fail_the_sample_instead_of_taking_minutes() -> None:
    with pytest.raises(ScorerError, match="200,000 tokens and a reference of 100,000 is not computed"):
        rouge(["a"] * 200_000, ["b"] * 100_000)


@pytest.mark.parametrize(
    "text", ["", "a", "ab " * 5000, "龘" * 5000, " " * 4001, "a" * 1999 + " " + "b" * 1999]
)
def test_pieces_are_the_whole_text(text: str) -> None:
    found = pieces(text)
    assert "".join(found) == text
    assert all(len(piece) <= PIECE for piece in found)
    assert len(text) > PIECE or found == [text]


@pytest.mark.slow  # three dictionaries
def test_long_texts_without_spaces_are_segmented_in_linear_time() -> None:
    rule = XlSum(["chinese_simplified", "thai", "japanese", "burmese"])
    rule.needs()
    for text, language in (
        ("龘", "chinese_simplified"),
        ("ก", "thai"),
        ("あ", "japanese"),
        ("\u103b", "burmese"),
    ):
        takes_time_in_proportion(lambda answer, known=language: rule(answer, known), text * 8 * PIECE)  # type: ignore[misc]


def test_the_arabic_stemmer_forgets_earlier_words(stop_words: Path) -> None:
    rule = XlSum(["arabic"])
    words = ["والكتاب", "يستخدمونها", "المعلمون", "فسيكتبون", "مدرستهم"]
    together = rule(" ".join(words), "arabic")
    assert together == [token for word in words for token in rule(word, "arabic")]


def test_what_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rouge_xlsum._segmenter.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "jieba", None)
    with pytest.raises(UsageError, match=r"needs the package 'jieba'.*evalkit\[rouge\]"):
        XlSum(["chinese_traditional"]).needs()
    monkeypatch.setattr(rouge_xlsum, "_dictionary", lambda: None)
    with pytest.raises(UsageError, match="a dictionary of Japanese"):
        XlSum(["japanese"]).needs()
    rouge_xlsum._segmenter.cache_clear()


def test_missing_stop_words_are_refused(stop_words: Path) -> None:
    (stop_words / "russian").unlink()
    with pytest.raises(UsageError, match=r"lack russian: python -m nltk.downloader"):
        XlSum(["russian"]).needs()
    assert "stopwords=none" in XlSum(["russian"]).__evalkit_identity__.text()


def test_a_signature_has_what_its_languages_use(stop_words: Path) -> None:
    assert XlSum(["korean", "telugu"]).__evalkit_identity__.text() == "rouge_xlsum@1"
    english = XlSum(["english"]).__evalkit_identity__.text()
    assert english.startswith("rouge_xlsum@1{nltk ")
    assert "jieba" not in english
    (stop_words / "english").write_text("town\n", "utf-8")
    assert XlSum(["english"]).__evalkit_identity__.text() != english
    assert "dictionary=unidic" in XlSum(["japanese"]).__evalkit_identity__.text()


def test_tokens_of_languages_without_a_segmenter() -> None:
    assert sanitised("  It's\u200b 3.5%,\x00 \u3000ok ") == "it s 3 5 ok"
    assert aggressive("abc12 中文x €\u0301 \u0301b") == [
        "abc",
        "12",
        "中",
        "文",
        "x",
        "€\u0301",
        "％0020\u0301",
        "b",
    ]
    assert burmese("က္က ကျွန်တော်") == ["က္က", "ကျွန်", "တော်"]
