"""BLEU and chrF of a corpus, as sacreBLEU computes them (mjpost/sacrebleu 2.6, Post 2018, arXiv 1804.08771).

Both are figures of a whole corpus: n-grams are counted over all of its sentences before anything is divided,
so the mean of sentences' figures is another number, and one sentence's BLEU is not shown. Counts are sums:
groups, resumed runs and bootstrap intervals add them up and finish each sum once. What a sentence counts
comes from sacreBLEU itself; only the finish is written again, over arrays of sums.

A sentence may have line breaks; sacreBLEU's tokenisers take them for spaces, and `13a` joins what a hyphen
at the end of a line divides. The `sacrebleu` command cannot be given such a sentence: it reads lines. An
answer that is missing counts as an empty translation.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from evalkit.errors import UsageError, unknown
from evalkit.identity.declared import versioned
from evalkit.metrics.base import Scored
from evalkit.samples import Sample

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    from evalkit.metrics.base import Floats

ORDERS = 4
"""Longest n-gram of words that BLEU counts."""
CHARACTERS = 6
"""Longest n-gram of characters that chrF counts."""
TOKENISERS = ("13a", "char", "intl", "ja-mecab", "ko-mecab", "none", "zh")
"""sacreBLEU's, less those that fetch a model from the network unchecked (spm, flores)."""
_BY_LANGUAGE = {
    **dict.fromkeys(("zh", "cmn", "yue"), "zh"),
    **dict.fromkeys(("ja", "jpn"), "ja-mecab"),
    **dict.fromkeys(("ko", "kor"), "ko-mecab"),
    **dict.fromkeys(("th", "tha", "lo", "lao", "my", "mya"), "char"),
}


def tokeniser_for(language: str) -> str:
    """The tokeniser for translations into `language`, an ISO 639 code with or without more: "zh-CN", "ja_jp".

    sacreBLEU's own choice for a target language; for Thai, Lao and Burmese, which it has none for, `char`, as
    SeamlessM4T's evaluation has it, which takes `char` for Chinese and Japanese too
    (facebookresearch/seamless_communication at 90e2b57, cli/eval_utils/compute_metrics.py).
    """
    return _BY_LANGUAGE.get(language.replace("_", "-").partition("-")[0].lower(), "13a")


def require_tokeniser(tokeniser: str) -> None:
    """Raises `UsageError` for an unknown tokeniser, and for one whose package this machine lacks."""
    if tokeniser not in TOKENISERS:
        raise unknown("tokeniser", tokeniser, TOKENISERS)
    try:
        _bleu(tokeniser)
    except (ImportError, RuntimeError, AssertionError) as error:  # no package; no dictionary, or another one
        package = f"sacrebleu[{tokeniser[:2]}]" if tokeniser.endswith("-mecab") else "sacrebleu"
        raise UsageError(
            f"BLEU with the tokeniser {tokeniser} cannot be computed here: pip install '{package}' "
            f"({type(error).__name__}: {' '.join(str(error).split())})"
        ) from error


def signatures(tokeniser: str = "13a") -> dict[str, str]:
    """sacreBLEU's signatures, with one reference: `{"BLEU": "nrefs:1|case:mixed|…", "chrF2": …}`."""
    bleu, chrf = _bleu(tokeniser), _chrf()
    for metric in (bleu, chrf):
        metric.corpus_score(["a"], [["a"]])  # sacreBLEU knows the number of references only afterwards
    return {"BLEU": bleu.get_signature().format(), "chrF2": chrf.get_signature().format()}


@functools.cache
def _bleu(tokeniser: str) -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=tokeniser)


@functools.cache
def _chrf() -> CHRF:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def _mean(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


@versioned("bleu", 1, packages=("sacrebleu",))
@dataclass(frozen=True, slots=True)
class Bleu:
    """Corpus BLEU, 0 to 100: `sacrebleu.BLEU(tokenize=tokeniser).corpus_score`, with its defaults.

    Case counts, n-grams up to four words, zero precisions smoothed by `exp`, the order not shortened: a
    corpus without any sentence of four words gets 0. Several references are taken as sacreBLEU takes them. A
    sample with several answers of its own counts by the mean of their counts.
    """

    tokeniser: str = "13a"
    variant: str = ""
    unit: str = ""
    higher_is_better: bool = True
    least_draws: int = 1
    name: str = "BLEU"
    whole_corpus: ClassVar[bool] = True
    span: ClassVar[float] = 100.0
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def columns(self) -> tuple[str, ...]:
        orders = range(1, ORDERS + 1)
        counts = [f"{what} {n}-grams" for what in ("matching", "all") for n in orders]
        return ("words of the translation", "words of the reference", *counts)

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        references = [[reference] for reference in sample.target]
        bleu = _bleu(self.tokeniser)
        found = [bleu.corpus_score([final.value or ""], references) for final in scored.answer.finals]
        return _mean([(one.sys_len, one.ref_len, *one.counts, *one.totals) for one in found])

    def finish(self, totals: Floats) -> Floats:
        """Papineni et al. 2002, with the smoothing of NIST's mteval-v13a: each zero halves what follows."""
        import numpy as np

        translated, reference = totals[..., 0], totals[..., 1]
        matching, ngrams = totals[..., 2 : 2 + ORDERS], totals[..., 2 + ORDERS :]
        missed = matching == 0
        counted = np.where(missed, 0.5 ** np.cumsum(missed, axis=-1), matching)
        precisions = np.log(counted / np.where(ngrams > 0, ngrams, 1)).mean(axis=-1)
        brevity = np.minimum(0, 1 - reference / np.where(translated > 0, translated, 1))
        defined = matching.any(axis=-1) & (ngrams > 0).all(axis=-1)
        score: Floats = np.where(defined, 100 * np.exp(brevity + precisions), 0.0)
        return score


@versioned("chrf", 1, packages=("sacrebleu",))
@dataclass(frozen=True, slots=True)
class ChrF:
    """Corpus chrF2, 0 to 100 (Popović 2015): `sacrebleu.CHRF().corpus_score`, with its defaults.

    F-score with recall weighted twice over n-grams of one to six characters, spaces left out; orders that
    neither side reaches are left out of the mean. Of several references the best one's counts are taken.
    """

    variant: str = ""
    unit: str = ""
    higher_is_better: bool = True
    least_draws: int = 1
    name: str = "chrF2"
    whole_corpus: ClassVar[bool] = True
    span: ClassVar[float] = 100.0
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def columns(self) -> tuple[str, ...]:
        sides = ("translation", "reference", "both")
        return tuple(f"{n}-grams of {side}" for n in range(1, CHARACTERS + 1) for side in sides)

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        # sacreBLEU shows chrF's counts nowhere else; its own significance tests take them from here too.
        finals = [final.value or "" for final in scored.answer.finals]
        references = [[reference] * len(finals) for reference in sample.target]
        return _mean(_chrf()._extract_corpus_statistics(finals, references))

    def finish(self, totals: Floats) -> Floats:
        import numpy as np

        counts = totals.reshape(*totals.shape[:-1], CHARACTERS, 3)
        translated, reference, both = counts[..., 0], counts[..., 1], counts[..., 2]
        reached = (translated > 0) & (reference > 0)
        orders = np.maximum(reached.sum(axis=-1), 1)
        precision = np.where(reached, both / np.where(reached, translated, 1), 0).sum(axis=-1) / orders
        recall = np.where(reached, both / np.where(reached, reference, 1), 0).sum(axis=-1) / orders
        weighted = 4 * precision + recall
        score: Floats = 100 * 5 * precision * recall / np.where(weighted > 0, weighted, 1)
        return score
