"""What binds a process inside the sandbox: namespaces, a fresh /tmp, limits, capabilities, filters.

Runs in the sandbox, so it imports the standard library only. The server keeps CAP_SYS_ADMIN and CAP_SETPCAP
in its own user namespace, and nothing else, to give every program a new process namespace and a new /tmp.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from typing import Any

LINUX = sys.platform == "linux"
SCRATCH = b"/tmp"
_FILES_IN_SCRATCH = 10_000
"""Inodes: what a file takes beside its content is no part of tmpfs's size."""

# <linux/sched.h>, <sys/mount.h>, <linux/prctl.h>, <linux/capability.h>
_CLONE_NEWPID = 0x20000000
_MS_NOSUID, _MS_NODEV, _MNT_DETACH = 2, 4, 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 38, 2
_CAPABILITIES = (21, 8)
"""CAP_SYS_ADMIN, and CAP_SETPCAP with which it is let go of for good; others have lost them already."""
_CAPABILITY_VERSION_3 = 0x20080522
_CPUCLOCK_SCHED = 2
"""<linux/posix-timers.h>; clock_getcpuclockid(3) makes clocks of other processes the same way."""
_DESCRIPTORS = 64
"""The server opens no more."""

_libc: Any = ctypes.CDLL(None, use_errno=True)


class _Filter(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


class Namespaces:
    """The server's own process namespace, to come back to after it has opened one for a program."""

    def __init__(self) -> None:
        self._own = os.pidfd_open(os.getpid())

    def fork_into_new(self) -> int:
        """As `os.fork`; the child is process 1 of a namespace in which it sees nobody else."""
        _checked(_libc.unshare(_CLONE_NEWPID), "unshare")
        try:
            pid = os.fork()
        except OSError:
            self._come_back()
            raise
        if pid:
            self._come_back()
        return pid

    def _come_back(self) -> None:
        _checked(_libc.setns(self._own, _CLONE_NEWPID), "setns")


def fresh_scratch(megabytes: int) -> None:
    """Puts an empty tmpfs in the place of the last one; what was in that is gone with it."""
    _checked(_libc.umount2(SCRATCH, _MNT_DETACH), "umount")
    options = f"size={megabytes}m,nr_inodes={_FILES_IN_SCRATCH},mode=700".encode()
    _checked(_libc.mount(b"tmpfs", SCRATCH, b"tmpfs", _MS_NOSUID | _MS_NODEV, options), "mount")


def hide() -> None:
    """Lets no other process of the same user trace this one, or read its memory."""
    if LINUX:
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def settle() -> None:
    """/dev/null for standard input, output and error, and no descriptor that `keep_only` leaves open."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def keep_only(*descriptors: int) -> None:
    """Closes all but these and the first three."""
    first = 3
    for descriptor in sorted(descriptors):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, _DESCRIPTORS)


def cpu_seconds(pid: int) -> float:
    """What a process has used so far; 0 where the system does not say.

    Its own clock, for limits on CPU time (RLIMIT_CPU) count in ticks: where other machines share the CPU
    they end a program long before its time.
    """
    if not LINUX:
        return 0.0
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError:  # it has ended
        return 0.0


class Confinement:
    """What a program and its judge are bound by. Prepared once: a fork is cheap as long as it does little."""

    def __init__(self, limits: dict[str, int], filters: list[bytes]) -> None:
        self._limits = [(getattr(resource, name), (value, value)) for name, value in limits.items()]
        self._calls: list[tuple[Any, tuple[Any, ...]]] = []
        if not LINUX:
            return
        self._calls.append((_libc.prctl, (_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)))
        self._calls += [(_libc.prctl, (_PR_CAPBSET_DROP, number, 0, 0, 0)) for number in _CAPABILITIES]
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        self._calls.append((_libc.capset, (header, (ctypes.c_uint32 * 6)())))
        self._calls.append((_libc.prctl, (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)))
        for code in filters:
            filter_ = ctypes.byref(_Filter(len(code) // 8, code))
            self._calls.append((_libc.prctl, (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_, 0, 0)))

    def apply(self) -> None:
        """Binds this process for good. Raises `OSError` when one of the bonds does not hold."""
        for number, value in self._limits:
            try:
                resource.setrlimit(number, value)
            except (ValueError, OSError):
                if LINUX:  # macOS has some limits in name only
                    raise
        for call, arguments in self._calls:
            if call(*arguments) != 0 and arguments[0] != _PR_CAPBSET_DROP:
                raise OSError(ctypes.get_errno(), "the process cannot be confined")
