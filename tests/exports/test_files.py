"""The files that are written for lm-eval, Inspect and model cards."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.exports import hf_leaderboard, inspect_ai, lm_eval
from evalkit.exports.shared import opened
from evalkit.runfile.slim import write_slim
from tests.cli.conftest import Cli, cli  # noqa: F401 — a fixture
from tests.exports.made_runs import leaks, mixed, pictured, quizzed, ran
from tests.imports.reading import FILES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mixed(tmp_path_factory.mktemp("run"))


def lm_eval_files(path: Path, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The results of a run, and the lines of all of its files of samples."""
    with opened(path) as store:
        (results,) = lm_eval.export([store], folder)
    files = sorted(Path(results).parent.glob("samples_*"))
    lines = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    return json.loads(Path(results).read_text("utf-8")), lines


def inspect_files(path: Path, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header and the samples of a run's only log."""
    with opened(path) as store:
        (log,) = inspect_ai.export([store], folder)
    with zipfile.ZipFile(log) as archive:
        names = [name for name in archive.namelist() if name.startswith("samples/")]
        summaries = json.loads(archive.read("summaries.json"))
        assert [f"samples/{one['id']}_epoch_1.json" for one in summaries] == names
        return json.loads(archive.read("header.json")), [json.loads(archive.read(name)) for name in names]


def test_lm_evals_layout(run: Path, tmp_path: Path) -> None:
    """Names and types are those of a file that lm-eval wrote."""
    told, lines = lm_eval_files(run, tmp_path)
    (path,) = tmp_path.glob("fake__mixed/results_*.json")
    assert (path.parent / path.name.replace("results", "samples_sums")).with_suffix(".jsonl").exists()
    (own,) = (FILES / "lm-eval/a").glob("results_*")
    real = json.loads(own.read_text("utf-8"))
    mine = {*told["results"]["sums"]}
    assert mine == {"name", "alias", "sample_len", "accuracy,none", "accuracy_stderr,none"}
    for name in (
        "results",
        "configs",
        "versions",
        "n-shot",
        "higher_is_better",
        "n-samples",
        "config",
        "date",
    ):
        assert type(told[name]) is type(real[name]), name
    assert told["n-samples"] == {"sums": {"original": 20, "effective": 20}}
    assert told["results"]["sums"]["accuracy,none"] == pytest.approx(8 / 18)
    (samples,) = (FILES / "lm-eval/a").glob("samples_pears_2*")
    line = json.loads(samples.read_text("utf-8").splitlines()[0])
    right = next(one for one in lines if one["accuracy"] == 1.0)
    for name in {*line} - {"exact_match"}:
        assert type(right[name]) is type(line[name]), name
    assert right["filtered_resps"] == [right["target"]]
    assert json.loads(right["arguments"]["gen_args_0"]["arg_0"][0])[0]["role"] == "user"


def test_a_failed_sample_has_an_error_and_no_value(run: Path, tmp_path: Path) -> None:
    _, lines = lm_eval_files(run, tmp_path / "a")
    failed = [line for line in lines if "error" in line]
    assert [(line["accuracy"], line["resps"]) for line in failed] == [(None, [[""]])] * 2
    header, samples = inspect_files(run, tmp_path / "b")
    broken = [one for one in samples if "error" in one]
    assert [one["scores"] for one in broken] == [{}, {}]
    assert all(one["error"]["traceback_ansi"] == one["error"]["message"] for one in broken)  # what is shown
    assert (header["results"]["total_samples"], header["results"]["completed_samples"]) == (20, 18)
    (score,) = header["results"]["scores"]
    assert (score["scored_samples"], score["unscored_samples"]) == (18, 2)
    values = [one["scores"]["accuracy"]["value"] for one in samples if one["scores"]]
    assert {*values} == {"C", "I", "N"}
    assert values.count("C") / len(values) == pytest.approx(score["metrics"]["mean"]["value"])


def unknown(mine: Mapping[str, Any], real: Mapping[str, Any]) -> set[str]:
    return {*mine} - {*real}


def test_inspects_fields(run: Path, tmp_path: Path) -> None:
    """Each field is one that a log by Inspect itself has, or an optional one of its models (log/_log.py)."""
    real = json.loads((FILES / "inspect/graded.json").read_text("utf-8"))
    header, samples = inspect_files(run, tmp_path)
    assert header["version"] == real["version"] == inspect_ai.VERSION
    assert not unknown(header, real)
    assert not unknown(header["eval"], real["eval"]) - {"metadata"}
    assert not unknown(header["stats"], real["stats"])
    assert not unknown(header["results"]["scores"][0], real["results"]["scores"][0])
    right = next(one for one in samples if one["scores"] and one["scores"]["accuracy"]["value"] == "C")
    model = real["samples"][0]
    assert not unknown(right, model) - {"events"}
    assert not unknown(right["output"], model["output"])
    assert not unknown(right["output"]["choices"][0]["message"], model["output"]["choices"][0]["message"])
    assert not unknown(right["scores"]["accuracy"], model["scores"]["graded"]) - {"metadata"}
    assert right["output"]["usage"] == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    thought = next(one for one in samples if isinstance(one["messages"][-1]["content"], list))
    assert [part["type"] for part in thought["messages"][-1]["content"]] == ["reasoning", "text"]


def test_a_single_log_as_json_is_the_archives_samples(run: Path, tmp_path: Path) -> None:
    header, samples = inspect_files(run, tmp_path)
    with opened(run) as store:
        assert list(inspect_ai.export([store], tmp_path / "one.json")) == [str(tmp_path / "one.json")]
    told = json.loads((tmp_path / "one.json").read_text("utf-8"))
    assert told.pop("samples") == samples
    assert told == header


@pytest.mark.slow
def test_pictures_are_attachments(tmp_path: Path) -> None:
    path = pictured(tmp_path)
    _, (first, broken) = inspect_files(path, tmp_path / "a")
    ((key, picture),) = first["attachments"].items()
    assert {"type": "image", "image": f"attachment://{key}"} in first["messages"][0]["content"]
    assert picture.startswith("data:image/jpeg;base64,")
    assert broken["error"]["message"].startswith("media: ")
    _, lines = lm_eval_files(path, tmp_path / "b")
    assert "<image>" in lines[0]["arguments"]["gen_args_0"]["arg_0"][0]


@pytest.mark.slow
def test_readings_are_filters_and_likelihoods_are_pairs(tmp_path: Path) -> None:
    told, lines = lm_eval_files(quizzed(tmp_path, "routed"), tmp_path / "a")
    assert [line["filter"] for line in lines[:4]] == ["none", "majority", "greedy", "first"]
    assert {name for name in told["results"]["quiz"] if "stderr" not in name and "," in name} == {
        "accuracy,none", "accuracy,majority", "accuracy,greedy", "accuracy,first",
    }  # fmt: skip


def test_nothing_private_leaves(run: Path, tmp_path: Path) -> None:
    """No address, no local path and nothing of the machine is in a file of any format."""
    found = dict[str, str]()
    with opened(run) as store:
        list(lm_eval.export([store], tmp_path / "a"))
        list(inspect_ai.export([store], tmp_path / "b.json"))
        found["card"] = hf_leaderboard.to_model_index([store]).decode()
        assert "platform" not in store.manifest
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        found[path.name] = path.read_text("utf-8")
    assert not leaks(found)
    assert "[address]" in found["b.json"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("HTTP 500 from http://10.0.0.3:8000/v1/chat: busy", "HTTP 500 from [address] busy"),
        ("cannot connect to gpu-3.lab:8000 [Errno 111]", "cannot connect to [address] [Errno 111]"),
        ("host 192.168.1.7 is gone, localhost:80 too", "host [address] is gone, [address] too"),
        ("no file '/mnt/ann/a b.png' (of /data/x/y.txt)", "no file [path] (of [path])"),
        ("C:\\Users\\ann\\key.txt and ~/keys/k", "[path] and [path]"),
        ("3/4 of and/or openai/gpt-4o at 12:30, v1.2.3", "3/4 of and/or openai/gpt-4o at 12:30, v1.2.3"),
        ("llama-cpp//mnt/ann/x.gguf", "llama-cpp//mnt/ann/x.gguf"),
    ],
)
def test_places_are_taken_out_of_messages(text: str, shown: str) -> None:
    from evalkit.exports.shared import without_places

    assert without_places(text) == shown


