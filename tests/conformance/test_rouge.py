"""ROUGE beside rouge_score and XL-Sum's own module, text by text: the table has their figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import UsageError
from evalkit.scoring import rouge_xlsum
from evalkit.scoring.rouge import SentencePiece, TokenRule, best_rouge, plain, rouge, stemmed
from evalkit.scoring.rouge_xlsum import XlSum

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "rouge.json").read_text("utf-8"))
CASES: list[dict[str, Any]] = TABLE["cases"]
LANGUAGES = {case["language"] for case in CASES}
SEGMENTED = {"chinese_simplified", "chinese_traditional", "japanese", "thai"}
"""Their segmenters take seconds to load."""


@pytest.fixture
def stop_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """NLTK's stop words among the words of the cases, in the place of its corpus."""
    import nltk.corpus
    import nltk.data
    import nltk.stem.snowball
    from nltk.corpus.reader import WordListCorpusReader

    folder = tmp_path / "stopwords"
    folder.mkdir()
    for language in rouge_xlsum.SNOWBALL:
        words = TABLE["stopwords"].get(language, ())
        (folder / language).write_text("\n".join(words), "utf-8")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path), *nltk.data.path])  # NLTK reads nowhere else
    reader = WordListCorpusReader(str(folder), ".*")
    monkeypatch.setattr(nltk.corpus, "stopwords", reader)
    monkeypatch.setattr(nltk.stem.snowball, "stopwords", reader)
    rouge_xlsum._stemmer.cache_clear()
    yield folder
    rouge_xlsum._stemmer.cache_clear()


@pytest.mark.parametrize(
    "languages", [LANGUAGES - SEGMENTED, pytest.param(SEGMENTED, marks=pytest.mark.slow)]
)
def test_both_packages_give_the_same_figures(stop_words: Path, languages: set[str]) -> None:
    rules: dict[str, TokenRule] = {"plain": plain, "stemmed": stemmed, "xlsum": XlSum(languages)}
    for case in CASES:
        if case["language"] not in languages:
            continue
        for name, tokens in rules.items():
            found = best_rouge(
                case["candidate"], [case["reference"]], tokens=tokens, language=case["language"]
            )
            assert found == pytest.approx(case[name], abs=1e-9), (name, case)


def test_the_table_is_whole() -> None:
    pairs = [(case["candidate"], case["reference"], case["language"]) for case in CASES]
    assert len(set(pairs)) == len(pairs) >= 180
    assert len(LANGUAGES) == 19
    differ = [case for case in CASES if case["plain"] != case["stemmed"]]
    assert len(differ) >= 8
    lost = {case["language"] for case in CASES if not any(case["plain"]) and case["xlsum"][0] > 0.5}
    assert lost >= {"arabic", "bengali", "japanese", "korean", "russian", "telugu", "thai"}


def test_rouge_score_gives_the_same_with_any_tokens(tmp_path: Path) -> None:
    """Also SentencePiece-ROUGE: `RougeScorer(tokenizer=…)` with the pieces of a model."""
    import sentencepiece
    from rouge_score.rouge_scorer import RougeScorer

    text = "\n".join(case["reference"] for case in CASES if "\n" not in case["reference"])
    (tmp_path / "text").write_text(text, "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "small"), vocab_size=1200,
        character_coverage=0.98, minloglevel=9, num_threads=1, hard_vocab_limit=False,
    )  # fmt: skip
    model = SentencePiece(tmp_path / "small.model")
    model.needs()

    class Tokenizer:
        def tokenize(self, text: str) -> list[str]:
            return model(text)

    kinds = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(kinds, tokenizer=Tokenizer())
    for case in CASES:
        theirs = scorer.score(case["reference"], case["candidate"])
        ours = best_rouge(case["candidate"], [case["reference"]], tokens=model)
        assert ours == pytest.approx([theirs[kind].fmeasure for kind in kinds], abs=1e-12)
    same = best_rouge("小镇 เมือง", ["小镇 เมือง"], tokens=model)
    assert same.rougeL == 1 != best_rouge("小镇 เมือง", ["小镇 เมือง"], tokens=plain).rougeL
    several = ["a town", "the small town", "a river"]
    best = scorer.score_multi(several, "the town")
    assert best_rouge("the town", several, tokens=model) == pytest.approx([best[k].fmeasure for k in kinds])
    digest = model.__evalkit_identity__.text()
    assert "sentencepiece" in digest
    assert str(tmp_path) not in digest
    (tmp_path / "text.model").write_bytes(b"no model")
    with pytest.raises(UsageError, match="is not a SentencePiece model"):
        SentencePiece(tmp_path / "text.model").needs()
    with pytest.raises(UsageError, match="there is no such file"):
        SentencePiece(tmp_path / "none").needs()


def test_no_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="no reference"):
        best_rouge("a", [], tokens=plain)
    assert rouge([], []) == (0, 0, 0)
