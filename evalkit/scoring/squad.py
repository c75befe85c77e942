r"""Short answers compared with references: SQuAD's normalisation, exact match and F1 over tokens.

Every rule here normalises both texts, and takes the best over the references:

* `squad_exact_match`, `squad_f1`: the script of SQuAD v1.1 (Rajpurkar et al. 2016, arXiv 1606.05250; copied
  in allenai/allennlp-reading-comprehension at 14fc0a4, `allennlp_rc/eval/squad_eval.py`). T5's `qa_utils.py`
  (google-research/text-to-text-transfer-transformer at e081111), which the report's team names for DROP,
  computes the same. Lower case; ASCII punctuation is deleted, not replaced, so that "mother-in-law" is one
  token; the words a, an and the are deleted; tokens are what stands between white space. If either text has
  no token, F1 is 0, although two such texts match exactly.
* `nq_open_match`: the script of NQ-open (google-research/language at 208f852, `orqa/utils/eval_utils.py`):
  the same exact match after Unicode's canonical decomposition, NFD. So a composed and a decomposed "é" are
  equal, and a word such as "à", whose letter is then followed by a mark, loses its letter like an article.
* `tydiqa_exact_match`, `tydiqa_f1`: lm-evaluation-harness 0.4.13, `tasks/tydiqa/utils.py`: all of Unicode's
  punctuation is deleted; articles only in English, and in Arabic the prefix "ال" at the beginning of a word.
* `helm_f1`: HELM's `f1_score` (crfm-helm 0.5.16, `evaluate_reference_metrics.py`): SQuAD's normalisation, but
  each word counts once, however often a text has it.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

from evalkit.identity.declared import versioned
from evalkit.samples import Sample

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_ARABIC_ARTICLE = re.compile(r"(?:^|\s)ال")
_LABEL = re.compile(r"^[\s*_#>]*(?:A|(?i:(?:final\s+)?answer))[*_]*:[\s*_]*")
_DELETED = str.maketrans("", "", string.punctuation)


@versioned("first_line", 2)
def first_line(text: str, sample: Sample | None = None) -> str | None:
    """The first line of a response that is not blank, trimmed; None if there is none.

    The report's team compares "the model output up to the first newline" (Gemini 1.5 report, on DROP). A
    label with which prompts end, "A:" or "Answer:", is left out where a chat model repeats it.
    """
    return _LABEL.sub("", text).strip().split("\n", 1)[0].strip() or None


@versioned("squad_normalise", 1)
def squad_normalise(text: str) -> str:
    """Lower case, without ASCII punctuation, English articles and superfluous white space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_DELETED)).split())


@versioned("squad_exact_match", 1)
def squad_exact_match(answer: str, references: Iterable[str]) -> bool:
    """Whether the answer is one of the references, both normalised."""
    return matches(answer, references, squad_normalise)


@versioned("squad_f1", 1)
def squad_f1(answer: str, references: Iterable[str]) -> float:
    """The best F1 over tokens, 0 to 1. Raises `ValueError` if there is no reference."""
    return best_f1(answer, references, squad_normalise)


@versioned("nq_open_normalise", 1)
def nq_open_normalise(text: str) -> str:
    """The text decomposed, and normalised as SQuAD's script does it."""
    return squad_normalise(unicodedata.normalize("NFD", text))


@versioned("nq_open_match", 1)
def nq_open_match(answer: str, references: Iterable[str]) -> bool:
    """Whether the answer is one of the references, both decomposed and normalised."""
    return matches(answer, references, nq_open_normalise)


@versioned("tydiqa_normalise", 1)
def tydiqa_normalise(text: str, language: str) -> str:
    """Lower case, without Unicode's punctuation and superfluous white space, and without articles.

    `language`: "en" and "ar" have articles; in all other languages none are deleted.
    """
    kept = "".join(sign for sign in text.lower() if not _is_punctuation(sign))
    if language == "en":
        kept = _ARTICLES.sub(" ", kept)
    elif language == "ar":
        kept = _ARABIC_ARTICLE.sub(" ", kept)
    return " ".join(kept.split())


@versioned("tydiqa_exact_match", 1)
def tydiqa_exact_match(answer: str, references: Iterable[str], language: str) -> bool:
    """Whether the answer is one of the references, both normalised for the language."""
    return matches(answer, references, lambda text: tydiqa_normalise(text, language))


@versioned("tydiqa_f1", 1)
def tydiqa_f1(answer: str, references: Iterable[str], language: str) -> float:
    """The best F1 over tokens, 0 to 1. Raises `ValueError` if there is no reference."""
    return best_f1(answer, references, lambda text: tydiqa_normalise(text, language))


@versioned("helm_f1", 1)
def helm_f1(answer: str, references: Iterable[str]) -> float:
    """The best F1 over distinct words, 0 to 1. Raises `ValueError` if there is no reference."""
    words = sorted(set(squad_normalise(answer).split()))
    return max(_f1(words, sorted(set(squad_normalise(reference).split()))) for reference in references)


def matches(answer: str, references: Iterable[str], normalise: Callable[[str], str]) -> bool:
    """Whether the answer is equal to one of the references after `normalise`."""
    plain = normalise(answer)
    return any(plain == normalise(reference) for reference in references)


def best_f1(answer: str, references: Iterable[str], normalise: Callable[[str], str]) -> float:
    """The best F1 over the tokens of normalised texts, 0 to 1.

    Raises `ValueError` if there is no reference.
    """
    tokens = normalise(answer).split()
    return max(_f1(tokens, normalise(reference).split()) for reference in references)


def _f1(answer: list[str], reference: list[str]) -> float:
    """The harmonic mean of precision and recall; a token counts as often as both texts have it."""
    same = sum((Counter(answer) & Counter(reference)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(answer), same / len(reference)
    return 2 * precision * recall / (precision + recall)


def _is_punctuation(sign: str) -> bool:
    return sign in string.punctuation or unicodedata.category(sign).startswith("P")
