"""`evalkit run --batch` in a process of its own, which is killed and interrupted."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.batch_server import AnthropicBatchServer, Batches, OpenAIBatchServer
from tests.cli.conftest import Cli
from tests.made import sums, two_turns
from tests.processes import finish, start, wait_for_draws

pytestmark = pytest.mark.slow


def command(server: Batches, task: str, path: Path) -> list[object]:
    backend = "anthropic" if isinstance(server, AnthropicBatchServer) else "openai"
    return ["run", "-m", f"{backend}/mock", "--base-url", server.url, "-t", task, "-o", path, "--json"]


def wait_until(true: Callable[[], object], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert process.poll() is None or true(), process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def cells(out: str) -> list[dict[str, Any]]:
    """The table's cells, without what says how the run was sent."""
    found: list[dict[str, Any]] = json.loads(out)["cells"]
    return [
        {key: cell[key] for key in ("value", "low", "high", "n", "outcomes", "signature")} for cell in found
    ]


@pytest.mark.parametrize(
    ("kind", "moment"),
    [(AnthropicBatchServer, "made"), (OpenAIBatchServer, "held"), (OpenAIBatchServer, "joined")],
)
def test_a_run_that_is_killed_joins_what_the_provider_finished_meanwhile(
    tmp_path: Path, kind: Callable[[], Batches], moment: str
) -> None:
    """It is killed when the batch is made, before it learns the id; while it waits; or while results arrive.

    There are five draws for each sample, or two turns, of which the second makes another batch.
    """
    task = two_turns(tmp_path, 6) if moment == "held" else f"{sums(tmp_path, 4)}:sums:maj"
    path = tmp_path / "batched.db"
    with kind() as server:
        asked = command(server, task, path)
        server.held, server.stalls = moment != "joined", moment == "joined"
        process = start(*asked, "--batch")
        if moment == "made":
            server.on_submission = process.kill
        elif moment == "held":
            wait_until(lambda: server.batches and server.batches[0].looks, process)
        else:
            wait_for_draws(path, 5)
        if moment != "made":
            process.kill()
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
        server.held, server.stalls, server.on_submission = False, False, lambda: None
        out, _ = finish(start(*asked, "--batch"))
        assert [len(batch.requests) for batch in server.batches] == ([6, 6] if moment == "held" else [20])
        assert len({*server.submitted}) == len(server.submitted)
        plain, _ = finish(start(*command(server, task, tmp_path / "plain.db")))
        assert cells(out) == cells(plain)


def test_ctrl_c_leaves_the_batch_and_says_how_to_go_on(cli: Cli, tmp_path: Path) -> None:
    with OpenAIBatchServer() as server:
        server.held = True
        asked = command(server, sums(tmp_path, 4), tmp_path / "r.db")
        process = start(*asked, "--batch")
        wait_until(lambda: server.batches and server.batches[0].looks, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert f"batch_0 goes on at {server.url}, and the resumed run joins it" in err
        assert "To resume: evalkit run" in err
        assert err.rstrip().endswith("--batch")
        code, _, err = cli(*asked)
        assert code == 2
        assert "has 4 requests in batches at the provider: add --batch to join their responses" in err
        assert cli(*asked, "--no-batch").code == 0
        assert len(server.batches) == 1
