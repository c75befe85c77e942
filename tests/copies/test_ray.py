"""Copies as actors of a Ray cluster, which runs on this machine with two CPUs."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.processes.ray_cluster import connect
from tests.copies.test_life import uses
from tests.copies.test_life import written as batched
from tests.copies.test_processes import costs_no_sample, written_model
from tests.made import sums
from tests.shardable import documents

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster that this process has started."""
    ray: Any = importlib.import_module("ray")

    before = signal.getsignal(signal.SIGTERM)
    found = ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=80 << 20,
    )  # fmt: skip
    yield str(found.address_info["address"])
    ray.shutdown()
    signal.signal(signal.SIGTERM, before)


def test_a_killed_actor_and_one_that_hangs_cost_no_sample(tmp_path: Path, cluster: str) -> None:
    model = written_model(tmp_path)
    costs_no_sample(tmp_path, model, f"ray/{model}?replicas=2", ("kill", "hang"))


def test_actors_beyond_the_cluster_keep_nobody_waiting(tmp_path: Path, cluster: str) -> None:
    """Three actors on two CPUs: the third one waits for a node."""
    task, model = sums(tmp_path, 30), f"{batched(tmp_path)}:model"
    evalkit.run(model, task, output=tmp_path / "plain.db")
    evalkit.run(f"ray/{model}?replicas=3", task, output=tmp_path / "ray.db")
    assert documents(tmp_path / "ray.db") == documents(tmp_path / "plain.db")
    counted = uses(tmp_path / "ray.db")
    assert sum(requests for requests, _ in counted.values()) == 30
    assert 0 in {requests for requests, _ in counted.values()}


def test_what_cannot_be_opened_or_reached(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for spec, words in {
        "ray/fake/golt?replicas=2": "unknown fake model 'golt': did you mean gold",
        "ray/python:/nowhere/x.py:f": "no model file",
    }.items():
        with pytest.raises(UsageError, match=words):
            open_model(spec)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    for address, words in {
        "127.0.0.1:9": "the Ray cluster 127.0.0.1:9 cannot be reached: ConnectionRefusedError",
        "nowhere": "'nowhere' is no address of a Ray cluster: write HOST:PORT, auto or local",
    }.items():
        with pytest.raises(UsageError, match=re.escape(words)):
            open_model("ray/fake/gold", ray_address=address)
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(UsageError, match=re.escape(words)):
            connect()


def test_the_job_of_the_documentation(tmp_path: Path, cluster: str) -> None:
    """A run as a process of its own on the cluster. Its first actor is killed, and nothing of Ray is printed.

    `ray job submit` is stood for by a program that runs the command as a job: with RAY_ADDRESS.
    """
    page = (Path(__file__).parent.parent.parent / "docs/machines.md").read_text("utf-8")
    (script,) = re.findall(r"^```bash file=submit-ray.sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    written_model(tmp_path)
    (tmp_path / "kill").touch()
    (tmp_path / "model.py").write_text(
        (tmp_path / "model.py").read_text("utf-8").replace('"13 +" in prompt[-1].content', "True"), "utf-8"
    )
    (programs := tmp_path / "bin").mkdir()
    for name, lines in {
        "ray": f'while [ "$1" != -- ]; do shift; done; shift; RAY_ADDRESS={cluster} exec "$@"',
        "evalkit": f'exec {sys.executable} -m evalkit "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{lines}\n", "utf-8")
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert not (tmp_path / "kill").exists()
    assert "raylet" not in done.stdout + done.stderr
    assert re.search(r"^copy \d failed, and the others take its requests: .*ended", done.stderr, re.MULTILINE)
    evalkit.run(
        "python:model.py:model".replace("model.py", str(tmp_path / "model.py")),
        "gsm8k:8-shot-cot",
        data="builtin",
        output=tmp_path / "plain.db",
    )
    assert (
        json.loads(documents(tmp_path / "job.db")[0])["cells"][0]["value"]
        == (json.loads(documents(tmp_path / "plain.db")[0])["cells"][0]["value"])
    )
