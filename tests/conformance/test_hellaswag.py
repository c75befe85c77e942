"""HellaSwag's endings beside lm-evaluation-harness's `hellaswag`, case by case and on evalkit's small set."""

from __future__ import annotations

import hashlib
import importlib
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks.hellaswag import first_of_either_half, plain, to_sample
from evalkit.tasks.hellaswag import prompt as prompt_of

from evalkit.benchmark.readers import BY_BYTES, WHOLE, Reading, choose_continuation
from evalkit.benchmark.task import load_task
from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.data.base import DataOptions, Record
from evalkit.models.base import Likelihood, Response
from evalkit.samples import Sample

TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("hellaswag.json").read_text("utf-8"))
METRICS = {"acc_norm": "", "acc_bytes": BY_BYTES, "acc": WHOLE}
PROTOCOL = load_task("hellaswag").protocol("10-shot-continuation")


def chosen(sample: Sample, scores: Sequence[float]) -> dict[str, str | None]:
    """The letters that evalkit chooses, by the harness's metric."""
    found = zip(sample.choices, scores, strict=True)
    response = Response("", likelihoods=tuple(Likelihood(f" {text}", score) for text, score in found))
    reading = Reading(Transcript((Turn(response, 0),)), sample, PROTOCOL, lambda text, sample: text)
    answer = choose_continuation(reading)
    return {
        metric: (answer.branches[branch] if branch else answer.finals)[0].value
        for metric, branch in METRICS.items()
    }


def test_texts_are_the_harness_s() -> None:
    for case in TABLE["texts"]:
        assert plain(case["text"]) == case["harness"], case


def test_the_chosen_ending_is_the_harness_s() -> None:
    differ = set()
    for case in TABLE["cases"]:
        sample = Sample("own", "Which?", ("A",), choices=tuple(case["endings"]))
        assert chosen(sample, case["logprobs"]) == {metric: case[metric] for metric in METRICS}, case
        differ |= {len({case[metric] for metric in METRICS})}
    assert differ == {1, 2, 3}
    assert len(TABLE["cases"]) >= 12
    assert "0.4.13" in TABLE["oracle"]


def likelihood(context: str, ending: str) -> float:
    drawn = hashlib.sha256((context + ending).encode()).digest()
    return -len(ending) * (1 + drawn[0] / 512) - drawn[1] / 16


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the harness logs of each story of the small set, under ten shots, with the shots of evalkit."""
    lm_eval: Any = importlib.import_module("lm_eval")
    manager: Any = importlib.import_module("lm_eval.tasks").TaskManager
    model: Any = importlib.import_module("lm_eval.api.model").LM
    folder = tmp_path_factory.mktemp("hellaswag")
    for split, rows in (("train", shown()), ("validation", stories())):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation")}
    theirs = Path(lm_eval.__file__).parent / "tasks/hellaswag/hellaswag.yaml"
    metrics = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in METRICS]
    config: dict[str, Any] = {
        "include": str(theirs),
        "task": "own",
        "dataset_path": "json",
        "metric_list": metrics,
    }
    config |= {"dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")}}
    config |= {"fewshot_config": {"sampler": "first_n"}}
    (folder / "tasks").mkdir()
    (folder / "tasks" / "own.yaml").write_text(json.dumps(config), "utf-8")

    class Hashed(model):  # type: ignore[misc]
        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            return [(likelihood(*request.args), False) for request in requests]

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            raise NotImplementedError

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            raise NotImplementedError

    found = lm_eval.simple_evaluate(
        model=Hashed(), tasks=["own"], num_fewshot=10, bootstrap_iters=0, log_samples=True,
        task_manager=manager(include_defaults=False, include_path=[str(folder / "tasks")]),
    )  # fmt: skip
    logged: list[dict[str, Any]] = found["samples"]["own"]
    return logged


def shown() -> list[Record]:
    data = load_task("hellaswag").dev
    assert data is not None
    return list(data.open(DataOptions(small_sets=True)))


def stories() -> list[Record]:
    return list(load_task("hellaswag").data.open(DataOptions(small_sets=True)))


@pytest.mark.slow
def test_prompts_and_verdicts_are_the_harness_s(harness: list[dict[str, Any]]) -> None:
    shots = tuple(map(to_sample, shown()))
    assert len(list(first_of_either_half(shown()))) == len(shots) == 10
    verdicts = set()
    for logged, record in zip(harness, stories(), strict=True):
        sample = replace(to_sample(record), shots=shots)
        text = prompt_of(sample, PROTOCOL)
        assert [(text, f" {choice}") for choice in sample.choices] == [
            tuple(one) for one in logged["arguments"]
        ]
        scores = [float(one[0][0]) for one in logged["resps"]]
        letters = chosen(sample, scores)
        for metric in METRICS:
            assert (letters[metric] == sample.target[0]) is (logged[metric] == 1.0)
            verdicts.add((metric, logged[metric]))
        assert all(math.isfinite(score) for score in scores)
    assert {right for _, right in verdicts} == {0.0, 1.0}
