"""Runs in MLflow, W&B and Trackio: metrics with intervals, parameters, the table and the page."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evalkit.exports import mlflow
from evalkit.exports.shared import opened
from evalkit.exports.tracking import Tracked, tracked
from tests.cli.conftest import Cli, Said, cli  # noqa: F401 — a fixture
from tests.exports.made_runs import SECRETS, leaks, mixed
from tests.exports.mlflow_server import MlflowServer
from tests.exports.wandb_file import records

METRICS = {
    "sums/once/accuracy": pytest.approx(400 / 9),
    "sums/once/accuracy_low": pytest.approx(24.55951812700563),
    "sums/once/accuracy_high": pytest.approx(66.28358435795723),
    "sums/once/failed": 2,
}
FILES = {"table.json", "table.csv", "table.md", "page.html"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mixed(tmp_path_factory.mktemp("run"))


def exported(folder: Path, *arguments: object, **environment: str) -> Said:
    """The command in a process of its own, as trackers start threads and processes."""
    command = [sys.executable, "-m", "evalkit", "export", *map(str, arguments)]
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "WANDB"))}
    done = subprocess.run(
        command, cwd=folder, env={**unset, "HOME": str(folder), **environment}, capture_output=True, text=True
    )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_what_a_tracker_gets(run: Path) -> None:
    with opened(run) as store:
        one = tracked(store)
    assert one.metrics == METRICS
    assert (one.params["model"], one.params["sums/once/accuracy/n"]) == ("fake/mixed", 18)
    assert "sig:" in str(one.params["sums/once/accuracy/signature"])
    assert {*one.files} == FILES
    rest = json.dumps([one.name, dict(one.metrics), dict(one.params), dict(one.tags), one.rows])
    assert not leaks({**one.files, "rest": rest})
    assert "[address]" in one.files["table.json"]
    assert one.files["page.html"].startswith("<!doctype html>")


@pytest.mark.slow
def test_mlflow_has_a_run_for_each_run_file(run: Path, tmp_path: Path) -> None:
    with MlflowServer() as server:
        said = exported(tmp_path, run, run, "--format", "mlflow", MLFLOW_TRACKING_URI=server.url)
        assert (said.code, said.out) == (0, ""), said.err
    assert server.experiments == {"evalkit": "1"}
    assert [one["info"]["status"] for one in server.runs.values()] == ["FINISHED"] * 2
    first = server.runs[f"{0:032x}"]
    assert {one["key"]: one["value"] for one in first["data"]["metrics"]} == METRICS
    params = {one["key"]: one["value"] for one in first["data"]["params"]}
    assert (params["model"], params["sums/once/accuracy/n"]) == ("fake/mixed", "18")
    texts = {name: data.decode() for name, data in server.artifacts.items()}
    assert {*texts} == {
        f"{one['info']['experiment_id']}/{key}/artifacts/{name}"
        for key, one in server.runs.items()
        for name in FILES
    }
    assert not leaks(texts)


@pytest.mark.slow
@pytest.mark.parametrize("answers", ["no", "never"])
def test_a_server_that_does_not_answer_is_one_line_soon(answers: str, run: Path, tmp_path: Path) -> None:
    """Whether it refuses connections, or accepts them and is silent; MLflow itself would try for minutes."""
    start = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{9 if answers == 'no' else silent.getsockname()[1]}"
        told = {} if answers == "no" else {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
        said = exported(tmp_path, run, "--format", "mlflow", MLFLOW_TRACKING_URI=url, **told)
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[-1].startswith("evalkit: MLflow did not take the run: ")
    assert said.err.endswith(": is the server at MLFLOW_TRACKING_URI running, and may you write there?\n")
    assert time.monotonic() - start < 60


class Client:
    """Keeps what it is told; the upload of the page fails if `broken`."""

    def __init__(self, broken: bool = False) -> None:
        self.broken, self.ended, self.made = broken, "", ""
        self.sizes, self.logged = list[int](), list[Any]()

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="1") if name == "old" else None

    def create_experiment(self, name: str) -> str:
        self.made = name
        return "2"

    def create_run(self, *_: object, **__: object) -> Any:
        return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

    def log_batch(self, key: str, metrics: Any = (), params: Any = ()) -> None:
        self.sizes.append(len(metrics) + len(params))
        self.logged += [*metrics, *params]

    def log_text(self, key: str, text: str, name: str) -> None:
        if self.broken:
            raise OSError("the disk is full")

    def set_terminated(self, key: str, status: str = "FINISHED") -> None:
        self.ended = status


@pytest.mark.parametrize(
    ("project", "variable", "made"),
    [("mine", "ours", "mine"), ("", "ours", "ours"), ("", "", "evalkit"), ("old", "", "")],
)
def test_mlflows_experiment(project: str, variable: str, made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the option's, else that of MLflow's own variable; one that is there is not made again."""
    client = Client()
    monkeypatch.setattr(mlflow, "package", lambda name: SimpleNamespace(MlflowClient=lambda: client))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", variable)
    assert not list(mlflow.export([], None, project))
    assert client.made == made


