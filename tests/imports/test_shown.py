"""What is done with imported runs: comparisons, the gate, tables beside evalkit's runs, pages and frames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import evalkit
from evalkit.compare.runs import compare
from evalkit.runfile.store import Store
from tests.cli.conftest import Cli, cli  # noqa: F401 — a fixture
from tests.imports.reading import FILES, copied, imported, jsonl, rewritten


def lm_eval(folder: Path, right: int, model: str, **settings: object) -> Path:
    """A run of lm-eval on 40 questions of which `right` are answered."""
    run = copied(FILES / "lm-eval/a", folder)
    for path in run.glob("samples_*"):
        if not path.name.startswith("samples_pears_2"):
            path.unlink()
    (results,), (samples,) = run.glob("results_*"), run.glob("samples_*")
    first = json.loads(samples.read_text("utf-8").splitlines()[0])
    lines = [
        first | {"doc_id": at, "doc": {"question": f"Question {at}?"}, "exact_match": float(at < right)}
        for at in range(40)
    ]
    jsonl(samples, *lines)
    sizes = {"pears": {"original": 40, "effective": 40}}
    shares = {"pears": {"exact_match,strict-match": right / 40}}
    more = {"n-samples": sizes, "results": shares, "model_name": model}
    rewritten(results, lambda told: {**told, **more, **settings})
    return run


@pytest.mark.slow
def test_compare_finds_a_planted_difference_between_two_runs_of_lm_eval(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    for model, right in (("old", 36), ("new", 20)):
        imported(tmp_path / f"{model}.db", lm_eval(tmp_path / model, right, model))
    said = cli("compare", tmp_path / "old.db", tmp_path / "new.db", "--format", "json")
    (one,) = json.loads(said.out)["benchmarks"]
    assert said.code == 1
    assert (one["verdict"], one["test"], one["wins"], one["losses"]) == ("worse", "McNemar", 0, 16)
    assert cli("compare", tmp_path / "new.db", tmp_path / "old.db").code == 0
    slim = tmp_path / "base.db"
    assert cli("export", tmp_path / "old.db", "--slim", "-o", slim).code == 0
    assert cli("compare", slim, tmp_path / "new.db").code == 1


OTHERWISE: list[tuple[dict[str, object], str]] = [
    ({"lm_eval_version": "0.4.12"}, "imported: lm-eval 0.4.13 and lm-eval 0.4.12"),
    ({"versions": {"pears": 3.0}}, "task version: 2 and 3"),
    ({"n-shot": {"pears": 5}}, "shots: 1 and 5"),
    ({"system_instruction": "Be brief."}, "system_instruction: None and Be brief."),
]


@pytest.mark.parametrize(
    "otherwise", [OTHERWISE[:1], pytest.param(OTHERWISE, marks=pytest.mark.slow)], ids=["quick", "all"]
)
def test_results_under_other_settings_are_not_compared(
    otherwise: list[tuple[dict[str, object], str]], tmp_path: Path
) -> None:
    imported(tmp_path / "a.db", lm_eval(tmp_path / "a", 36, "old"))
    for number, (setting, words) in enumerate(otherwise):
        imported(tmp_path / f"{number}.db", lm_eval(tmp_path / f"{number}", 20, "new", **setting))
        with Store.open(tmp_path / "a.db") as base, Store.open(tmp_path / f"{number}.db") as head:
            (one,) = compare(base, head).unmeasured
        assert words in one.problems[0].words


@pytest.mark.slow
def test_two_logs_of_inspect_stand_in_one_table_with_a_run(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    for side in "ab":
        imported(tmp_path / f"{side}.db", FILES / f"inspect/pears-{side}.eval", model=f"model {side}")
    own = tmp_path / "own.db"
    task = ("-t", "gsm8k:8-shot-cot", "--data", "builtin", "--limit", 2)
    assert cli("run", "-m", "fake/gold", *task, "-o", own).code == 0
    runs = (tmp_path / "a.db", tmp_path / "b.db", own)
    said = cli("report", *runs, "--format", "markdown")
    assert said.code == 0
    (line,) = (line for line in said.out.splitlines() if line.startswith("| pears:inspect<br>"))
    assert "83" in line
    assert "33" in line
    assert "imported (inspect 0.3.285): asked and scored elsewhere" in said.out
    assert "imported:inspect 0.3.285|n:6" in said.out
    page = tmp_path / "page.html"
    assert cli("report", *runs, "-o", page).code == 0
    assert "evalkit import" in page.read_text("utf-8")
    said = cli("run", "-m", "fake/gold", *task, "-o", tmp_path / "a.db")
    assert said.code == 2
    assert "holds another run" in said.err


def test_a_task_of_the_same_name_is_not_evalkits_own(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    """It has rows of its own, is beside no printed figure without a mark, and needs -t to be scored again."""
    run = lm_eval(tmp_path / "run", 36, "old")
    for path in run.glob("samples_*"):
        path.rename(path.with_name(path.name.replace("_pears_", "_gsm8k_")))
    imported(tmp_path / "r.db", run)
    said = cli("report", tmp_path / "r.db", "--paper", "gemini-1.0", "--format", "markdown")
    assert "imported from lm-eval 0.4.13 (lm-eval) here" in said.out
    said = cli("rescore", tmp_path / "r.db", "-o", tmp_path / "again.db")
    assert said.code == 2
    assert "gsm8k:lm-eval was imported from lm-eval 0.4.13" in said.err


@pytest.mark.slow
def test_frames_have_the_same_columns_as_a_runs(tmp_path: Path) -> None:
    imported(tmp_path / "a.db", FILES / "lm-eval/a")
    imported(tmp_path / "b.db", FILES / "inspect/graded.eval")
    evalkit.run("fake/gold", "gsm8k:8-shot-cot", data="builtin", limit=2, output=tmp_path / "c.db")
    loaded = [evalkit.load(tmp_path / f"{name}.db") for name in "abc"]
    for frames in ([one.cells() for one in loaded], [one.samples() for one in loaded]):
        assert frames[0].dtypes.to_dict() == frames[1].dtypes.to_dict() == frames[2].dtypes.to_dict()
    assert list(loaded[1].cells().metric) == ["graded", "parts.length", "parts.polite", "unsure"]
    assert loaded[0].samples().finals[0][0]["value"] == "7"


def test_the_command_says_what_it_read(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    said = cli("import", FILES / "lm-eval/a", "-o", tmp_path / "r.db")
    assert said.out.splitlines()[:2] == ["pears:lm-eval: 8 samples", "pears_bleu:lm-eval: 8 samples"]
    assert f"written: {tmp_path / 'r.db'}" in said.err
    said = cli("import", FILES / "inspect", "--from", "helm", "-o", tmp_path / "x.db")
    assert "holds no results of helm" in said.err
    said = cli("import", FILES / "inspect/graded.eval", "-o", tmp_path / "y.db", "--json", "--model", "mine")
    assert json.loads(said.out)["tasks"][0]["failed"] == 1
    assert evalkit.load(tmp_path / "y.db").cells().model[0] == "mine"
    assert "unknown tool 'inspct'" in cli("import", FILES, "--from", "inspct", "-o", tmp_path / "z.db").err
