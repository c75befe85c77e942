"""BLEU by a sample's target language beside sacreBLEU with that language's tokeniser (`oracle`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.metrics.base import Scored
from evalkit.metrics.bleu import BY_TARGET, Bleu, ChrF
from evalkit.samples import Answer, Final, Sample

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "wmt23.json").read_text("utf-8"))


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_the_figures_are_sacrebleus(case: dict[str, Any]) -> None:
    for metric in (Bleu(BY_TARGET), ChrF()):
        rows = [
            metric.statistics(
                Sample(id="s", input="", target=tuple(references), meta={"target": case["target"]}),
                Scored(Answer((Final(translation),)), (False,)),
            )
            for translation, references in case["pairs"]
        ]
        figure = float(metric.finish(np.array(rows, dtype=float).sum(axis=0)))
        assert figure == pytest.approx(case[metric.name], abs=1e-9)