def many(count: int) -> Tracked:
    return Tracked(
        name="n",
        metrics={f"t/p/pass@{i}": float(i) for i in range(count)},
        params={"seed": 0} | {f"p{i}": "x" * 7000 for i in range(150)},
        tags={},
        rows=[],
        files={"a": "b"},
        began=1.5,
    )


def test_mlflows_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request has at most 1,000 metrics or 100 parameters, and a broken run is marked as failed."""
    entities = SimpleNamespace(Metric=lambda *given: given, Param=lambda *given: given)
    monkeypatch.setattr(mlflow, "package", lambda name: entities)
    client = Client()
    assert mlflow._log(client, "1", many(2500)) == "r1"
    assert (client.sizes, client.ended) == ([1000, 1000, 500, 100, 51], "FINISHED")
    assert client.logged[7] == ("t/p/pass_7", 7.0, 1500, 0)
    assert len(client.logged[-1][1]) == 6000
    broken = Client(broken=True)
    with pytest.raises(OSError, match="the disk is full"):
        mlflow._log(broken, "1", many(1))
    assert broken.ended == "FAILED"


@pytest.mark.slow
def test_wandb_offline_is_a_folder(run: Path, tmp_path: Path) -> None:
    said = exported(tmp_path, run, "--format", "wandb", "--project", "mine", WANDB_MODE="offline")
    assert (said.code, said.out) == (0, ""), said.err
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    found = list(records(file))
    (began,) = [one.run for one in found if one.WhichOneof("record_type") == "run"]
    assert (began.project, began.display_name) == ("mine", "fake/mixed on sums")
    config = {one.key: json.loads(one.value_json) for one in began.config.update}
    assert (config["model"], config["sums/once/accuracy/n"]) == ("fake/mixed", 18)
    history = [
        item for one in found if one.WhichOneof("record_type") == "history" for item in one.history.item
    ]
    logged = {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in history}
    assert {name: value for name, value in logged.items() if name in METRICS} == METRICS
    (artifact,) = [
        one.request.log_artifact.artifact if one.WhichOneof("record_type") == "request" else one.artifact
        for one in found
        if one.WhichOneof("record_type") == "artifact" and one.artifact.type == "evaluation"
    ]
    assert {one.path for one in artifact.manifest.contents} == FILES
    (table,) = tmp_path.glob("wandb/offline-run-*/files/media/table/*.json")
    assert json.loads(table.read_text("utf-8"))["data"][0][:4] == ["sums", "once", "fake/mixed", "accuracy"]
    told = file.read_bytes().decode("latin-1").replace(str(tmp_path), "")
    assert not [word for word in SECRETS if word in told]


@pytest.mark.slow
def test_wandb_without_a_key_is_one_line(run: Path, tmp_path: Path) -> None:
    said = exported(tmp_path, run, "--format", "wandb")
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[-1].startswith("evalkit: W&B did not take the run: No API key configured")
    assert said.err.endswith(": wandb login signs in, and WANDB_MODE=offline needs no server\n")


class Trackio:
    """A stand-in for trackio 0.43 with the parts that are used, whose arguments are the real ones."""

    def __init__(self) -> None:
        self.runs: list[Any] = []
        self.ended = 0

    def init(
        self,
        project: str,
        name: str | None = None,
        config: dict[str, Any] | None = None,
        embed: bool = True,
        auto_log_gpu: bool | None = None,
        auto_log_cpu: bool | None = None,
    ) -> Any:
        assert not any(key.startswith("_") for key in config or {}), "reserved"
        print("* Trackio project initialized")
        run = SimpleNamespace(project=project, name="calm-sun-0", config=config, logs=[], files={})
        run.log = run.logs.append
        run.log_artifact = lambda one: run.files.update(one.files)
        self.runs.append(run)
        return run

    def finish(self) -> None:
        self.ended += 1

    class Table:
        def __init__(self, columns: Any = None, data: Any = None) -> None:
            self.data = data

    class Artifact:
        def __init__(self, name: str, type: str) -> None:  # noqa: A002 — trackio's name
            assert all(c.isalnum() or c in "._-" for c in name)
            self.files: dict[str, str] = {}

        def add_file(self, local_path: str, name: str | None = None) -> None:
            self.files[name or local_path] = Path(local_path).read_text("utf-8")


@pytest.mark.slow
def test_trackio_has_a_run_for_each_run_file(
    run: Path,
    cli: Cli,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trackio = Trackio()
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    monkeypatch.setenv("TRACKIO_PROJECT", "ours")
    said = cli("export", run, run, "--format", "trackio")
    assert (said.code, said.out) == (0, "")
    assert said.err.count("Trackio, project ours: run calm-sun-0") == trackio.ended == len(trackio.runs) == 2
    first = trackio.runs[0]
    (logged,) = first.logs
    assert {name: value for name, value in logged.items() if name != "table"} == METRICS
    assert logged["table"].data[0]["value"] == METRICS["sums/once/accuracy"]
    assert {*first.files} == FILES
    assert not leaks(first.files)


@pytest.mark.parametrize("name", ["mlflow", "wandb", "trackio"])
def test_a_missing_package_is_named(
    name: str,
    run: Path,
    cli: Cli,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    said = cli("export", run, "--format", name)
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"evalkit: --format {name} needs the package '{name}': pip install 'evalkit[{name}]'\n"
    )