def test_the_card_is_what_the_hubs_library_reads(run: Path, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard
    from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

    with opened(run) as store:
        text = hf_leaderboard.to_model_index([store]).decode()
    index = yaml.safe_load(text)["model-index"]
    name, results = model_index_to_eval_results(index)
    assert eval_results_to_model_index(name, results) == index
    card = ModelCard(f"---\n{text}---\n# A model\n")
    assert card.data.get("eval_results") == results
    (one,) = results
    assert (one.metric_type, one.metric_value) == ("accuracy", 44.4444)
    assert one.metric_name == (
        "accuracy, once (95 % interval 24.6–66.3, n = 18, 2 samples failed and are not in the value)"
    )
    assert (one.verified, one.source_url, one.dataset_type) == (None, None, "evalkit-sums")
    assert one.metric_args is not None
    assert one.metric_args["low"] == pytest.approx(24.56, abs=0.01)


@pytest.mark.slow
def test_the_card_names_the_kind_of_task_and_small_sets(tmp_path: Path) -> None:
    with opened(ran(tmp_path, "textvqa")) as store:
        (result,) = yaml.safe_load(hf_leaderboard.to_model_index([store]))["model-index"][0]["results"]
    assert result["task"]["type"] == "image-text-to-text"
    assert result["dataset"]["type"] == "evalkit-textvqa"
    assert "small set" in result["dataset"]["name"]


@pytest.mark.slow
def test_lm_evals_own_table_shows_the_figures(run: Path, tmp_path: Path) -> None:
    from lm_eval.utils import make_table

    told, _ = lm_eval_files(run, tmp_path)
    (row,) = [line for line in make_table(told).splitlines() if "accuracy" in line]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "sums:once", "", "none", "0", "accuracy", "↑", "0.4444", "±", "0.1205",
    ]  # fmt: skip


