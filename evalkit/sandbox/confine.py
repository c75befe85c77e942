"""What confines a process inside the sandbox: namespaces, a fresh /tmp, limits, capabilities, filters.

This module runs in the sandbox, so it imports only the standard library. The server keeps CAP_SYS_ADMIN and
CAP_SETPCAP in its own user namespace, to give every program a new process namespace and a new /tmp. If root
started it, it also keeps CAP_SETUID, CAP_SETGID and CAP_KILL there, because its programs run as another
user: limits on threads do not apply to root, and root owns the device nodes.
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
"""The user and group of every program, and of the server if root started it."""
SCRATCH = b"/tmp"
_FILES_IN_SCRATCH = 10_000
"""The most inodes: the size of a tmpfs does not include what a file takes besides its content."""

# <linux/sched.h>, <sys/mount.h>, <linux/prctl.h>, <linux/capability.h>
_CLONE_NEWPID = 0x20000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MNT_DETACH = 1, 2, 4, 8, 32, 4096, 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 38, 2
_CAPABILITIES = (21, 7, 6, 5, 8)
"""CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID, CAP_KILL, and last CAP_SETPCAP, which dropping the others needs."""
_CAPABILITY_VERSION_3 = 0x20080522
_CPUCLOCK_SCHED = 2
"""From <linux/posix-timers.h>; clock_getcpuclockid(3) makes clocks of other processes in the same way."""
_DESCRIPTORS = 64
"""The most descriptors that the server opens."""

_libc: Any = ctypes.CDLL(None, use_errno=True)


class _Filter(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


class Namespaces:
    """The server's own process namespace, to which it returns after it has opened one for a program."""

    def __init__(self) -> None:
        self._own = os.pidfd_open(os.getpid())

    def fork_into_new(self) -> int:
        """Like `os.fork`, but the child is process 1 of a new namespace and sees no other process."""
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
        """The same, but further processes start in the new namespace too, until `come_back`."""
        _checked(_libc.unshare(_CLONE_NEWPID), "unshare")
        return os.fork()

    def come_back(self) -> None:
        """Lets further processes start in the server's own namespace."""
        _checked(_libc.setns(self._own, _CLONE_NEWPID), "setns")


class Nobody:
    """The user as whom programs run if root started the server.

    `files`: files that programs have to read. If only root can read them, as with a umask of 077, programs
    read and create files as the server's user.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self.files_as = NOBODY
        os.setgroups([])  # drops root's other groups once, because each call takes time in every fork
        _libc.setfsuid(NOBODY)
        try:
            for file in files:
                os.close(os.open(file, os.O_RDONLY))
        except PermissionError:
            self.files_as = SERVER
        finally:
            _libc.setfsuid(SERVER)
            # Becoming another user, even for a moment, resets the signal that ends it with its parent.
            _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

    def become(self) -> None:
        """Becomes this user, for good once the capabilities are gone. Raises `OSError`."""
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        _libc.setfsuid(self.files_as)
        if _libc.setfsuid(-1) != self.files_as:  # which shows whether the call above succeeded
            raise OSError("files cannot be read as another user")


def lend_read_only(folder: str = "/dev") -> None:
    """Makes each device's mount read-only, so that nobody can change its mode, owner, times or attributes.

    The device itself can still be read and written. bubblewrap can make the mount read-only only if it also
    forbids access to devices. The flags that the mount has must be given again, because they are locked.
    """
    for entry in os.scandir(folder):
        if stat.S_ISCHR(entry.stat(follow_symlinks=False).st_mode):
            kept = os.statvfs(entry.path).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
            flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept
            _checked(_libc.mount(None, os.fsencode(entry.path), None, flags, None), "remount of a device")


def fresh_scratch(megabytes: int, owner: int) -> None:
    """Replaces /tmp by an empty tmpfs; the files of the last one are gone."""
    _checked(_libc.umount2(SCRATCH, _MNT_DETACH), "umount")
    options = f"size={megabytes}m,nr_inodes={_FILES_IN_SCRATCH},mode=700,uid={owner},gid={NOBODY}".encode()
    _checked(_libc.mount(b"tmpfs", SCRATCH, b"tmpfs", _MS_NOSUID | _MS_NODEV, options), "mount")


def hide() -> None:
    """Prevents other processes of the same user from tracing this one and from reading its memory."""
    if LINUX:
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def settle(host: int) -> None:
    """Makes standard input, output and error /dev/null, and closes all other descriptors except `host`."""
    os.closerange(3, host)
    os.closerange(host + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def keep_only(*descriptors: int) -> None:
    """Closes all descriptors except these and the first three."""
    first = 3
    for descriptor in sorted(descriptors):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, _DESCRIPTORS)


def cpu_seconds(pid: int) -> float:
    """The seconds of CPU time that a process has used so far; 0 if the system does not tell.

    This reads the process's own clock, because limits on CPU time (RLIMIT_CPU) count in ticks: if other
    virtual machines share the CPU, they end a program long before its time.
    """
    if not LINUX:
        return 0.0
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError:  # it has ended
        return 0.0


class Confinement:
    """What confines a program and its checker. It is prepared once, so that each fork has little to do."""

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
        """Confines this process for good. Raises `OSError` if a part of that fails."""
        for number, value in self._limits:
            try:
                resource.setrlimit(number, value)
            except (ValueError, OSError):
                if LINUX:  # macOS does not implement some of the limits
                    raise
        if self._nobody is not None:
            self._nobody.become()
        for call, arguments in self._calls:
            if call(*arguments) != 0 and arguments[0] != _PR_CAPBSET_DROP:
                raise OSError(ctypes.get_errno(), "the process cannot be confined")
