"""Corpus BLEU and chrF as sacreBLEU computes them (mjpost/sacrebleu 2.6, Post 2018, arXiv 1804.08771).

Both are figures of a whole corpus: n-grams are counted over all sentences before the division, so the mean
of the sentences' figures would be another number, and the BLEU of a single sentence is not shown. Counts are
sums: groups, resumed runs and bootstrap intervals add them and finish each sum once. sacreBLEU itself counts
the n-grams of each sentence; only the finish is implemented here, over arrays of sums.

A sentence may contain line breaks: sacreBLEU's tokenisers treat them as spaces, and `13a` joins a word that
is hyphenated at the end of a line. The `sacrebleu` command cannot score such a sentence, because it reads one
sentence per line. A missing answer counts as an empty translation.
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
"""The length of the longest n-grams of words that BLEU counts."""
CHARACTERS = 6
"""The length of the longest n-grams of characters that chrF counts."""
TOKENISERS = ("13a", "char", "intl", "ja-mecab", "ko-mecab", "none", "zh")
"""sacreBLEU's tokenisers, without those that download an unverified model (spm, flores)."""
BY_TARGET = "target"
"""The value of `Bleu.tokeniser` for `tokeniser_for` each sample's own `meta["target"]`, 13a without one."""
_BY_LANGUAGE = {
    **dict.fromkeys(("zh", "cmn", "yue"), "zh"),
    **dict.fromkeys(("ja", "jpn"), "ja-mecab"),
    **dict.fromkeys(("ko", "kor"), "ko-mecab"),
    **dict.fromkeys(("th", "tha", "lo", "lao", "my", "mya"), "char"),
}


def tokeniser_for(language: str) -> str:
    """The tokeniser for translations into `language`, an ISO 639 code and optionally more: "zh-CN", "ja_jp".

    It is sacreBLEU's own choice for the target language. For Thai, Lao and Burmese, for which sacreBLEU has
    none, it is `char`, as in SeamlessM4T's evaluation, which uses `char` for Chinese and Japanese too
    (facebookresearch/seamless_communication at 90e2b57, cli/eval_utils/compute_metrics.py).
    """
    return _BY_LANGUAGE.get(language.replace("_", "-").partition("-")[0].lower(), "13a")


def require_tokeniser(tokeniser: str) -> None:
    """Raises `UsageError` for an unknown tokeniser, and for one whose package is not installed."""
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
    """sacreBLEU's signatures for one reference: `{"BLEU": "nrefs:1|case:mixed|…", "chrF2": …}`."""
    bleu, chrf = _bleu(tokeniser), _chrf()
    for metric in (bleu, chrf):
        metric.corpus_score(["a"], [["a"]])  # only then does sacreBLEU know the number of references
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

    It is case-sensitive, with n-grams of up to four words, `exp` smoothing of zero precisions and no
    effective order: a corpus without any sentence of four words gets 0. Several references are handled as in
    sacreBLEU. A sample with several answers counts by the mean of their counts.

    With the tokeniser `BY_TARGET`, a sample's target language chooses it; a figure is then of one language,
    so a benchmark of several languages has them as groups and a `Macro` of this metric.
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
        by_target = self.tokeniser == BY_TARGET
        bleu = _bleu(tokeniser_for(str(sample.meta.get("target", ""))) if by_target else self.tokeniser)
        scores = [bleu.corpus_score([final.value or ""], references) for final in scored.answer.finals]
        return _mean([(score.sys_len, score.ref_len, *score.counts, *score.totals) for score in scores])

    def finish(self, totals: Floats) -> Floats:
        """BLEU after Papineni et al. 2002, with the smoothing of NIST's mteval-v13a.

        The n-th order without a match counts as 1 / 2^n matches.
        """
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

    It is the F-score, with recall weighted twice, of n-grams of one to six characters without spaces. Orders
    for which one side is too short are left out of the mean. With several references, the counts are those of
    the best one.

    `copied`: whether `Sample.input`, the text to translate, is scored in place of each answer. Names and
    numbers are the same in many languages, so a copy has a figure above 0, which a translation must exceed.
    """

    variant: str = ""
    unit: str = ""
    higher_is_better: bool = True
    least_draws: int = 1
    name: str = "chrF2"
    copied: bool = False
    whole_corpus: ClassVar[bool] = True
    span: ClassVar[float] = 100.0
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def columns(self) -> tuple[str, ...]:
        sides = ("translation", "reference", "both")
        return tuple(f"{n}-grams of {side}" for n in range(1, CHARACTERS + 1) for side in sides)

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        # No public method of sacreBLEU returns chrF's counts; its own significance tests call this one too.
        finals = [sample.input if self.copied else final.value or "" for final in scored.answer.finals]
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
