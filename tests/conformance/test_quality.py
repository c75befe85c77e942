"""QuALITY's prompt for continuations beside lm-evaluation-harness's `scrolls_quality`, from the same rows."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from evalkit.tasks.quality import prompt, to_sample

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from tests.conformance.test_hellaswag import chosen, likelihood


@pytest.mark.slow
def test_prompts_choices_and_verdicts_are_the_harness_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness reads them out of SCROLLS' form: the question, "(A) …" to "(D) …", and the article."""
    task = load_task("quality")
    records = list(task.data.open(DataOptions(small_sets=True)))
    # Its module imports transformers, which only its task with pruned texts uses.
    for name in ("transformers", "transformers.data", "transformers.data.metrics"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(AutoTokenizer=None, squad_metrics=None))
    kind: Any = importlib.import_module("lm_eval.tasks.scrolls.task").QuALITY
    theirs = object.__new__(kind)
    protocol, scrolls = task.protocol("0-shot-continuation"), task.protocol("0-shot-scrolls")
    verdicts = set()
    for record in records:
        sample = to_sample(record)
        asked = prompt(sample, scrolls)
        assert isinstance(asked, tuple)
        outputs = [record["options"][record["answer"]]]
        given = {"id": "1", "pid": "1", "input": asked[0].text, "outputs": outputs}
        (doc,) = theirs._process_doc(given)
        context = theirs.doc_to_text(doc)
        assert prompt(sample, protocol) == context
        assert doc["choices"] == list(sample.choices)
        scores = [likelihood(context, f" {choice}") for choice in doc["choices"]]
        found = theirs.process_results(doc, [(score, False) for score in scores])
        letters = chosen(sample, scores)
        for metric in ("acc", "acc_norm"):
            assert (letters[metric] == sample.target[0]) is (found[metric] == 1.0)
            verdicts.add(found[metric])
        assert found["em"] == 100 * found["acc_norm"]
    assert verdicts == {0.0, 1.0}
