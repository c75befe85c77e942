"""ROUGE-1, ROUGE-2 and ROUGE-L of a summary: the F-scores of its words, pairs of words and longest sequence.

Lin 2004 (ROUGE: a package for automatic evaluation of summaries), as computed by Google's `rouge_score` 0.1.2
(google-research/google-research, `rouge/`), whose tokenisers are used here and whose scores are reproduced.
Two things are done in another way with the same result, because its tables grow with the product of both
texts: n-grams are counted once, and the longest common subsequence is found by rapidfuzz, 64 tokens at a
time, so that a megabyte against a reference of fifty words takes a moment.

A figure depends on the rule that makes tokens, and figures of two rules are not comparable:

* `plain`: lower case, and only a-z and 0-9. **In any other script there are no tokens, and identical texts
  score 0**; "über" becomes "ber".
* `stemmed`: the same, with Porter's stemmer for words of more than three characters.
* `xlsum`: the rule of XL-Sum's authors (`evalkit.scoring.rouge_xlsum`).
* `sentencepiece`: the pieces of a SentencePiece model, such as mT5's in PaLM 2's report (Anil et al. 2023,
  arXiv 2305.10403).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from rapidfuzz.distance import LCSseq

from evalkit.errors import ScorerError, UsageError
from evalkit.identity.declared import Declared, versioned
from evalkit.needs import load

TokenRule: TypeAlias = Callable[[str, str], list[str]]
"""(text, language as XL-Sum names its configs, such as "english") → tokens."""
MOST_CELLS = 10**10
"""The most pairs of tokens that ROUGE-L compares, in a few seconds: of 100,000 tokens with as many others."""
FIX = "pip install 'evalkit[rouge]'"
PIECE = 2000
"""Segmenters get at most this many characters at a time, because jieba takes quadratic time."""


class Rouge(NamedTuple):
    """F-scores between 0 and 1."""

    rouge1: float
    rouge2: float
    rougeL: float  # noqa: N815 — its name in rouge_score


@versioned("rouge", 1, packages=("rapidfuzz",))
def rouge(candidate: Sequence[str], reference: Sequence[str]) -> Rouge:
    """The F-scores of two lists of tokens; 0 if one is empty, also if both are.

    Raises `ScorerError` if both lists are so long that ROUGE-L would take minutes.
    """
    if len(candidate) * len(reference) > MOST_CELLS:
        raise ScorerError(
            f"ROUGE-L of {len(candidate):,} tokens and a reference of {len(reference):,} is not computed: "
            f"their product is above {MOST_CELLS:,}"
        )
    ids: dict[str, int] = {}
    ours, theirs = ([ids.setdefault(token, len(ids)) for token in side] for side in (candidate, reference))
    return Rouge(
        _overlap(Counter(ours), Counter(theirs)),
        _overlap(Counter(_pairs(ours)), Counter(_pairs(theirs))),
        _f_score(LCSseq.similarity(ours, theirs), len(ours), len(theirs)),
    )


def best_rouge(
    candidate: str, references: Iterable[str], *, tokens: TokenRule, language: str = "english"
) -> Rouge:
    """The F-scores of two texts; of several references, each score is that of the best one.

    This is `RougeScorer.score_multi`. Raises `ValueError` if there is no reference.
    """
    ours = tokens(candidate, language)
    scores = [rouge(ours, tokens(reference, language)) for reference in references]
    if not scores:
        raise ValueError("there is no reference")
    return Rouge(*map(max, *scores)) if len(scores) > 1 else scores[0]


def _pairs(tokens: list[int]) -> Iterable[tuple[int, int]]:
    return itertools.pairwise(tokens)


def _overlap(ours: Counter[Any], theirs: Counter[Any]) -> float:
    return _f_score((ours & theirs).total(), ours.total(), theirs.total())


def _f_score(common: int, ours: int, theirs: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / ours, common / theirs
    return 2 * precision * recall / (precision + recall)


@versioned("rouge_tokens", 1, packages=("rouge-score",))
def plain(text: str, language: str = "english") -> list[str]:
    """`rouge_score`'s default tokens: lower case, runs of a-z and 0-9, in whatever language."""
    tokens: list[str] = _rouge_score().tokenize(text, None)
    return tokens


@versioned("rouge_tokens_stemmed", 1, packages=("rouge-score", "nltk"))
def stemmed(text: str, language: str = "english") -> list[str]:
    """`rouge_score`'s tokens with `use_stemmer=True`: words of more than three characters are stemmed."""
    words = plain(text)
    stems = {word: str(_porter().stem(word)) if len(word) > 3 else word for word in set(words)}
    return [stems[word] for word in words]


@functools.cache
def _rouge_score() -> Any:
    return load("rouge_score.tokenize", "ROUGE", "pip install rouge-score")


@functools.cache
def _porter() -> Any:
    return load("nltk.stem.porter", "ROUGE", "pip install nltk").PorterStemmer()


class SentencePiece:
    """The tokens of a SentencePiece model: its pieces, in the text's own case.

    The model is identified by the SHA-256 of its file. `rouge_score` with this tokeniser gives PaLM 2's
    SentencePiece-ROUGE if the model is mT5's.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    @functools.cached_property
    def __evalkit_identity__(self) -> Declared:
        found = hashlib.sha256(self.path.read_bytes()).hexdigest() if self.path.is_file() else "none"
        return Declared("rouge_sentencepiece", 1, ("sentencepiece",), f"model=sha256:{found}")

    def __call__(self, text: str, language: str = "english") -> list[str]:
        pieces: list[str] = self._model.encode(text, out_type=str)
        return pieces

    def needs(self) -> None:
        """Raises `UsageError` if the package or the model is missing, or the file is not a model."""
        _ = self._model

    @functools.cached_property
    def _model(self) -> Any:
        package = load("sentencepiece", "SentencePiece-ROUGE", FIX)
        if not self.path.is_file():
            raise UsageError(
                f"tokenizer={self.path}: there is no such file; give a SentencePiece model, such as the "
                "spiece.model of google/mt5-base"
            )
        try:
            return package.SentencePieceProcessor(model_file=str(self.path))
        except (RuntimeError, OSError) as error:
            said = " ".join(str(error).split())[:160]
            raise UsageError(f"tokenizer={self.path} is not a SentencePiece model ({said})") from error


def pieces(text: str, most: int = PIECE) -> list[str]:
    """`text` cut into pieces of at most `most` characters, at spaces where there are any.

    A text of up to `most` characters is one piece. The spaces at which it is cut stay at the ends.
    """
    cut: list[str] = []
    start = 0
    while len(text) - start > most:
        space = text.rfind(" ", start, start + most)
        end = space + 1 if space >= start else start + most
        cut.append(text[start:end])
        start = end
    return [*cut, text[start:]]
