"""lm-eval's tasks give the same numbers through evalkit as with lm-eval's own command, sample by sample.

Both ask the same made-up model over HTTP, on the same rows, offline. lm-eval sends tokens, and evalkit texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import evalkit
from bench import agreement
from bench.agreement import compared, same
from evalkit.data.base import DataOptions
from evalkit.engine.rescore_imported import rescore_imported
from evalkit.imports.find import found_in
from evalkit.imports.write import write
from evalkit.lmeval.index import package_folder
from evalkit.runfile.store import Store
from tests.harness_rows import everything
from tests.harness_server import HarnessServer

TASKS = (
    "gsm8k",
    "mmlu_anatomy",
    "mmlu_astronomy",
    "hellaswag",
    "bbh_cot_fewshot_boolean_expressions",
    "bbh_cot_fewshot_word_sorting",
    "drop",
    "arc_easy",
    "lambada_openai",
    "wikitext",
    "mgsm_direct_en",
    "winogrande",
    "cola",
    "mrpc",
)
FOLDERS = (
    "gsm8k",
    "mmlu/default",
    "hellaswag",
    "bbh/cot_fewshot",
    "drop",
    "arc",
    "lambada",
    "wikitext",
    "mgsm/direct",
    "winogrande",
    "glue",
)


def by_lm_eval(server: HarnessServer, tasks: list[str], folder: Path | None = None, **settings: Any) -> Any:
    """The results of lm-eval's own evaluation, from the data sets in the working directory."""
    folders = [package_folder() / name for name in FOLDERS] + ([folder] if folder else [])
    return agreement.by_lm_eval("made-up", server.url, tasks, folders, **settings)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the data sets, which is the working directory: lm-eval reads them from there."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # datasets' cache goes by a folder's name and card, so that another test's rows would be found in it.
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    root = everything(tmp_path / "data")
    monkeypatch.chdir(root)
    return root


