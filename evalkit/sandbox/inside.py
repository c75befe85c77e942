"""What the host sees of the processes in a sandbox: their memory, and how long they had to wait for a CPU."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def under(process: int) -> list[int]:
    """`process` and all its descendants; those that end meanwhile may be missing."""
    found, at = [process], 0
    while at < len(found):
        with suppress(OSError):
            for thread in Path(f"/proc/{found[at]}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        at += 1
    return found


def own_bytes(process: int) -> int:
    """The unshared memory of a process, without files."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def seconds_waited(process: int) -> float:
    """The seconds for which a process was ready to run and had no CPU: those of its most delayed thread.

    0 if the system does not tell, as a kernel without CONFIG_SCHED_INFO.
    """
    longest = 0
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError, ValueError):  # the thread has ended
                _, waited, _ = (thread / "schedstat").read_text().split()
                longest = max(longest, int(waited))
    return longest / 1e9
