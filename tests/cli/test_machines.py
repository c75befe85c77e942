"""Several machines on the command line: shards as Slurm starts them, replicas, and run files on a network."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

import evalkit
from evalkit.engine.merge import merge
from evalkit.engine.plan import make_plan
from evalkit.errors import UsageError
from evalkit.models import open_model
from evalkit.report.html.about import command
from evalkit.runfile.network import network_file_system
from evalkit.runfile.replica_use import replica_uses
from evalkit.runfile.seals import seal_writes
from evalkit.runfile.store import Store
from evalkit.runfile.writer import Writer
from evalkit.session import default_output
from tests.cli.conftest import Cli
from tests.made import sums
from tests.openai_server import OpenAIServer, arithmetic
from tests.processes import finish, start, wait_for_draws
from tests.shardable import documents, ids, sharded

ROOT = Path(__file__).parent.parent.parent

GOLD = "fake/gold?wrong=0.3"


def test_a_shard_says_that_it_is_a_part(tmp_path: Path, cli: Cli) -> None:
    task = sums(tmp_path, 20)
    paths = sharded(tmp_path, 2, GOLD, task)
    evalkit.run(GOLD, task, output=tmp_path / "single.db")
    asked = len(ids(paths[1]))
    said = cli("report", paths[1])
    assert said.code == 0
    assert f"shard 2/2: {asked} of 20 samples" in " ".join(said.out.split())
    assert cli("report", paths[1], "--strict").code == 2
    gate = cli("compare", tmp_path / "single.db", paths[1])
    assert gate.code == 3
    assert "evalkit merge" in " ".join(gate.out.split())
    (cell,) = evalkit.load(paths[1]).table.cells
    assert not cell.completeness.finished
    with Store.open(paths[1]) as store:
        assert "--shard 2/2" in command(store)


def test_missing_shards_are_named(tmp_path: Path, cli: Cli) -> None:
    task = sums(tmp_path, 20)
    paths = sharded(tmp_path, 5, GOLD, task)
    output = tmp_path / "merged.db"
    said = cli("merge", *paths[:2], *paths[3:], "-o", output)
    assert (said.code, output.exists()) == (2, False)
    assert "shard 3/5 is missing" in said.err
    assert "--partial" in said.err
    assert "shards 2/5, 3/5, 4/5, 5/5 are missing" in cli("merge", paths[0], "-o", output).err
    said = cli("merge", *paths[:2], *paths[3:], "-o", output, "--partial")
    assert said.code == 0
    assert "warning: shard 3/5 is missing" in said.err
    (cell,) = evalkit.load(output).table.cells
    left = 20 - len(ids(paths[2]))
    assert cell.completeness.unfinished == f"unfinished, {left} of 20 samples"
    evalkit.run(GOLD, task, output=output)
    evalkit.run(GOLD, task, output=tmp_path / "single.db")
    assert documents(output) == documents(tmp_path / "single.db")


def test_a_slim_run_file_is_refused(tmp_path: Path, cli: Cli) -> None:
    paths = sharded(tmp_path, 2, GOLD, sums(tmp_path, 6))
    slim = tmp_path / "slim.db"
    assert cli("export", paths[0], "--slim", "-o", slim).code == 0
    with pytest.raises(UsageError, match="slim run file"):
        merge([slim, paths[1]], tmp_path / "merged.db")


# Processes


def serve(stack: ExitStack, *arguments: object) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own, and its URL."""
    command = [sys.executable, "-m", "tests.openai_server", *map(str, arguments)]
    process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
    stack.callback(process.kill)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


