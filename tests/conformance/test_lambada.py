"""LAMBADA's last words and perplexities beside lm-evaluation-harness's `lambada_openai`, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evalkit.tasks.lambada import to_sample

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readers import ANOTHER, Reading, greedy_reference
from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.errors import ScorerError
from evalkit.metrics.base import Scored
from evalkit.metrics.perplexity import Perplexity
from evalkit.models.base import Likelihood, Response
from evalkit.samples import Answer, Sample

TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("lambada.json").read_text("utf-8"))
PROTOCOL = Protocol(name="own", api="completion", likelihood="prompt")
SAMPLE = Sample("own", "The clock", ("stops",))


def read(logprob: float, greedy: bool | None) -> Answer:
    response = Response("", likelihoods=(Likelihood(" stops", logprob, 1, greedy),))
    reading = Reading(Transcript((Turn(response, 0),)), SAMPLE, PROTOCOL, lambda text, sample: text)
    return greedy_reference(reading)


def test_the_last_word_is_the_harness_s() -> None:
    for case in TABLE["texts"]:
        sample = to_sample({"text": case["text"]})
        assert (sample.input, f" {sample.target[0]}") == (case["context"], case["continuation"])
    for text in ("one", "", "one "):  # the harness asks for the likelihood of a blank after the last of them
        with pytest.raises(ValueError, match="no last word"):
            to_sample({"text": text})


def test_the_perplexity_is_the_harness_s() -> None:
    metric = Perplexity()
    for case in TABLE["perplexities"]:
        answers = [read(logprob, greedy=False) for logprob in case["logprobs"]]
        rows = [metric.statistics(SAMPLE, Scored(answer, (False,))) for answer in answers]
        assert metric.finish(np.sum(rows, axis=0)) == pytest.approx(case["perplexity"], rel=1e-12)


def test_a_reference_is_right_if_greedy_decoding_gives_it() -> None:
    assert [read(-1.0, greedy).finals[0].value for greedy in (True, False)] == ["stops", ANOTHER]
    with pytest.raises(ScorerError, match="no likeliest token"):
        read(-1.0, greedy=None)
    with pytest.raises(ScorerError, match="no log-probability"):
        Perplexity().statistics(SAMPLE, Scored(Answer(()), ()))