REFUSED = {
    "no folder": (("--format", "lm-eval"), "name a folder with -o"),
    "no folder for logs": (("--format", "inspect"), "name a folder with -o"),
    "a file for several logs": (("--format", "inspect", "-o", "{out}/x.eval"), "have 2 benchmarks"),
    "a file of a tracker": (("--format", "mlflow", "-o", "{out}/x"), "writes no file"),
    "a file of W&B": (("--format", "wandb", "-o", "{out}/x"), "writes no file"),
    "a file of Trackio": (("--format", "trackio", "-o", "{out}/x"), "writes no file"),
    "a project for a file": (("--format", "lm-eval", "--project", "p"), "--project needs --format mlflow"),
    "a typing error": (("--format", "lm-evl"), "did you mean lm-eval"),
}


def test_what_is_refused_is_one_line(run: Path, cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    wrong = []
    for name, (arguments, words) in REFUSED.items():
        given = [one.format(out=tmp_path / "out") for one in arguments]
        said = cli("export", run, run, *given)
        if (said.code, said.out) != (2, "") or words not in said.err or said.err.count("\n") != 1:
            wrong.append((name, said))
    assert not wrong
    assert not (tmp_path / "out").exists()


def test_no_file_is_overwritten(run: Path, cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    mine = tmp_path / "README.md"
    mine.write_text("mine", "utf-8")
    for given in (("--format", "hf-leaderboard", "-o", mine), ("--format", "inspect", "-o", tmp_path / "l")):
        said = cli("export", run, *given)
        said = cli("export", run, *given)
        assert said.code == 2
        assert "already exists" in said.err
    assert mine.read_text("utf-8") == "mine"


@pytest.mark.slow
def test_several_runs_of_one_model_stand_side_by_side(run: Path, cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    other = mixed(tmp_path, protocol="maj")
    said = cli("export", run, other, run, "--format", "lm-eval", "-o", tmp_path / "a")
    assert said.code == 0
    assert len(list(tmp_path.glob("a/fake__mixed/results_*"))) == said.err.count("results_") == 3
    said = cli("export", run, other, "--format", "inspect", "-o", tmp_path / "b")
    assert (said.code, len(list(tmp_path.glob("b/*.eval")))) == (0, 2)
    another = mixed(tmp_path, "fake/other", file="other.db")
    said = cli("export", run, another, "--format", "hf-leaderboard")
    assert (said.code, "a model card is of one model" in said.err) == (2, True)


def test_a_slim_run_file_has_no_samples_but_figures(run: Path, cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    write_slim(run, tmp_path / "slim.db", texts=False)
    for name in ("lm-eval", "inspect"):
        said = cli("export", tmp_path / "slim.db", "--format", name, "-o", tmp_path / "out")
        assert (said.code, "is a slim run file" in said.err) == (2, True)
    said = cli("export", tmp_path / "slim.db", "--format", "hf-leaderboard")
    assert (said.code, "44.4444" in said.out) == (0, True)
    assert yaml.safe_load(io.StringIO(said.out))["model-index"][0]["name"] == "fake/mixed"
