"""Copies as actors of a Ray cluster, which runs on this machine with two CPUs."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import evalkit
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.processes.ray_cluster import connect
from tests.cli.conftest import Cli
from tests.copies.test_life import uses
from tests.copies.test_processes import pids, written_model
from tests.made import sums
from tests.processes import finish, gone, start
from tests.shardable import documents
from tests.tiny_llama import written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster that this process has started."""
    import ray

    before = signal.getsignal(signal.SIGTERM)
    found = ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=80 << 20,
    )  # fmt: skip
    yield str(found.address_info["address"])
    ray.shutdown()
    signal.signal(signal.SIGTERM, before)


def test_a_killed_actor_and_one_that_hangs_cost_no_sample(tmp_path: Path, cluster: str) -> None:
    model, task = written_model(tmp_path), sums(tmp_path, 120)
    plain = evalkit.run(model, task, output=tmp_path / "plain.db")
    for name in ("kill", "hang"):
        (tmp_path / name).touch()
        path = tmp_path / f"{name}.db"
        found = evalkit.run(f"ray/{model}?replicas=2", task, output=path, timeout=1)
        assert not (tmp_path / name).exists()
        assert documents(path) == documents(tmp_path / "plain.db")
        assert found.as_json() == plain.as_json()
        counted = uses(path)
        assert sum(requests for requests, _ in counted.values()) == 120
        assert sum(failures for _, failures in counted.values()) >= 1
    assert all(gone(pid) for pid in pids(tmp_path) if pid != os.getpid())
