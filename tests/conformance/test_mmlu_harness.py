"""MMLU beside lm-evaluation-harness's own `mmlu`, run from the installed package on evalkit's small set.

On 610 real questions of six subjects, asked of SmolLM2-135M-Instruct by llama.cpp's server, both chose the
same letter 583 times under their own prompts; of the same responses they read the same letter every time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks.mmlu import original, to_sample

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions, Record
from evalkit.models.base import TokenLogprob
from evalkit.models.likelihood import letter_scores
from evalkit.samples import Sample

SUBJECTS = ("astronomy", "high_school_mathematics", "world_religions")
SPLITS = ("dev", "test")
LETTERS = "ABCD"


def next_token(prompt: str) -> dict[str, float]:
    """Four likelihoods, none like another, and something likelier, as after a prompt that nobody knows."""
    drawn = hashlib.sha256(prompt.encode()).digest()
    found = {f" {letter}": math.log((1 + drawn[i]) / 2048 + i / 1e6) for i, letter in enumerate(LETTERS)}
    return {" the": -0.5, **found}


def rows(split: str) -> list[Record]:
    """Of the small set; every second question has white space around it, as MMLU's have."""
    task = load_task("mmlu")
    data = {"dev": task.dev, "test": task.data}[split]
    assert data is not None
    found = list(data.open(DataOptions(small_sets=True)))
    return [{**row, "question": f" {row['question']}\n"} if i % 2 else row for i, row in enumerate(found)]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the harness logs of each question: the record, the prompt, its four likelihoods, its verdict."""
    lm_eval: Any = importlib.import_module("lm_eval")
    manager: Any = importlib.import_module("lm_eval.tasks").TaskManager
    model: Any = importlib.import_module("lm_eval.api.model").LM
    folder = tmp_path_factory.mktemp("mmlu")
    card = {
        "configs": [
            {"config_name": s, "data_files": [{"split": x, "path": f"{s}/{x}.jsonl"} for x in SPLITS]}
            for s in SUBJECTS
        ]
    }
    (folder / "data").mkdir()
    (folder / "data" / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n", "utf-8")
    (folder / "tasks").mkdir()
    theirs = Path(lm_eval.__file__).parent / "tasks/mmlu/default"
    for subject in SUBJECTS:
        (folder / "data" / subject).mkdir()
        for split in SPLITS:
            lines = [json.dumps(row) for row in rows(split) if row["subject"] == subject]
            (folder / "data" / subject / f"{split}.jsonl").write_text("\n".join(lines), "utf-8")
        config: dict[str, Any] = {"include": str(theirs / f"mmlu_{subject}.yaml"), "task": subject}
        config |= {"dataset_path": str(folder / "data"), "dataset_name": subject}
        config |= {"dataset_kwargs": {"cache_dir": str(folder / "cache")}}
        (folder / "tasks" / f"{subject}.yaml").write_text(json.dumps(config), "utf-8")

    class NextToken(model):  # type: ignore[misc]
        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            return [(next_token(request.args[0])[request.args[1]], False) for request in requests]

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            raise NotImplementedError

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            raise NotImplementedError

    found = lm_eval.simple_evaluate(
        model=NextToken(), tasks=list(SUBJECTS), num_fewshot=5, bootstrap_iters=0, log_samples=True,
        task_manager=manager(include_defaults=False, include_path=[str(folder / "tasks")]),
    )  # fmt: skip
    return [logged for subject in SUBJECTS for logged in found["samples"][subject]]


def asked(record: Record) -> Sample:
    shots = tuple(to_sample(row) for row in rows("dev") if row["subject"] == record["subject"])
    found: Sample = dataclasses.replace(to_sample(record), shots=shots)
    return found


def stripped(sample: Sample) -> Sample:
    shots = tuple(dataclasses.replace(shot, input=shot.input.strip()) for shot in sample.shots)
    return dataclasses.replace(sample, input=sample.input.strip(), shots=shots)


@pytest.mark.slow
def test_the_prompt_is_the_harness_s_but_for_a_space_and_blanks_around_questions(
    harness: list[dict[str, Any]],
) -> None:
    assert len(harness) == 18
    for logged in harness:
        sample = asked(logged["doc"])
        theirs = logged["arguments"][0][0]
        assert original(stripped(sample), 5).replace("about  ", "about ", 1) == theirs
        assert original(sample, 5) != theirs


@pytest.mark.slow
def test_the_same_alternatives_give_the_harness_s_letter_and_verdict(harness: list[dict[str, Any]]) -> None:
    chosen = set()
    for logged in harness:
        top = next_token(logged["arguments"][0][0])
        found = letter_scores(TokenLogprob(" the", top[" the"], top), LETTERS, api="completion", asked=20)
        index, bound_decides = found.best()
        assert list(found.scores) == [float(one[0][0]) for one in logged["resps"]]
        assert index is not None
        assert not bound_decides
        assert (index == logged["doc"]["answer"]) is (logged["acc"] == 1)
        chosen.add(index)
    assert chosen == {0, 1, 2, 3}
    assert 0 < sum(logged["acc"] for logged in harness) < len(harness)
