"""The share of samples with a property, and that every metric of evalkit's is known to its run files."""

from __future__ import annotations

import evalkit.metrics
from evalkit.api import Answer, Final, Sample, Scored, ShareOfSamples
from evalkit.identity.declared import declared
from evalkit.metrics.stored import KINDS, metric_spec


def test_the_answer_does_not_matter() -> None:
    metric = ShareOfSamples("held", "held")
    for value in (None, "x"):
        for correct in (True, False):
            scored = Scored(Answer((Final(value),)), (correct,))
            held, other = Sample("1", "", ("x",), meta={"held": True}), Sample("2", "", ("x",))
            assert [metric.value(sample, scored) for sample in (held, other)] == [1.0, 0.0]


def test_a_run_file_knows_every_metric_of_evalkits_by_its_name() -> None:
    assert metric_spec(ShareOfSamples("held", "held")).parameters["key"] == "held"
    for name in evalkit.metrics.__all__:
        known = declared(getattr(evalkit.metrics, name))
        assert known is None or known.name in KINDS, name
