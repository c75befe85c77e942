"""What binds a process inside the sandbox: namespaces, a fresh /tmp, limits, capabilities, filters.

Runs in the sandbox, so it imports the standard library only. The server keeps CAP_SYS_ADMIN and CAP_SETPCAP
in its own user namespace, to give every program a new process namespace and a new /tmp. Where root started
it, it also keeps CAP_SETUID, CAP_SETGID and CAP_KILL there, for its programs run as another user: no limit
on threads binds root, and root owns the device nodes.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import stat
import sys
import time
from collections.abc import Iterable
from typing import Any

LINUX = sys.platform == "linux"
NOBODY, SERVER = 65534, 65533
"""User and group of every program; of the server, where it has others."""
SCRATCH = b"/tmp"
_FILES_IN_SCRATCH = 10_000
"""Inodes: what a file takes beside its content is no part of tmpfs's size."""

# <linux/sched.h>, <sys/mount.h>, <linux/prctl.h>, <linux/capability.h>
_CLONE_NEWPID = 0x20000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MNT_DETACH = 1, 2, 4, 8, 32, 4096, 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 38, 2
_CAPABILITIES = (21, 7, 6, 5, 8)
"""CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID, CAP_KILL, and CAP_SETPCAP with which they are let go of for good."""
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
            self.come_back()
            raise
        if pid:
            self.come_back()
        return pid

    def stay_in_new(self) -> int:
        """The same, but that further processes begin in that namespace too, until `come_back`."""
        _checked(_libc.unshare(_CLONE_NEWPID), "unshare")
        return os.fork()

    def come_back(self) -> None:
        """Further processes begin in the server's own namespace."""
        _checked(_libc.setns(self._own, _CLONE_NEWPID), "setns")


class Nobody:
    """The user as whom programs run where the server runs as root outside.

    `files`: what programs have to read. Where root keeps those to itself, as with a umask of 077, files are
    read, and made, as the server's user.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self.files_as = NOBODY
        os.setgroups([])  # root's further groups; here, for each call costs in every fork
        _libc.setfsuid(NOBODY)
        try:
            for file in files:
                os.close(os.open(file, os.O_RDONLY))
        except PermissionError:
            self.files_as = SERVER
        finally:
            _libc.setfsuid(SERVER)
            # Who becomes another user, if for a moment, no longer ends with its parent.
            _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

    def become(self) -> None:
        """For good, once the capabilities are gone. Raises `OSError`."""
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        _libc.setfsuid(self.files_as)
        if _libc.setfsuid(-1) != self.files_as:  # which tells whether the call before did it
            raise OSError("files cannot be read as another user")


def lend_read_only(folder: str = "/dev") -> None:
    """Makes each device's mount read-only: nobody changes its mode, owner, times or attributes.

    Reading and writing the device is no matter of its mount. bubblewrap could do it only together with
    forbidding access to devices. Flags that the mount has must be named again, for they are locked.
    """
    for entry in os.scandir(folder):
        if stat.S_ISCHR(entry.stat(follow_symlinks=False).st_mode):
            kept = os.statvfs(entry.path).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
            flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept
            _checked(_libc.mount(None, os.fsencode(entry.path), None, flags, None), "remount of a device")


def fresh_scratch(megabytes: int, owner: int) -> None:
    """Puts an empty tmpfs in the place of the last one; what was in that is gone with it."""
    _checked(_libc.umount2(SCRATCH, _MNT_DETACH), "umount")
    options = f"size={megabytes}m,nr_inodes={_FILES_IN_SCRATCH},mode=700,uid={owner},gid={NOBODY}".encode()
    _checked(_libc.mount(b"tmpfs", SCRATCH, b"tmpfs", _MS_NOSUID | _MS_NODEV, options), "mount")


def hide() -> None:
    """Lets no other process of the same user trace this one, or read its memory."""
    if LINUX:
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def settle(host: int) -> None:
    """/dev/null for standard input, output and error, and but for `host` no other descriptor."""
    os.closerange(3, host)
    os.closerange(host + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
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
    """What a program and its checker are bound by. Prepared once: a fork that does little is cheap."""

    def __init__(self, limits: dict[str, int], filters: list[bytes], nobody: Nobody | None = None) -> None:
        self._nobody = nobody
        self._limits = [(getattr(resource, name), (value, value)) for name, value in limits.items()]
        self._calls: list[tuple[Any, tuple[Any, ...]]] = []
        if not LINUX:
            return
        # Becoming another user undoes both of these.
        self._calls.append((_libc.prctl, (_PR_SET_DUMPABLE, 0, 0, 0, 0)))
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
        if self._nobody is not None:
            self._nobody.become()
        for call, arguments in self._calls:
            if call(*arguments) != 0 and arguments[0] != _PR_CAPBSET_DROP:
                raise OSError(ctypes.get_errno(), "the process cannot be confined")
