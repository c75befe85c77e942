"""ANLS: how near an answer comes to the nearest of its references, by edit distance.

Average Normalised Levenshtein Similarity (Biten et al. 2019, arXiv 1905.13648 and, for the competition,
1907.00490, equation 1) is the measure of DocVQA and InfographicVQA. NL is the Levenshtein distance over the
length of the longer string; an answer earns 1 - NL, and nothing where they are too far apart.

Two rules are in use, and they part:

* `anls` is the script of the Robust Reading Competition, whose server holds the test references and so gives
  every published figure: `infographicsvqa_eval.py`, published at https://rrc.cvc.uab.es/?ch=17 and kept in
  QwenLM/Qwen-VL at aa00ed0, `eval_mm/`. lmms-eval at 75571cf, `lmms_eval/api/metrics.py`, computes the same.
  It is the headline. Both texts are lowered, trimmed and their runs of white space made one space, but the
  distance is divided by the length of the texts *as given*, in upper case ("ß" counts twice): white space
  around or inside an answer makes it nearer. A similarity of exactly one half counts.
* `anls_by_the_paper` is the equation: the distance over the length of the texts that were compared, and
  nothing from NL = 1/2 on. shunk031/ANLS at 6472e1d computes this. The paper says nothing about case and
  white space; they are treated as above.

Others part further: google-research/pix2struct at 945f27e, `metrics.py`, has the equation and lowers, but
does not trim; rubenpt91/MP-DocVQA-Framework at 7939f52, `metrics.py`, counts one half, trims but keeps inner
white space, and gives nothing to an empty answer and to "none".
"""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz.distance import Levenshtein

from evalkit.identity.declared import versioned


@versioned("anls", 1, packages=("rapidfuzz",))
def anls(answer: str, references: Iterable[str]) -> float:
    """Similarity to the nearest reference, 0 or from 0.5 to 1, by the competition's script.

    Raises `ValueError` when there is no reference.
    """
    given, plain = len(answer.upper()), _plain(answer)
    return max(
        _similarity(plain, _plain(reference), max(given, len(reference.upper()))) for reference in references
    )


@versioned("anls_by_the_paper", 1, packages=("rapidfuzz",))
def anls_by_the_paper(answer: str, references: Iterable[str]) -> float:
    """Similarity to the nearest reference, 0 or above 0.5 up to 1, by the paper's equation.

    Raises `ValueError` when there is no reference.
    """
    plain = _plain(answer)
    compared = len(plain.upper())
    near = max(
        _similarity(plain, other, max(compared, len(other.upper()))) for other in map(_plain, references)
    )
    return near if near > 0.5 else 0.0


def _similarity(answer: str, reference: str, length: int) -> float:
    """1 - distance / length, 0 where that is less than one half."""
    if length == 0:
        return 1.0
    far = length // 2 + 1  # a long answer need not be measured further than that
    similarity = 1 - Levenshtein.distance(answer, reference, score_cutoff=far) / length
    return similarity if similarity >= 0.5 else 0.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
