"""The limits of the container, or other control group, that this process is in.

Control groups of version 2 have one folder for each group with all limits; those of version 1 have a tree for
each controller (cgroups(7), Documentation/admin-guide/cgroup-v2.rst of Linux). A limit of a group holds for
the groups in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
_UNLIMITED = 1 << 60
"""Version 1 writes a number near 2^63 for no limit."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory`: bytes. `cpus`: CPU seconds in a second. `processes`: with threads. None: no limit."""

    memory: int | None = None
    cpus: float | None = None
    processes: int | None = None


def limits(root: Path = ROOT, membership: Path = MEMBERSHIP) -> Limits:
    """The smallest limits of the groups that this process is in; none without control groups."""
    memory = [*_numbers(root, membership, "memory", "memory.max", "memory.limit_in_bytes")]
    processes = [*_numbers(root, membership, "pids", "pids.max", "pids.max")]
    cpus = [
        quota / period
        for folder, second in _groups(root, membership, "cpu")
        for quota, period in [_quota(folder, second=second)]
        if quota > 0 and period > 0
    ]
    return Limits(min(memory, default=None), min(cpus, default=None), min(processes, default=None))


def _numbers(root: Path, membership: Path, controller: str, second: str, first: str) -> Iterator[int]:
    """The limits in the files `second` (of version 2) and `first` (of version 1)."""
    for folder, is_second in _groups(root, membership, controller):
        text = _read(folder / (second if is_second else first))
        if text.isdecimal() and 0 < int(text) < _UNLIMITED:
            yield int(text)


def _quota(folder: Path, *, second: bool) -> tuple[int, int]:
    """(microseconds of CPU time, in so many microseconds), or zeros."""
    if second:
        words = _read(folder / "cpu.max").split()
    else:
        words = [_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")]
    if len(words) == 2 and all(word.isdecimal() for word in words):
        return int(words[0]), int(words[1])
    return 0, 0


def _groups(root: Path, membership: Path, controller: str) -> Iterator[tuple[Path, bool]]:
    """The folders of the groups that this process is in, and whether they are of version 2."""
    for line in _read(membership).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        second = not controllers
        if not second and controller not in controllers.split(","):
            continue
        tree = root if second else root / controller
        # Inside a container, the path may be the host's, and its folder is then not there.
        inside = tree / path.lstrip("/")
        folder = inside if ".." not in inside.parts and inside.is_dir() else tree
        yield folder, second
        while folder != tree:
            folder = folder.parent
            yield folder, second


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
