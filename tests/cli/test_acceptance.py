"""The main job, through real processes: a run over HTTP that is killed, resumed and compared."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.made import sums
from tests.openai_server import OpenAIServer, arithmetic
from tests.processes import asked, finish, start, stored, wait_for_draws

SAMPLES = 400


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["once", "maj"])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, protocol: str) -> None:
    count = SAMPLES if protocol == "once" else SAMPLES // 5
    task = f"{sums(tmp_path, count)}:sums:{protocol}"
    with OpenAIServer(arithmetic, latency=0.02) as server:
        command = (
            "run",
            "-m",
            "openai/mock",
            "--base-url",
            server.url,
            "-t",
            task,
            "--concurrency",
            "8",
            "--json",
        )
        whole, _ = finish(start(*command, "-o", tmp_path / "whole.db"))
        assert json.loads(whole)["cells"][0]["value"] == 100.0
        assert len(server.requests) == SAMPLES

        server.requests.clear()
        killed = start(*command, "-o", tmp_path / "r.db")
        wait_for_draws(tmp_path / "r.db", 100)
        killed.kill()
        killed.communicate()
        with closing(sqlite3.connect(tmp_path / "r.db")) as db:
            stored = db.execute("SELECT count(*) FROM draw").fetchone()[0]
        assert 100 <= stored < SAMPLES
        resumed, err = finish(start(*command, "-o", tmp_path / "r.db"))
        assert "done before" in err
        assert json.loads(resumed) == json.loads(whole)
        # Only what was in flight when it was killed, and so never stored, was asked again.
        times = asked(server)
        assert len(times) == SAMPLES
        assert max(times.values()) <= 2
        assert sum(times.values()) - SAMPLES <= 8
        assert sum(times.values()) - SAMPLES == len(server.requests) - SAMPLES


@pytest.mark.slow
def test_a_vote_of_32_killed_asks_no_draw_twice(tmp_path: Path) -> None:
    """The report's own protocol: GSM8K by the majority of 32 draws, killed twice."""
    draws = 16 * 32
    with OpenAIServer(arithmetic, latency=0.02) as server:
        address = ("-m", "openai/mock", "--base-url", server.url, "--concurrency", "8")
        command = ("run", *address, "-t", "gsm8k:maj1@32", "--data", "builtin", "--json")
        whole, _ = finish(start(*command, "-o", tmp_path / "whole.db"))
        assert stored(tmp_path / "whole.db") == set(asked(server))
        times: Counter[str] = Counter()
        before: set[str] = set()
        for least in (100, 300, draws):
            server.requests.clear()
            running = start(*command, "-o", tmp_path / "r.db")
            if least < draws:
                wait_for_draws(tmp_path / "r.db", least)
                running.kill()
                running.communicate()
            else:
                resumed, _ = finish(running)
            assert before.isdisjoint(asked(server))  # what was stored is not asked again
            before = stored(tmp_path / "r.db")
            assert len(before) >= least
            times += asked(server)
        assert json.loads(resumed) == json.loads(whole)
        assert len(times) == draws
        # Only what was in flight at a kill was asked again.
        assert sum(times.values()) - draws <= 2 * 8


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_says_how_to_resume(tmp_path: Path) -> None:
    task = sums(tmp_path, SAMPLES)
    with OpenAIServer(arithmetic, latency=0.02) as server:
        command = ("run", "-m", "openai/mock", "--base-url", server.url, "-t", task, "--concurrency", "4")
        process = start(*command, "-o", tmp_path / "r.db")
        wait_for_draws(tmp_path / "r.db", 20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (130, "")
        assert "Traceback" not in err
        assert f"To resume: evalkit run -m openai/mock --base-url {server.url}" in err
        assert not list(tmp_path.glob("*.db-wal"))  # closed, not abandoned
        out, _ = finish(start(*command, "-o", tmp_path / "r.db"))
        assert "100.00 %  99.05–100.00" in out
        assert max(asked(server).values()) <= 2


def test_a_server_that_goes_away_ends_the_run_with_3_and_it_can_be_resumed(tmp_path: Path) -> None:
    task = sums(tmp_path, SAMPLES)
    with OpenAIServer(arithmetic, latency=0.01) as server:
        command = (
            "run",
            "-m",
            "openai/mock",
            "--base-url",
            server.url,
            "-t",
            task,
            "--concurrency",
            "2",
            "--retries",
            "0",
        )
        process = start(*command, "-o", tmp_path / "r.db")
        wait_for_draws(tmp_path / "r.db", 20)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "requests in a row failed" in err
    assert "to resume: evalkit run" in err


@pytest.mark.slow
def test_a_wrong_key_is_bad_input(tmp_path: Path) -> None:
    with OpenAIServer(arithmetic, api_key="the-one-key") as server:
        command = (
            "run",
            "-m",
            "openai/mock",
            "--base-url",
            server.url,
            "-t",
            sums(tmp_path),
            "-o",
            tmp_path / "r.db",
        )
        process = start(*command, OPENAI_API_KEY="not-the-key")
        _, err = process.communicate(timeout=120)
        assert process.returncode == 2
        assert "is OPENAI_API_KEY right?" in err
        assert "not-the-key" not in err
        finish(start(*command, OPENAI_API_KEY="the-one-key"))
    assert b"the-one-key" not in (tmp_path / "r.db").read_bytes()
