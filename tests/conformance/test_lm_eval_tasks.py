"""lm-eval's tasks give the same numbers through evalkit as with lm-eval's own command, sample by sample.

Both ask the same made-up model over HTTP, on the same rows, offline. lm-eval sends tokens, and evalkit texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

import evalkit
from evalkit.benchmark.spec import CellSpec
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
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    folders = [package_folder() / name for name in FOLDERS] + ([folder] if folder else [])
    chat = bool(settings.get("apply_chat_template"))
    route, kind = (
        ("chat/completions", "local-chat-completions") if chat else ("completions", "local-completions")
    )
    return simple_evaluate(
        model=kind,
        model_args={"model": "made-up", "base_url": f"{server.url}/{route}", "max_length": 100000},
        tasks=tasks,
        bootstrap_iters=0,
        task_manager=TaskManager(include_defaults=False, include_path=folders),
        **settings,
    )


def same(mine: Any, theirs: Any) -> bool:
    return math.isclose(float(mine), float(theirs), rel_tol=1e-12, abs_tol=1e-12)


def compared(path: Path, theirs: Any) -> tuple[int, list[str]]:
    """(number of values compared, differences) of the samples' values and the figures in a run file."""
    count, wrong = 0, []
    with Store.open(path) as store:
        for cell in store.cells():
            rows = store.connection.execute(
                "SELECT meta, answer FROM sample WHERE cell = ? ORDER BY position", (cell.id,)
            )
            for meta, answer in (map(orjson.loads, row) for row in rows):
                logged = [s for s in theirs["samples"][meta["task"]] if s["doc_id"] == meta["doc_id"]]
                for name, mine, value in _values(answer, logged):
                    count += 1
                    wrong += (
                        []
                        if same(mine, value)
                        else [f"{meta['task']} {meta['doc_id']} {name}: {mine} {value}"]
                    )
            for figure in (one for one in store.figures(cell) if not one.group):
                name, value = _figure(cell.spec, figure.metric, theirs)
                count += 1
                wrong += (
                    []
                    if figure.value is not None and same(figure.value, value)
                    else [f"{name}: {figure.value} {value}"]
                )
    return count, wrong


def _values(answer: Any, logged: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """(name, evalkit's value, lm-eval's) of a sample, by metric and filter."""
    assert logged
    readings = {logged[0]["filter"]: answer["finals"], **answer["branches"]}
    for sample in logged:
        (final,) = readings[sample["filter"]]
        for metric in sample["metrics"]:
            value = sample[metric]
            many = (
                [(f"{metric}[{i}]", one) for i, one in enumerate(value)] if isinstance(value, tuple) else []
            )
            for name, one in many or [(metric, value)]:
                yield f"{sample['filter']} {name}", final["values"][name], one


def _figure(spec: CellSpec, metric: str, theirs: Any) -> tuple[str, float]:
    """(name, lm-eval's figure in evalkit's unit) of a metric."""
    found = next(one for one in spec.metrics if one.name == metric)
    task = spec.task.removeprefix("lm-eval:")
    samples = theirs["samples"].get(task) or next(iter(theirs["samples"].values()))
    key = f"{found.innermost[1]['value']},{found.variant or samples[0]['filter']}"
    figures = theirs["groups"] if task in theirs.get("groups", {}) else theirs["results"]
    return f"{task} {key}", figures[task][key] * (100 if found.unit == "%" else 1)


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