@pytest.mark.slow
def test_a_replica_is_killed_another_hangs_and_one_is_slow(tmp_path: Path) -> None:
    """Every answer is there once, and the table is that of a run at one endpoint."""
    task, path, log = sums(tmp_path, 240), tmp_path / "r.db", tmp_path / "log.jsonl"
    with ExitStack() as stack:
        doomed, first = serve(stack, "--latency", 0.02)
        _, slow = serve(stack, "--latency", 0.3, "--log", log)
        _, hangs = serve(stack, "--fail", "hang", "--times", 2)
        urls = tmp_path / "servers.txt"
        urls.write_text(f"{first}\n{slow}\n{hangs}\n", "utf-8")
        given = ("-m", "openai/m", "-t", task, "--base-url", urls, "--timeout", 4, "--concurrency", 8)
        running = start("run", *given, "-o", path)
        wait_for_draws(path, 50)
        doomed.send_signal(signal.SIGKILL)
        _, err = finish(running)
        with OpenAIServer() as server:
            evalkit.run("openai/m", task, output=tmp_path / "plain.db", base_url=server.url)
    assert documents(path) == documents(tmp_path / "plain.db")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM draw").fetchone() == (240,)
    with Store.open(path) as store:
        counted = {use.address: use for use in replica_uses(store)}
    assert sum(use.requests for use in counted.values()) == 240
    assert all(use.requests for use in counted.values()), "the one that hung came back"
    assert counted[hangs].failures >= 2
    asked = len(log.read_text().splitlines())  # on a busy machine some answers are later than the timeout
    assert counted[slow].requests + counted[slow].failures == asked
    assert f"replica {first} failed, and the others take its requests" in err
    assert re.search(rf"replica {hangs}: \d+ requests, median [\d.]+ s; \d+ failures", err)


@pytest.mark.slow
def test_a_killed_shard_is_resumed_and_merged(tmp_path: Path) -> None:
    task = sums(tmp_path, 200)
    with OpenAIServer(arithmetic, latency=0.02) as server:
        given = ("run", "-m", "openai/m", "-t", task, "--base-url", server.url, "--concurrency", 4)
        finish(start(*given, "--shard", "1/2", "-o", tmp_path / "1.db"))
        killed = start(*given, "--shard", "2/2", "-o", tmp_path / "2.db")
        wait_for_draws(tmp_path / "2.db", 20)
        killed.kill()
        killed.communicate()
        with pytest.raises(UsageError, match=r"shard 2/2 .* is not finished"):
            merge([tmp_path / "1.db", tmp_path / "2.db"], tmp_path / "merged.db")
        asked = len(server.requests)
        finish(start(*given, "--shard", "2/2", "-o", tmp_path / "2.db"))
        merge([tmp_path / "1.db", tmp_path / "2.db"], tmp_path / "merged.db")
        assert asked < 200 <= len(server.requests) <= 204, "only what was in flight is asked again"
        evalkit.run("openai/m", task, output=tmp_path / "single.db", base_url=server.url)
    assert documents(tmp_path / "merged.db") == documents(tmp_path / "single.db")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.slow
