"""Runs a program so that nothing of it is left once evalkit or the program has ended.

    python guard.py LIFELINE FOLDER PROGRAM [ARGUMENT …]

It is a script that imports nothing of evalkit. The program gets the guard's standard streams and a process
group of its own. LIFELINE is the descriptor of a pipe whose other end only evalkit has: it closes when
evalkit ends, in whatever way. Then, or when the program ends, the guard kills the program's process group and
all processes that the program started elsewhere (they become the guard's own children), removes FOLDER, and
ends as the program did.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _run(command: list[str]) -> NoReturn:
    """Becomes the program, which is killed if the guard dies."""
    try:
        os.setpgid(0, 0)
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and so by the program it becomes
            signal.signal(ignored, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.execvp(command[0], command)  # noqa: S606 — the user named the program, and no shell is used
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _wait(program: int, lifeline: int, woken: int) -> int | None:
    """The program's wait status; None if evalkit ended first. It reaps all other children as they end."""
    while True:
        ready, _, _ = select.select([lifeline, woken], [], [])
        if lifeline in ready:
            return None
        os.read(woken, 1 << 10)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == program:
                    return ended[1]


def _children() -> list[int]:
    try:
        return [*map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split())]
    except OSError:  # a kernel without this file
        return []


def _kill(group: int) -> None:
    """Kills the group, then whatever else is left below this process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    while children := _children():
        for child in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def main(lifeline: int, folder: str, command: list[str]) -> None:
    os.set_inheritable(lifeline, False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    program = os.fork()
    if not program:
        _run(command)
    os.close(0)
    os.close(1)  # so that evalkit sees the end of the program's own output
    status = _wait(program, lifeline, woken)
    _kill(program)
    shutil.rmtree(folder, ignore_errors=True)
    code = 0 if status is None else os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
