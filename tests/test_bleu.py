"""BLEU and chrF from sums of counts, beside sacreBLEU's own on random corpora."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sacrebleu

from evalkit.errors import UsageError
from evalkit.metrics.bleu import Bleu, ChrF, require_tokeniser, signatures, tokeniser_for
from tests.conformance.test_bleu import counts

WORDS = (
    *(
        "the",
        "a",
        "boat",
        ",",
        ".",
        "red",
        "is",
        "on",
        "water",
        "water",
        "&quot;",
        "it",
        "'s",
        "3.5",
        "naïve",
    ),
    *("ﬁ", "船", "🚢", "U.S.", "one-two"),
)


def corpus(dice: random.Random) -> list[list[str]]:
    """(translation, reference) pairs, some near each other, some empty."""

    def text(most: int) -> str:
        return " ".join(dice.choices(WORDS, k=dice.randint(0, most)))

    pairs = []
    for _ in range(dice.randint(1, 12)):
        reference = text(14)
        near = " ".join(word for word in reference.split() if dice.random() < 0.8)
        pairs.append([near if dice.random() < 0.7 else text(14), reference])
    return pairs


@pytest.mark.slow
@pytest.mark.parametrize("tokeniser", ["13a", "zh", "char", "intl", "none"])
def test_any_corpus_is_sacrebleus(tokeniser: str) -> None:
    dice = random.Random(tokeniser)
    for _ in range(60):
        pairs = corpus(dice)
        said, meant = [one for one, _ in pairs], [other for _, other in pairs]
        bleu, chrf = Bleu(tokeniser), ChrF()
        expected = sacrebleu.BLEU(tokenize=tokeniser).corpus_score(said, [meant]).score
        found = float(bleu.finish(counts(bleu, pairs).sum(axis=0)))
        assert found == pytest.approx(expected, abs=1e-9), pairs
        expected = sacrebleu.CHRF().corpus_score(said, [meant]).score
        assert float(chrf.finish(counts(chrf, pairs).sum(axis=0))) == pytest.approx(expected, abs=1e-9), pairs


@pytest.mark.slow
@pytest.mark.parametrize("tokeniser", ["13a", "zh", "ja-mecab", "ko-mecab"])
def test_figures_and_signatures_are_those_of_the_command(tokeniser: str, tmp_path: Path) -> None:
    pairs = [[said or "a", meant or "a"] for said, meant in corpus(random.Random(tokeniser))]
    for name, side in (("translations", 0), ("references", 1)):
        (tmp_path / name).write_text("".join(f"{pair[side]}\n" for pair in pairs), "utf-8")
    said, meant = tmp_path / "translations", tmp_path / "references"
    command = [sys.executable, "-m", "sacrebleu", str(meant), "-i", str(said), "-tok", tokeniser]
    done = subprocess.run(
        [*command, "-m", "bleu", "chrf", "-w", "12"], check=True, capture_output=True, text=True
    )
    shown = {one["name"]: one for one in json.loads(done.stdout)}
    for metric in (Bleu(tokeniser), ChrF()):
        found = float(metric.finish(counts(metric, pairs).sum(axis=0)))
        assert found == pytest.approx(shown[metric.name]["score"], abs=1e-9)
        assert signatures(tokeniser)[metric.name] == shown[metric.name]["signature"]


def test_many_sums_are_finished_at_once() -> None:
    """As the bootstrap does: each row of totals as if it stood alone."""
    dice = random.Random(3)
    for metric in (Bleu(), ChrF()):
        totals = np.array([counts(metric, corpus(dice)).sum(axis=0) for _ in range(50)])
        together = metric.finish(totals.reshape(5, 10, -1))
        assert together.shape == (5, 10)
        alone = [float(metric.finish(row)) for row in totals]
        assert together.ravel().tolist() == pytest.approx(alone, abs=1e-12)


def test_the_tokeniser_is_the_target_languages() -> None:
    assert [tokeniser_for(code) for code in ("en", "de", "zh-CN", "cmn_hans_cn", "ja_jp", "ko", "th")] == [
        "13a", "13a", "zh", "zh", "ja-mecab", "ko-mecab", "char",
    ]  # fmt: skip


def test_a_tokeniser_that_cannot_be_had_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.metrics import bleu

    with pytest.raises(UsageError, match="unknown tokeniser 'jamecab': did you mean ja-mecab"):
        require_tokeniser("jamecab")
    require_tokeniser("ja-mecab")
    bleu._bleu.cache_clear()
    for module in [name for name in sys.modules if "ja_mecab" in name or name == "MeCab"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "MeCab", None)
    with pytest.raises(UsageError, match=r"pip install 'sacrebleu\[ja\]'"):
        require_tokeniser("ja-mecab")
    bleu._bleu.cache_clear()


def test_the_signature_is_sacrebleus() -> None:
    version = sacrebleu.__version__
    assert signatures() == {
        "BLEU": f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{version}",
        "chrF2": f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{version}",
    }
