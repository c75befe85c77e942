"""ANLS: the similarity of an answer to its nearest reference, by edit distance.

Average Normalised Levenshtein Similarity (Biten et al. 2019, arXiv 1905.13648 and, for the competition,
1907.00490, equation 1) is the metric of DocVQA and InfographicVQA. NL is the Levenshtein distance over the
length of the longer string; an answer earns 1 - NL, or nothing if the strings are too far apart.

Two rules are in use, which differ:

* `anls` is the script of the Robust Reading Competition, whose server holds the test references and so gives
  every published figure: `infographicsvqa_eval.py`, published at https://rrc.cvc.uab.es/?ch=17 and copied in
  QwenLM/Qwen-VL at aa00ed0, `eval_mm/`. lmms-eval at 75571cf, `lmms_eval/api/metrics.py`, computes the same.
  It is the headline. Both texts are converted to lower case and trimmed, and each run of white space becomes
  one space. But the distance is divided by the length of the texts *as given*, in upper case ("ß" counts
  twice), so white space around or inside an answer raises the similarity. A similarity of exactly one half
  counts.
* `anls_by_the_paper` is the equation: the distance over the length of the compared texts; an answer with NL
  of 1/2 or more earns nothing. shunk031/ANLS at 6472e1d computes this. The paper does not mention case and
  white space; they are treated as above.

Other implementations differ further. google-research/pix2struct at 945f27e, `metrics.py`, has the equation
and converts to lower case, but does not trim. rubenpt91/MP-DocVQA-Framework at 7939f52, `metrics.py`, counts
one half, trims but keeps inner white space, and gives nothing to an empty answer and to "none".
"""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz.distance import Levenshtein

from evalkit.identity.declared import versioned


@versioned("anls", 1, packages=("rapidfuzz",))
def anls(answer: str, references: Iterable[str]) -> float:
    """The similarity to the nearest reference by the competition's script: 0, or from 0.5 to 1.

    Raises `ValueError` if there is no reference.
    """
    given, plain = len(answer.upper()), _plain(answer)
    return max(
        _similarity(plain, _plain(reference), max(given, len(reference.upper()))) for reference in references
    )


@versioned("anls_by_the_paper", 1, packages=("rapidfuzz",))
def anls_by_the_paper(answer: str, references: Iterable[str]) -> float:
    """The similarity to the nearest reference by the paper's equation: 0, or above 0.5 and at most 1.

    Raises `ValueError` if there is no reference.
    """
    plain = _plain(answer)
    compared = len(plain.upper())
    near = max(
        _similarity(plain, other, max(compared, len(other.upper()))) for other in map(_plain, references)
    )
    return near if near > 0.5 else 0.0


def _similarity(answer: str, reference: str, length: int) -> float:
    """1 - distance / length, or 0 if that is below one half."""
    if length == 0:
        return 1.0
    far = length // 2 + 1  # a greater distance gives 0, so it need not be computed
    similarity = 1 - Levenshtein.distance(answer, reference, score_cutoff=far) / length
    return similarity if similarity >= 0.5 else 0.0


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
