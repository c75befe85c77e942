"""MMMLU's letters beside openai/simple-evals' and its prompt beside lm-evaluation-harness's, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import yaml
from evalkit.tasks.mmmlu import prompt, to_sample
from evalkit.tasks.mmmlu_letters import local_letter

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.data.exemplars import lm_eval_file
from evalkit.samples import Sample

TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("mmmlu.json").read_text("utf-8"))
SAMPLE = Sample("metals", "Which metal rusts?", ("B",), choices=("Tin", "Iron", "Gold", "Zinc"))


def test_the_letter_is_the_official_one_or_the_reason_is_named() -> None:
    for case in TABLE["cases"]:
        assert local_letter(case["response"], SAMPLE) == case["answer"], case
        assert (case["answer"] != case["official"]) is ("differs" in case), case
    assert {case["differs"] for case in TABLE["cases"] if "differs" in case} == set(TABLE["reasons"])
    assert len({case["response"] for case in TABLE["cases"]}) == len(TABLE["cases"]) >= 60
    assert "ee3b031" in TABLE["oracle"]


def test_the_question_is_the_harness_s_below_a_header_without_the_language() -> None:
    config = yaml.safe_load(lm_eval_file("openai-mmmlu/default/_default_template_yaml").read_text("utf-8"))
    task = load_task("mmmlu")
    protocol = task.protocol("5-shot")
    for record in task.data.open(DataOptions(small_sets=True)):
        text = prompt(to_sample(record), protocol)
        assert isinstance(text, str)
        header, _, question = text.partition("\n\n")
        assert question == jinja2.Template(config["doc_to_text"]).render(**record)
        subject = record["Subject"].replace("_", " ")
        assert header == f"The following are multiple choice questions (with answers) about  {subject}."
