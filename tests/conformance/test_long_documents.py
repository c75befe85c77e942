"""NarrativeQA and Qasper beside the official scorers and lm-evaluation-harness's `scrolls`, case by case."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from evalkit.tasks import narrativeqa, qasper

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions, Record
from evalkit.data.zipped import HubZip
from evalkit.samples import Sample
from evalkit.scoring.squad import helm_f1, squad_f1

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("long_documents.json").read_text("utf-8"))[
    "cases"
]
SMALL = DataOptions(small_sets=True)


def test_f1_is_the_official_one() -> None:
    """To the last digit; HELM divides in another order, which may change the last one."""
    for case in CASES:
        pair = case["answer"], case["references"]
        assert squad_f1(*pair) == case["f1"], case
        assert helm_f1(*pair) == pytest.approx(case["helm"], abs=1e-15), case


@pytest.mark.slow  # NLTK, which has the stemmer, takes seconds to import
def test_every_figure_of_narrativeqa_is_the_official_one() -> None:
    for case in CASES:
        verdict = narrativeqa.score(case["answer"], Sample("1", "Q", tuple(case["references"])))
        assert verdict.credit == case["f1"], case
        found = [verdict.values["helm"], verdict.values["rougeL"]]
        assert found == pytest.approx([case["helm"], case["rougeL"]], abs=1e-12), case


def test_the_table_is_whole() -> None:
    inputs = [json.dumps([case["answer"], case["references"]]) for case in CASES]
    assert len(set(inputs)) == len(inputs) >= 150
    assert sum(case["f1"] != case["helm"] for case in CASES) > 5
    assert sum(case["f1"] == 0 < case["rougeL"] for case in CASES) > 2


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Any:
    # Its module imports transformers, which only its tasks with pruned texts use.
    with monkeypatch.context() as patch:
        for name in ("transformers", "transformers.data", "transformers.data.metrics"):
            patch.setitem(sys.modules, name, SimpleNamespace(AutoTokenizer=None, squad_metrics=None))
        return importlib.import_module("lm_eval.tasks.scrolls.task")


@pytest.mark.slow
def test_qasper_s_prompts_and_references_are_the_harness_s(harness: Any) -> None:
    from datasets import Dataset

    rows = list(HubZip(qasper.NAME, "qasper.zip", "validation", qasper.REVISION).open(SMALL))
    mixed = sorted(rows, key=lambda row: row["pid"][-1])  # lines of one id that do not follow each other
    task = load_task("qasper")
    for lines in (rows, mixed):
        theirs = list(harness._drop_duplicates_in_input(Dataset.from_list(lines)))
        ours: list[Record] = list(qasper.with_references(lines))
        assert [one["id"] for one in ours] == [one["id"] for one in theirs]
        for record, doc in zip(ours, theirs, strict=True):
            assert record["outputs"] == doc["outputs"]
            sample, asked = task.sample(record), harness._process_doc_prepended_question(doc)
            assert task.prompt(sample, task.protocols[0]) == harness._SCROLLSTask.doc_to_text(None, asked)


@pytest.mark.slow
def test_narrativeqa_s_prompt_is_the_harness_s(harness: Any) -> None:
    task = load_task("narrativeqa", {"characters": "all"})
    for record in task.data.open(SMALL):
        sample = task.sample(record)
        scrolls = task.prompt(sample, task.protocol("0-shot-scrolls"))
        assert isinstance(scrolls, tuple)
        row = {"id": "1", "pid": "1", "input": scrolls[0].text, "outputs": list(sample.target)}
        asked = harness._process_doc_prepended_question(row)
        assert task.prompt(sample, task.protocols[0]) == harness._SCROLLSTask.doc_to_text(None, asked)
