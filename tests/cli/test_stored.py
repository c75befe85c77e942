"""What a run printed is in its file, or the run says that it is not: real processes, servers and disks."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import Cli
from tests.made import sums
from tests.openai_server import OpenAIServer, Payload, arithmetic
from tests.processes import asked, finish, start, stored, wait_for_draws

SAMPLES = 400


def command(server: OpenAIServer, folder: Path, run: Path, *more: str) -> tuple[object, ...]:
    """Of a run over `SAMPLES` sums, one request a sample."""
    address = ("-m", "openai/mock", "--base-url", server.url, "--concurrency", "8")
    return ("run", *address, "-t", sums(folder, SAMPLES), "-o", run, *more)


def counts(path: Path) -> tuple[int, int]:
    """(answers, samples) in a run file, as another process finds them."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        (draws, samples) = (
            int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in ("draw", "sample")
        )
    return draws, samples


# -- two processes, one file ---------------------------------------------------------------------------


@pytest.mark.slow
def test_of_two_started_at_once_one_asks_and_the_other_says_who_does(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "r.db"
    with OpenAIServer(arithmetic, latency=3.0) as server:
        both = [start(*command(server, tmp_path, run, "--json")) for _ in range(2)]
        while all(process.poll() is None for process in both):
            time.sleep(0.01)
        second, first = sorted(both, key=lambda process: process.poll() is None)
        out, err = second.communicate()
        assert (second.returncode, out) == (2, "")
        assert f"evalkit: {run} is being written by process {first.pid} on " in err
        assert "since 20" in err
        assert len(err.splitlines()) == 1
        server.latency = 0.0
        table, _ = finish(first)
        assert json.loads(table)["cells"][0]["n"] == SAMPLES
        assert len(server.requests) == len(asked(server)) == SAMPLES
    assert counts(run) == (SAMPLES, SAMPLES)
    assert not run.with_name("r.db.lock").exists()
    finish(start("report", run))


@pytest.mark.slow
def test_a_report_does_not_wait_and_a_killed_run_is_in_nobodys_way(tmp_path: Path) -> None:
    run = tmp_path / "r.db"
    with OpenAIServer(arithmetic, latency=0.1) as server:
        first = start(*command(server, tmp_path, run))
        wait_for_draws(run, 20)
        server.latency = 600.0  # it does not end before it is killed
        report, _ = finish(start("report", run, "--json"))
        assert 0 < json.loads(report)["cells"][0]["n"] < SAMPLES
        second = start(*command(server, tmp_path, run))
        assert f"is being written by process {first.pid} on " in second.communicate()[1]
        assert second.returncode == 2
        assert first.poll() is None
        first.send_signal(signal.SIGKILL)
        first.communicate()
        assert (tmp_path / "r.db.lock").exists()
        server.latency = 0.0
        finish(start(*command(server, tmp_path, run)))
        # Asked twice was only what was in flight at the kill.
        assert len(asked(server)) == SAMPLES
        assert len(server.requests) - SAMPLES <= 8
    assert counts(run) == (SAMPLES, SAMPLES)
    assert not (tmp_path / "r.db.lock").exists()


# -- a disk that fills up ------------------------------------------------------------------------------


class Disk(NamedTuple):
    """A folder where a run file soon has no more room, until `enlarge` is called."""

    folder: Path
    start: Callable[..., subprocess.Popen[str]]
    enlarge: Callable[[], object]


MEGABYTE = 1 << 20
LIMITED = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({MEGABYTE}, {MEGABYTE}))
from evalkit.cli.main import main
main()
"""


@pytest.fixture(params=["a limit on the size of files", "a file system of one megabyte"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param.startswith("a limit"):

        def limited(*arguments: object) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-c", LIMITED, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

        yield Disk(tmp_path, limited, lambda: None)
        return
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mounted("-t", "tmpfs", "-o", "size=1m", "none", folder):
        pytest.skip("mounting a file system takes root: run it as root")
    try:
        yield Disk(folder, start, lambda: mounted("-o", "remount,size=64m", folder))
    finally:
        subprocess.run(["umount", folder], check=True)


def mounted(*arguments: object) -> bool:
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_nothing_stored_is_asked_again(disk: Disk, tmp_path: Path) -> None:
    run = disk.folder / "r.db"
    with OpenAIServer(arithmetic, latency=0.01) as server:
        out, err = (stopped := disk.start(*command(server, tmp_path, run))).communicate(timeout=120)
        assert (stopped.returncode, out) == (3, "")
        assert f"evalkit: the run stopped: {run} cannot be written (" in err
        assert "); everything stored before is kept. When this is fixed, to resume: evalkit run" in err
        assert "Traceback" not in err
        (line,) = (line for line in err.splitlines() if not line.startswith("sums"))  # but the progress
        assert line.startswith("evalkit: ")
        before, (answers, samples) = stored(run), counts(run)
        assert 0 < samples <= answers == len(before) < len(server.requests) < SAMPLES

        disk.enlarge()
        server.requests.clear()
        table, _ = finish(start(*command(server, tmp_path, run, "--json")))
        assert json.loads(table)["cells"][0]["n"] == SAMPLES
        assert before.isdisjoint(asked(server))
        assert len(server.requests) == SAMPLES - len(before)
        assert counts(run) == (SAMPLES, SAMPLES)


# -- a file that goes away -----------------------------------------------------------------------------


def remove(run: Path) -> None:
    run.unlink()


def replace(run: Path) -> None:
    copy = run.with_name("copy.db")
    with closing(sqlite3.connect(run)) as db, closing(sqlite3.connect(copy)) as other:
        db.backup(other)
    copy.rename(run)


def remove_the_log(run: Path) -> None:
    run.with_name("r.db-wal").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("harm", [remove, replace, remove_the_log])
def test_a_run_file_that_goes_away_stops_the_run(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    run = tmp_path / "r.db"
    with OpenAIServer(arithmetic, latency=0.5) as server:
        process = start(*command(server, tmp_path, run, "--json"))
        wait_for_draws(run, 20)
        harm(run)
        out, err = process.communicate(timeout=120)
    gone = "r.db-wal" if harm is remove_the_log else "r.db"
    assert (process.returncode, out) == (3, "")
    assert f"evalkit: the run stopped: {tmp_path / gone} was deleted or replaced while" in err
    assert "Traceback" not in err
    assert len(server.requests) < SAMPLES  # at once, not at its end


@pytest.mark.slow
def test_a_file_that_goes_away_at_the_last_moment_is_noticed_too(tmp_path: Path, cli: Cli) -> None:
    run = tmp_path / "r.db"

    def last(payload: Payload, route: str) -> str:
        if len(server.requests) == SAMPLES:
            run.unlink()
        return arithmetic(payload, route)

    with OpenAIServer(last) as server:
        said = cli(*command(server, tmp_path, run))
    assert (said.code, said.out) == (3, "")
    assert "was deleted or replaced" in said.err


@pytest.mark.parametrize(
    "name", [":memory:", "file:r.db", "file:r.db?mode=memory", "", ".", "pipe", "/dev/null"]
)
def test_a_place_that_keeps_nothing_is_refused(
    tmp_path: Path, cli: Cli, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with OpenAIServer(arithmetic) as server:
        said = cli(*command(server, tmp_path, run=Path(name)))
        assert not server.requests
    assert (said.code, said.out) == (2, "")
    assert "with -o" in said.err
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"pipe", "sums.py"}
