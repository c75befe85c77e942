"""Locks a run file, from before it is created until it is closed, so that only one process writes it.

The lock is the kernel's (`flock`), on a small file `RUN.db.lock` beside the run file, so it is released when
its holder ends, in whatever way. The lock file says who holds it. The run file itself is never opened here,
because closing any descriptor of it would drop SQLite's own locks of this process. Readers take no lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from evalkit.errors import UsageError

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
_PATIENCE = 2.0
"""Seconds that a new holder has to write into the lock file who it is."""

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


class RunLock:
    """The right to write one run file, until `release`, garbage collection or the end of the process."""

    def __init__(self, descriptor: int, place: Path) -> None:
        _held.add(descriptor)
        self._end = weakref.finalize(self, _release, descriptor, place, os.getpid())

    @classmethod
    def acquire(cls, path: Path) -> RunLock:
        """Locks the run file at `path`, which need not exist yet; its folder is created.

        It never waits for another run. Raises `UsageError` if another run, in this or another process, holds
        the lock (the message says which), if `path` cannot be a run file, and if locking is not possible.
        """
        _check(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A symbolic link and its target are the same run file, also for SQLite.
            place = path.resolve()
            place = place.with_name(place.name + ".lock")
            deadline = time.monotonic() + _PATIENCE
            while (descriptor := _try(place)) is None:
                with contextlib.suppress(FileNotFoundError):  # released meanwhile
                    holder = _holder(place)
                    if _can_hold(holder) or time.monotonic() > deadline:
                        _refuse(path, holder)
                time.sleep(0.005)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise UsageError(
                    f"cannot lock the run file {path}: its file system has no file locks "
                    f"({error.strerror}), so two runs could write it at the same time. "
                    "Name a file on another file system, such as a local disk, with -o"
                ) from None
            raise UsageError(f"cannot write the run file {path}: {error}") from None
        return cls(descriptor, place)

    def release(self) -> None:
        """Releases the lock. A second call does nothing."""
        self._end()


def held(path: Path) -> bool:
    """Whether a run writes the file at `path` now, as far as this machine can tell; False without a lock."""
    place = path.resolve()
    try:
        descriptor = os.open(place.with_name(place.name + ".lock"), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _check(path: Path) -> None:
    """Raises `UsageError` if SQLite would not store a database as the file at `path`."""
    name = str(path)
    if name == ":memory:" or name.startswith("file:"):
        raise UsageError(f"{name} is not a file on disk: name one with -o, such as runs/my-run.db")
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:  # no permission; a NUL in the name
        raise UsageError(f"cannot write the run file {name!r}: {error}") from None
    if stat.S_ISDIR(mode):
        raise UsageError(f"cannot write the run file {name}: it is a folder. Name a file with -o")
    if not stat.S_ISREG(mode):
        raise UsageError(f"cannot write the run file {name}: it is a device or a pipe. Name a file with -o")


def _try(place: Path) -> int | None:
    """Takes the lock at `place` and returns its descriptor; returns None if another run holds it."""
    while True:
        # Python opens with O_CLOEXEC, so no program that is started later keeps the lock alive.
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, place):
                _sign(descriptor)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the earlier holder removed the file between our open and our flock


def _is_at(descriptor: int, place: Path) -> bool:
    """Whether the open file is still the one at `place`."""
    try:
        return os.path.samestat(os.fstat(descriptor), place.stat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode() + b"\n", 0)


def _holder(place: Path) -> dict[str, object]:
    """Returns what the lock file says about its holder; empty if the holder has not written it yet."""
    try:
        found = json.loads(place.read_bytes())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _can_hold(holder: dict[str, object]) -> bool:
    """Whether `holder` can be the current holder, and is not left over from a process that ended."""
    pid = holder.get("pid")
    if not isinstance(pid, int):
        return False
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        return True
    return True


def _refuse(path: Path, holder: dict[str, object]) -> NoReturn:
    who = "another process"
    if holder:
        who = f"process {holder.get('pid')} on {holder.get('host')} since {holder.get('since')}"
    raise UsageError(
        f"{path} is being written by {who}: wait until that run has finished, or name another file with -o"
    )


def _release(descriptor: int, place: Path, pid: int) -> None:
    if os.getpid() != pid:  # in a forked child, whose copy is already closed
        return
    _held.discard(descriptor)
    with contextlib.suppress(OSError):  # a leftover file without a lock does no harm
        # It may only be removed while it is locked, because nobody else can hold it then.
        if _is_at(descriptor, place):
            place.unlink()
    # Closing alone would leave the lock to a copy of the descriptor in another process.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _forget() -> None:
    """Closes the locks in a forked child, so that they are released when the parent ends."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_forget)
