"""Corpus BLEU and chrF beside the `sacrebleu` command, corpus by corpus; `oracle` says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.metrics.base import Scored
from evalkit.metrics.bleu import Bleu, ChrF
from evalkit.samples import Answer, Final, Sample

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "bleu.json").read_text("utf-8"))


def counts(metric: Bleu | ChrF, pairs: list[list[str]]) -> Any:
    """(sentences, columns) of (translation, reference) pairs."""
    rows = [
        metric.statistics(
            Sample(id="s", input="", target=(reference,)),
            Scored(Answer((Final(translation),)), (False,)),
        )
        for translation, reference in pairs
    ]
    return np.array(rows, dtype=float)


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_the_figures_are_sacrebleus(case: dict[str, Any]) -> None:
    bleu, chrf = Bleu(case["tokeniser"]), ChrF()
    found = counts(bleu, case["pairs"])
    assert float(bleu.finish(found.sum(axis=0))) == pytest.approx(case["BLEU"], abs=1e-9)
    figure = chrf.finish(counts(chrf, case["pairs"]).sum(axis=0))
    assert float(figure) == pytest.approx(case["chrF2"], abs=1e-9)
    if "counts" in case:
        assert found.tolist() == case["counts"]
