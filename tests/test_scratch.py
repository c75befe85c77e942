"""Temporary folders of processes that were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from evalkit import scratch
from evalkit.scratch import Scratch, part_of

HELD = """
import sys
from pathlib import Path
from evalkit.scratch import Scratch
held = Scratch(Path(sys.argv[1]))
(held.path / "frames").mkdir()
(held.path / "frames" / "1.png").write_bytes(bytes(1000))
print(held.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def unswept(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just started."""
    monkeypatch.setattr(scratch, "_swept", set())


def test_the_folder_of_a_killed_process_is_removed_by_the_next_and_that_of_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    start = [sys.executable, "-c", HELD, str(tmp_path)]
    with (
        subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed,
        subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living,
    ):
        assert killed.stdout is not None
        assert living.stdout is not None
        left, held = (Path(one.stdout.readline().strip()) for one in (killed, living) if one.stdout)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "frames" / "1.png").exists()
        with Scratch(tmp_path) as mine:
            assert {*tmp_path.iterdir()} == {held, mine}
            assert (held / "frames" / "1.png").exists()
        living.communicate()
    assert not [*tmp_path.iterdir()], "the one that ended has removed its own"


def test_nothing_else_is_removed(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("evalkit-scratch-notes", "evalkit-scratch-abcdefg1", "other")]
    for folder in others:
        folder.mkdir(mode=0o755)
    (link := tmp_path / "evalkit-scratch-abcdefg2").symlink_to(others[2])
    (file := tmp_path / "evalkit-scratch-abcdefg3").touch()
    Scratch(tmp_path).close()
    assert {*tmp_path.iterdir()} == {*others, link, file}


def test_a_folder_ends_with_its_last_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held = Scratch()
    assert held.path.parent == tmp_path
    assert held.path.stat().st_mode & 0o077 == 0
    pid = os.fork()
    if not pid:
        held.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert held.path.exists(), "a forked child leaves it alone"
    held.close()
    held.close()
    assert not held.path.exists()


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_what_the_next_one_removes(tmp_path: Path) -> None:
    """Pictures wait in a temporary folder until they are sent, and programs run in a sandbox."""
    temporary, run = tmp_path / "tmp", tmp_path / "r.db"
    temporary.mkdir()
    command = [sys.executable, "-c", "from evalkit.cli.main import main; main()", "run", "-m"]
    tasks = ["-t", "docvqa,humaneval", "--data", "builtin", "--concurrency", "2", "-o", str(run)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    slow = [*command, "fake/gold?delay=0.5", *tasks]
    with subprocess.Popen(slow, env=environment, stderr=subprocess.PIPE) as killed:
        while not [*temporary.glob("evalkit-scratch-*/image-*")]:
            assert killed.poll() is None, killed.communicate()
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
    assert len([*temporary.iterdir()]) == 1
    run.unlink()
    done = subprocess.run([*command, "fake/gold", *tasks], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert not [*temporary.iterdir()]


def test_the_part_of_a_file_that_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f".a[1].html.{ended.pid}.part"
    log = tmp_path / f".a[1].html.{ended.pid}.part-wal"
    living, other = tmp_path / f".a[1].html.{os.getppid()}.part", tmp_path / f".b.html.{ended.pid}.part"
    for file in (left, log, living, other):
        file.touch()
    assert part_of(tmp_path / "a[1].html") == tmp_path / f".a[1].html.{os.getpid()}.part"
    assert {*tmp_path.iterdir()} == {living, other}
