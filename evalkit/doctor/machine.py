"""Checks the machine: the disks, the clock, and the limits of a container."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from evalkit.doctor.finding import Finding
from evalkit.processes.containers import Limits, limits
from evalkit.processes.pool import cpus
from evalkit.runfile.network import MOUNTS, network_file_system

_GIGABYTE = 1 << 30
_LITTLE = 1 << 30
"""Bytes that should be free: a run file of a large benchmark with pictures has some hundred megabytes."""
_FILES = 1000
_EACH = 512 << 20
"""Bytes that a worker process should have: SymPy, a compiler and a program of 400 MB need about so much."""
_PROCESSES = 16
"""Processes and threads of one worker, and of the sandbox that it starts."""
_OWN = 64
"""Processes and threads of evalkit itself."""
_BUILT = datetime(2026, 1, 1, tzinfo=UTC)


def machine(limited: Limits | None = None) -> Iterator[Finding]:
    """All checks of the machine. `limited`: the limits of the container; None: those of this process."""
    yield from disks(folders())
    yield clock()
    yield from container(limits() if limited is None else limited, cpus())


def folders() -> dict[str, Path]:
    """Where evalkit writes, by what."""
    from huggingface_hub.constants import HF_HUB_CACHE

    from evalkit.data.cache import cache_folder

    return {
        "run files": Path("runs").absolute(),
        "the Hub's cache": Path(HF_HUB_CACHE),
        "evalkit's cache": cache_folder(),
        "temporary files": Path(tempfile.gettempdir()),
    }


def disks(folders: Mapping[str, Path], mounts: Path = MOUNTS) -> Iterator[Finding]:
    """Whether files can be written to each folder, and how much room there is. Leaves nothing there."""
    for what, folder in folders.items():
        yield _disk(what, folder, mounts)


def _disk(what: str, folder: Path, mounts: Path) -> Finding:
    name = f"disk: {what}"
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    elsewhere = {
        "run files": "name another folder with -o",
        "the Hub's cache": "export HF_HOME=FOLDER",
        "evalkit's cache": "export EVALKIT_CACHE=FOLDER",
        "temporary files": "export TMPDIR=FOLDER",
    }.get(what, "use another folder")
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"written by evalkit doctor")
            file.flush()
        room = os.statvfs(there)
    except OSError as error:
        return Finding(name, False, f"{folder} cannot be written: {error.strerror}", elsewhere)
    free = room.f_bavail * room.f_frsize
    detail = f"{folder}: {free / _GIGABYTE:.1f} GB free"
    if free < _LITTLE:
        return Finding(name, False, detail, f"free some space, or {elsewhere}")
    if room.f_files and room.f_favail < _FILES:
        return Finding(name, False, f"{detail}, room for {room.f_favail} more files", elsewhere)
    if kind := network_file_system(there, mounts):
        detail += f", on a network file system ({kind}): slower, and one run file is one machine's"
        return Finding(name, what != "run files", detail, "write run files to a local disk with -o")
    return Finding(name, True, detail)


def clock(now: float | None = None) -> Finding:
    """Whether the clock's time can be right. An endpoint says more: `evalkit doctor --base-url`."""
    when = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    shown = f"{when:%Y-%m-%d %H:%M:%S} UTC"
    fix = "set the clock (timedatectl set-ntp true): certificates are refused at another time"
    return Finding("clock", when >= _BUILT, shown if when >= _BUILT else f"{shown} is in the past", fix)


def container(limited: Limits, workers: int) -> Iterator[Finding]:
    """Whether the limits of the container are enough for so many worker processes."""
    cores = os.cpu_count() or 1
    quota = "no limit" if limited.cpus is None else f"{limited.cpus:g} of {cores} CPUs"
    yield Finding("container: CPU", True, f"{quota}; {workers} worker processes are started at most")
    if limited.memory is None:
        yield Finding("container: memory", True, "no limit")
    else:
        each = limited.memory / workers
        detail = (
            f"{limited.memory / _GIGABYTE:.1f} GB, {each / _GIGABYTE:.2f} GB for each of {workers} workers"
        )
        fit = max(1, math.floor(limited.memory / _EACH))
        fix = f"allow more memory, or start fewer workers: taskset -c 0-{fit - 1} evalkit run …"
        yield Finding("container: memory", each >= _EACH, detail, fix)
    if limited.processes is None:
        yield Finding("container: processes", True, "no limit")
    else:
        wanted = workers * _PROCESSES + _OWN
        detail = f"{limited.processes} processes and threads; {workers} workers may need {wanted}"
        yield Finding(
            "container: processes", limited.processes >= wanted, detail, f"allow more: --pids-limit {wanted}"
        )