def test_the_slurm_script_of_the_documentation_does_what_it_says(tmp_path: Path) -> None:
    """Slurm's array is stood for by its environment variables, and vLLM by a server of the same command."""
    files = dict(
        re.findall(
            r"^```bash file=(\S+)\n(.*?)^```$", (ROOT / "docs/machines.md").read_text("utf-8"), re.M | re.S
        )
    )
    (tmp_path / "evaluate.sbatch").write_text(files["evaluate.sbatch"], "utf-8")
    (programs := tmp_path / "bin").mkdir()
    for name, lines in {
        "vllm": f'cd {ROOT} && exec {sys.executable} -m tests.openai_server --port "$4"',
        "evalkit": f'exec {sys.executable} -m evalkit "$@"',
        # sbatch --parsable SCRIPT prints the job's id; sbatch --dependency=… --wrap COMMAND runs it
        "sbatch": 'if [ "$1" = --parsable ]; then echo 77; else sh -c "$3"; fi',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{lines}\n", "utf-8")
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    (count,) = re.findall(r"#SBATCH --array=0-(\d+)", files["evaluate.sbatch"])
    tasks = []
    for index in range(int(count) + 1):
        port = next(port for port in iter(_free_port, 0) if 10_000 <= port < 60_000)
        slurm = {"ARRAY_TASK_ID": index, "ARRAY_TASK_COUNT": int(count) + 1, "ARRAY_JOB_ID": 77}
        slurm["JOB_ID"] = 1_000_000 + (port - 10_000 - 1_000_000) % 50_000
        environment = {f"SLURM_{key}": str(value) for key, value in slurm.items()}
        command = ["bash", "evaluate.sbatch"]
        tasks.append(subprocess.Popen(command, cwd=tmp_path, env={**os.environ, **environment, "PATH": path}))
    assert [task.wait(240) for task in tasks] == [0] * len(tasks)
    subprocess.run(
        ["bash", "-c", files["submit.sh"]], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True
    )
    with OpenAIServer() as server:
        evalkit.run(
            "openai/my-model",
            "gsm8k:8-shot-cot",
            data="builtin",
            base_url=server.url,
            output=tmp_path / "one.db",
        )
    assert documents(tmp_path / "merged.db") == documents(tmp_path / "one.db")


# Network file systems

_MOUNTS = """\
25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
26 25 0:5 / /dev rw - devtmpfs udev rw
40 25 0:40 / /shared rw,relatime shared:20 - nfs4 server:/shared rw,vers=4.2
41 40 8:2 / /shared/ann/local\\040disk rw - xfs /dev/sdb1 rw
42 25 0:41 / /scratch rw - lustre 10.0.0.1@tcp:/scratch rw,flock
43 42 0:42 / /scratch rw - tmpfs tmpfs rw
44 25 0:43 / /far rw - fuse.sshfs ann@server: rw
45 25 0:44 / /here rw - fuse.mergerfs a:b rw
46 25 0:45 / /gpfs rw master:3 shared:4 - gpfs gpfs0 rw
a line of another kind
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    {
        "/": "",
        "/shared": "nfs4",
        "/shared/ann": "nfs4",
        "/shareds": "",
        "/shared/ann/local disk/runs": "",
        "/scratch/x": "",  # the later mount hides the earlier one
        "/far/x": "fuse.sshfs",
        "/here/x": "",
        "/gpfs/runs": "gpfs",
    }.items(),
)
def test_a_network_file_system_is_recognised(tmp_path: Path, folder: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(_MOUNTS, "utf-8")
    assert network_file_system(Path(folder), mounts) == kind
    assert network_file_system(Path(folder), tmp_path / "none") == ""


def test_a_run_file_on_a_network_has_no_wal(tmp_path: Path) -> None:
    """A file that was started on a local disk is changed when it is resumed, and back again."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 1 0:1 / {tmp_path} rw - nfs4 server:/runs rw\n", "utf-8")
    path = tmp_path / "r.db"
    evalkit.run(GOLD, sums(tmp_path, 5), output=path)
    before = documents(path)
    for known, mode in ((mounts, "truncate"), (tmp_path / "none", "wal"), (mounts, "truncate")):
        with closing(Writer(path)) as db:
            db.prepare(known)
            seal_writes(db)
            db.execute("INSERT OR REPLACE INTO run (key, value) VALUES ('note', '1')")
            beside = {file.name for file in tmp_path.iterdir()} & {"r.db-wal", "r.db-journal"}
            assert beside == {"r.db-wal" if mode == "wal" else "r.db-journal"}
            with closing(sqlite3.connect(path)) as reader:
                assert reader.execute("PRAGMA journal_mode").fetchone() in ((mode,), ("delete",))
                assert reader.execute("SELECT count(*) FROM sample").fetchone() == (5,)
            db.commit()
            db.read_back()
        assert documents(path) == before


def test_shards_that_start_together_write_different_files(tmp_path: Path) -> None:
    paths = {default_output(make_plan(open_model(GOLD), [sums(tmp_path)], shard=f"{i}/3")) for i in (1, 2, 3)}
    assert len(paths) == 3
    assert all("_shard-" in path.name for path in paths)


def test_replicas_and_shards_on_the_command_line(tmp_path: Path, cli: Cli) -> None:
    with OpenAIServer() as one, OpenAIServer() as other:
        given = ("run", "-m", "openai/m", "-t", sums(tmp_path, 20), "--base-url", one.url)
        said = cli(*given, "--base-url", other.url, "--shard", "2/2", "-o", tmp_path / "2.db", "--json")
        assert said.code == 0
        (cell,) = json.loads(said.out)["cells"]
        assert cell["unfinished"] == f"shard 2/2: {cell['n']} of 20 samples"
        for server in (one, other):
            assert f"replica {server.url}: {len(server.requests)} requests, median" in said.err
        said = cli(*given, "--shard", "3/2", "-o", tmp_path / "3.db")
        assert (said.code, "--shard must be I/N" in said.err) == (2, True)