@pytest.mark.slow
def test_the_numbers_are_lm_evals(data: Path, tmp_path: Path) -> None:
    with HarnessServer() as server:
        evalkit.run(
            "openai/made-up",
            ",".join(f"lm-eval:{task}" for task in TASKS),
            base_url=server.url,
            data=data,
            output=tmp_path / "run.db",
            settings={"prefix": "<eos>"},
        )
        theirs = by_lm_eval(server, [*TASKS])
    count, wrong = compared(tmp_path / "run.db", theirs)
    assert not wrong
    assert count == 143 + 7 + 13 + 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({"shots": "3"}, {"num_fewshot": 3}),
        ({"shots": "2", "system": "Be brief."}, {"num_fewshot": 2, "system_instruction": "Be brief."}),
        ({"chat": "on"}, {"apply_chat_template": True, "fewshot_as_multiturn": True}),
        (
            {"chat": "on", "multiturn": "off", "shots": "2", "system": "Be brief."},
            {
                "apply_chat_template": True,
                "fewshot_as_multiturn": False,
                "num_fewshot": 2,
                "system_instruction": "Be brief.",
            },
        ),
        ({"max_tokens": "1"}, {"gen_kwargs": {"max_gen_toks": 1}}),
    ],
    ids=["shots", "system", "chat", "one turn", "tokens"],
)
def test_settings_mean_lm_evals_options(
    data: Path, tmp_path: Path, mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    with HarnessServer() as server:
        evalkit.run(
            "openai/made-up", "lm-eval:gsm8k", base_url=server.url, data=data, output=tmp_path / "run.db",
            settings=mine, limit=5,
        )  # fmt: skip
        found = by_lm_eval(server, ["gsm8k"], limit=5, **theirs)
    count, wrong = compared(tmp_path / "run.db", found)
    assert not wrong
    assert count == 12


GROUP = """
group: subjects
task:
  - mmlu_anatomy
  - group: of_the_sky
    task:
      - task: mmlu_astronomy
        num_fewshot: 2
    aggregate_metric_list:
      - metric: acc
aggregate_metric_list:
  - metric: acc
    weight_by_size: {by_size}
metadata:
  version: 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("by_size", ["true", "false"])
def test_a_groups_figure_is_lm_evals(data: Path, tmp_path: Path, by_size: str) -> None:
    """A group in a folder of the user's, of tasks of lm-eval, one of them with another number of examples."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "subjects.yaml").write_text(GROUP.format(by_size=by_size), "utf-8")
    table = data / "cais/mmlu/anatomy/test.parquet"
    pq.write_table(pq.read_table(table).slice(0, 3), table)  # so that the sizes differ
    with HarnessServer() as server:
        evalkit.run(
            "openai/made-up", f"lm-eval:{folder}:subjects", base_url=server.url, data=data,
            output=tmp_path / "run.db",
        )  # fmt: skip
        found = by_lm_eval(server, ["subjects"], folder=folder)
    count, wrong = compared(tmp_path / "run.db", found)
    assert not wrong
    assert count == 3 + 6 + 1
    with Store.open(tmp_path / "run.db") as store:
        (cell,) = store.cells()
        (metric,) = cell.spec.metrics
        groups = {one.group: one.value for one in store.figures(cell) if one.group}
    assert metric.traits.average == ("" if by_size == "true" else "macro over groups")
    for task in ("mmlu_anatomy", "mmlu_astronomy"):
        assert same(groups[task], 100 * found["results"][task]["acc,none"])
    assert groups["subjects::of_the_sky"] == groups["mmlu_astronomy"]


F1 = """
group: alike
task:
  - mrpc
  - mrpc_of_train
aggregate_metric_list:
  - metric: f1
    weight_by_size: {by_size}
"""
OF_TRAIN = """
include: {folder}/glue/mrpc/default.yaml
task: mrpc_of_train
validation_split: train
training_split: null
"""


@pytest.mark.slow
@pytest.mark.parametrize("by_size", ["true", "false"])
def test_a_groups_f1_is_weighted_as_lm_evals(data: Path, tmp_path: Path, by_size: str) -> None:
    """An F1 is no mean over samples, so that the weighted mean of two F1 is not the F1 of all samples."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "alike.yaml").write_text(F1.format(by_size=by_size), "utf-8")
    (folder / "of_train.yaml").write_text(OF_TRAIN.format(folder=package_folder()), "utf-8")
    table = data / "nyu-mll/glue/mrpc/validation.parquet"
    pq.write_table(pq.read_table(table).slice(0, 4), table)  # so that the sizes differ
    with HarnessServer() as server:
        evalkit.run(
            "openai/made-up", f"lm-eval:{folder}:alike", base_url=server.url, data=data,
            output=tmp_path / "run.db",
        )  # fmt: skip
        found = by_lm_eval(server, ["alike"], folder=folder)
    count, wrong = compared(tmp_path / "run.db", found)
    assert not wrong
    assert count == 10 * 3 + 1  # acc and both numbers of f1 of ten samples, and the group's one figure
    with Store.open(tmp_path / "run.db") as store:
        (cell,) = store.cells()
        figures = {one.group: one for one in store.figures(cell) if one.metric.startswith("f1")}
    assert len({figures["mrpc"].n, figures["mrpc_of_train"].n}) == 2
    for task in ("mrpc", "mrpc_of_train"):
        assert same(figures[task].value, found["results"][task]["f1,none"])
    assert figures[""].low is not None
    assert [one.name for one in cell.spec.metrics] == [
        f"f1 ({'by size' if by_size == 'true' else 'macro'})",
        "acc",
    ]


@pytest.mark.slow
def test_lm_evals_responses_are_scored_by_evalkits_task(data: Path, tmp_path: Path) -> None:
    """lm-eval asks GSM8K and writes its files; evalkit's GSM8K finds the questions and scores the answers."""
    from lm_eval.loggers import EvaluationTracker

    with HarnessServer() as server:
        tracker = EvaluationTracker(output_path=str(tmp_path / "results"))
        found = by_lm_eval(server, ["gsm8k"], evaluation_tracker=tracker, log_samples=True)
    samples = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=samples)
    tracker.save_results_samples(task_name="gsm8k", samples=samples["gsm8k"])
    list(write(found_in([tmp_path / "results"]), tmp_path / "imported.db"))
    (one,) = rescore_imported(
        tmp_path / "imported.db", tmp_path / "scored.db", "gsm8k", data=DataOptions(folder=data)
    )
    assert one.name == "gsm8k:lm-eval-rescored"
    assert one.samples == len(samples["gsm8k"]) // 2 > 3  # two filters
    assert one.notes[0].endswith(f"were matched, {one.samples} of them by their question and not by their id")
    assert len(one.notes) == 1  # lm-eval's references, whole solutions, are those of evalkit's task
    flexible = {sample["doc_id"]: sample for sample in samples["gsm8k"] if "flexible" in sample["filter"]}
    with Store.open(tmp_path / "scored.db") as store:
        (cell,) = store.cells()
        rows = {sample["input"]: sample["outcome"] for sample in store.samples(cell)}
    for sample in flexible.values():
        right = rows[sample["doc"]["question"]] == "correct"
        assert right == bool(sample["exact_match"]), sample["resps"]
