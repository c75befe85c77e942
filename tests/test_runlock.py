"""The lock of a run file: one holder at a time, of whatever process, and none that is dead."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.engine.plan import make_plan
from evalkit.engine.run import execute, open_run
from evalkit.errors import UsageError
from evalkit.models.fake import GOLD, FakeModel
from evalkit.runfile.runlock import RunLock, held
from tests.made import sums

HOLDER = """
import os, subprocess, sys, time
from pathlib import Path
from evalkit.runfile.runlock import RunLock

lock = RunLock.acquire(Path(sys.argv[1]))
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
if sys.argv[2] == "fork":
    child = os.fork()
    if not child:
        time.sleep(600)
else:
    child = subprocess.Popen(sleep, close_fds=False, stdout=subprocess.DEVNULL).pid
print(child, flush=True)
time.sleep(600)
"""
TAKER = """
import os, sys
from pathlib import Path
from evalkit.errors import UsageError
from evalkit.runfile.runlock import RunLock

path, alone, taken = Path(sys.argv[1]), Path(sys.argv[1] + ".alone"), 0
while taken < 100:
    try:
        lock = RunLock.acquire(path)
    except UsageError as error:
        assert "is being written by" in str(error), error
        continue
    os.close(os.open(alone, os.O_CREAT | os.O_EXCL))  # raises where another one holds the lock too
    alone.unlink()
    lock.release()
    taken += 1
"""


def being_written(path: Path, pid: int) -> str:
    return re.escape(f"{path} is being written by process {pid} on {socket.gethostname()} since 20")


def test_two_in_one_process_refuse_each_other(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "r.db"
    lock = RunLock.acquire(path)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(UsageError, match=being_written(name, os.getpid())):
            RunLock.acquire(name)
    other = RunLock.acquire(path.with_name("s.db"))
    lock.release()
    lock.release()
    again = RunLock.acquire(link)
    with pytest.raises(UsageError, match=being_written(path, os.getpid())):
        RunLock.acquire(path)
    again.release()
    other.release()
    assert not list(path.parent.iterdir())


def test_a_lock_that_is_forgotten_is_free(tmp_path: Path) -> None:
    RunLock.acquire(tmp_path / "r.db")
    RunLock.acquire(tmp_path / "r.db").release()


def test_two_runs_of_one_event_loop_refuse_each_other(tmp_path: Path) -> None:
    model = FakeModel(GOLD)
    plan = make_plan(model, [sums(tmp_path)])

    async def run() -> None:
        with open_run(tmp_path / "r.db", plan) as store:
            await execute(plan, store)

    async def both() -> tuple[BaseException | None, BaseException | None]:
        return await asyncio.gather(run(), run(), return_exceptions=True)

    first, second = asyncio.run(both())
    assert first is None
    assert isinstance(second, UsageError)
    assert model.asked == 20


@pytest.mark.parametrize("child", ["fork", "program"])
def test_a_killed_holder_is_no_obstacle_nor_are_its_children(tmp_path: Path, child: str) -> None:
    path = tmp_path / "r.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), child], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    orphan = int(holder.stdout.readline())
    try:
        with pytest.raises(UsageError, match=being_written(path, holder.pid)):
            RunLock.acquire(path)
        holder.kill()
        holder.wait()
        lock = RunLock.acquire(path)
        os.kill(orphan, 0)  # it lives
        with pytest.raises(UsageError, match=being_written(path, os.getpid())):
            RunLock.acquire(path)
        lock.release()
    finally:
        os.kill(orphan, signal.SIGKILL)
        holder.stdout.close()


def test_a_forked_child_leaves_the_lock_to_its_parent(tmp_path: Path) -> None:
    lock = RunLock.acquire(tmp_path / "r.db")
    child = os.fork()
    if not child:
        lock.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(UsageError, match=being_written(tmp_path / "r.db", os.getpid())):
        RunLock.acquire(tmp_path / "r.db")
    lock.release()


def test_many_processes_that_take_and_release_it_never_hold_it_together(tmp_path: Path) -> None:
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path / "r.db")], stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for taker in takers:
        _, err = taker.communicate(timeout=120)
        assert taker.returncode == 0, err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_said_to_have_none(
    tmp_path: Path, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one thing here that is not real: no file system at hand lacks locks, so flock is made to say so.
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(kind, os.strerror(kind))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(UsageError, match=f"has no file locks.*{os.strerror(kind)}.*another file system.*-o"):
        open_run(tmp_path / "r.db", make_plan(FakeModel(lambda request, draw: ""), [sums(tmp_path)]))
    assert not (tmp_path / "r.db").exists()


def test_another_runs_file_is_free_again_when_it_was_refused(tmp_path: Path) -> None:
    model = FakeModel(GOLD)
    plan = make_plan(model, [sums(tmp_path)])
    open_run(tmp_path / "r.db", plan).close()
    for _ in range(2):
        with pytest.raises(UsageError, match="holds another run"):
            open_run(tmp_path / "r.db", make_plan(model, [sums(tmp_path)], seed=1))
    open_run(tmp_path / "r.db", plan).close()
    assert not (tmp_path / "r.db.lock").exists()


def test_a_reader_can_tell_whether_a_run_holds_a_file(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    assert not held(path)
    lock = RunLock.acquire(path)
    assert held(path)
    assert held(path)  # asking does not take it
    lock.release()
    assert not held(path)
    (tmp_path / "r.db.lock").write_text("{}")  # of a process that was killed
    assert not held(path)
    RunLock.acquire(path).release()
