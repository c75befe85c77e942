"""`evalkit doctor` on the machine: disks, the clock, and the limits of containers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.doctor.machine import clock, container, disks, folders
from evalkit.processes.containers import Limits, limits
from evalkit.processes.pool import cpus
from tests import needs

SECOND = "0::/kubepods/pod7/box\n"
FIRST = "8:pids:/\n4:memory:/docker/box\n2:cpu,cpuacct:/docker/box\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n", encoding="utf-8")
    return root


def found(folder: Path, membership: str, files: dict[str, str]) -> Limits:
    (folder / "membership").write_text(membership, encoding="utf-8")
    return limits(tree(folder / "cgroup", files), folder / "membership")


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        (
            SECOND,
            {"kubepods/pod7/box/memory.max": "max", "kubepods/pod7/memory.max": "4294967296",
             "kubepods/pod7/box/cpu.max": "150000 100000", "kubepods/cpu.max": "max 100000",
             "kubepods/pod7/box/pids.max": "512", "kubepods/pids.max": "max"},
            Limits(4 << 30, 1.5, 512),
        ),
        # A container with a namespace of its own sees its group as the root.
        ("0::/\n", {"memory.max": "1073741824", "cpu.max": "50000 100000"}, Limits(1 << 30, 0.5)),
        # The path is the host's, and its folder is not there.
        ("0::/system.slice/x.scope\n", {"memory.max": "1073741824"}, Limits(1 << 30)),
        ("0::/../../etc\n", {"memory.max": "1073741824"}, Limits(1 << 30)),
        (
            FIRST,
            {"memory/docker/box/memory.limit_in_bytes": "2147483648",
             "memory/memory.limit_in_bytes": "9223372036854771712",
             "cpu/docker/box/cpu.cfs_quota_us": "300000", "cpu/docker/box/cpu.cfs_period_us": "100000",
             "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000", "pids/pids.max": "max"},
            Limits(2 << 30, 3.0),
        ),
        ("", {}, Limits()),
        ("nonsense\n1:2\n", {"memory.max": "nonsense"}, Limits()),
    ],
)  # fmt: skip
def test_limits_of_containers(
    membership: str, files: dict[str, str], expected: Limits, tmp_path: Path
) -> None:
    assert found(tmp_path, membership, files) == expected


def test_this_process_has_limits_or_none() -> None:
    mine = limits()
    assert mine.memory is None or mine.memory > 1 << 20
    assert 1 <= cpus() <= (os.cpu_count() or 1)


def test_workers_are_as_many_as_the_containers_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.processes.pool.limits", lambda: Limits(cpus=0.5))
    assert cpus() == 1
    monkeypatch.setattr("evalkit.processes.pool.limits", lambda: Limits(cpus=1000.0))
    assert cpus() == len(os.sched_getaffinity(0))


def test_limits_are_set_beside_what_the_workers_need() -> None:
    enough = {one.what: one for one in container(Limits(64 << 30, 8.0, 4096), 8)}
    assert all(one.works for one in enough.values())
    assert enough["container: memory"].detail == "64.0 GB, 8.00 GB for each of 8 workers"
    assert "8 worker processes" in enough["container: CPU"].detail
    tight = {one.what: one for one in container(Limits(1 << 30, None, 100), 16)}
    assert not tight["container: memory"].works
    assert "taskset -c 0-1 evalkit run" in tight["container: memory"].fix
    assert not tight["container: processes"].works
    assert "320" in tight["container: processes"].fix
    assert all(one.works for one in container(Limits(), 64))


def test_a_folder_to_be_made_is_tried_where_it_will_be(tmp_path: Path) -> None:
    (one,) = disks({"run files": tmp_path / "runs" / "deep"})
    assert one.works
    assert "GB free" in one.detail
    assert list(tmp_path.iterdir()) == []
    assert {"run files", "the Hub's cache", "evalkit's cache", "temporary files"} == folders().keys()


def test_a_folder_on_a_network_file_system_is_named(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"36 35 98:0 / / rw - ext4 x rw\n40 36 0:40 / {tmp_path} rw - nfs4 server:/x rw\n")
    runs, temporary = disks({"run files": tmp_path, "temporary files": tmp_path}, mounts)
    assert (runs.works, temporary.works) == (False, True)
    assert "network file system (nfs4)" in runs.detail
    assert "-o" in runs.fix


_ON = """
import sys
from pathlib import Path
from evalkit.doctor.machine import disks
for one in disks({"run files": Path(sys.argv[1]), "temporary files": Path(sys.argv[2])}):
    print(one.works, one.detail, one.fix, sep="|")
"""


@needs.unshare
def test_a_small_and_a_read_only_disk_are_found(tmp_path: Path) -> None:
    """Real file systems, mounted in a namespace of their own."""
    small, fixed = tmp_path / "small", tmp_path / "fixed"
    small.mkdir()
    fixed.mkdir()
    mount = f"mount -t tmpfs -o size=1m none {small} && mount -t tmpfs -o ro,size=1g none {fixed}"
    inside = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    run = f"{mount} && exec {sys.executable} -c '{_ON}' {small} {fixed}"
    done = subprocess.run([*inside, run], capture_output=True, text=True, check=True)
    little, read_only = done.stdout.splitlines()
    assert little == f"False|{small}: 0.0 GB free|free some space, or name another folder with -o"
    assert read_only == f"False|{fixed} cannot be written: Read-only file system|export TMPDIR=FOLDER"


def test_a_clock_of_the_past_is_found() -> None:
    assert clock().works
    wrong = clock(0.0)
    assert not wrong.works
    assert "1970-01-01 00:00:00 UTC is in the past" in wrong.detail
