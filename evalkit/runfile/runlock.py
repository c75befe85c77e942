"""One process writes a run file at a time: a lock from before the file is created until it is closed.

The lock is the kernel's (`flock`), on a small file `RUN.db.lock` beside the run file: when its holder dies,
however it dies, it is free again. That file says who holds it. The run file itself is never opened here, as
closing any descriptor of it would drop SQLite's own locks of this process. Readers take no lock.
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
"""Seconds that a holder has, from the moment it locks, to write down who it is."""

_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


class RunLock:
    """The right to write one run file, until `release`, or until this is forgotten or the process ends."""

    def __init__(self, descriptor: int, place: Path) -> None:
        _held.add(descriptor)
        self._end = weakref.finalize(self, _release, descriptor, place, os.getpid())

    @classmethod
    def acquire(cls, path: Path) -> RunLock:
        """Locks the run file at `path`, which need not exist yet; its folder is created.

        Never waits for another run. Raises `UsageError` when another one, of this process or any other, holds
        the lock (it says which), when `path` cannot be a run file, and when locking is not possible there.
        """
        _check(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # A link to a run file and the run file are one, also for SQLite.
            place = path.resolve()
            place = place.with_name(place.name + ".lock")
            deadline = time.monotonic() + _PATIENCE
            while (descriptor := _try(place)) is None:
                with contextlib.suppress(FileNotFoundError):  # released meanwhile
                    holder = _holder(place)
                    if _is_told(holder) or time.monotonic() > deadline:
                        _refuse(path, holder)
                time.sleep(0.005)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise UsageError(
                    f"cannot lock the run file {path}: the file system there has no file locks "
                    f"({error.strerror}), so nothing would keep two runs from writing it at once. "
                    "Name a file on another file system, such as a local disk, with -o"
                ) from None
            raise UsageError(f"cannot write the run file {path}: {error}") from None
        return cls(descriptor, place)

    def release(self) -> None:
        """Lets others write. Does nothing the second time."""
        self._end()


def _check(path: Path) -> None:
    """Raises `UsageError` when SQLite would not store a database as the file at `path`."""
    name = str(path)
    if name == ":memory:" or name.startswith("file:"):
        raise UsageError(f"{name} is no file that stays: name one with -o, such as runs/my-run.db")
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
    """The descriptor of the lock at `place`, now held; None when another one holds it."""
    while True:
        # Python opens with O_CLOEXEC: no program that is started later keeps the lock alive.
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
        os.close(descriptor)  # its holder removed it between our opening and our locking


def _is_at(descriptor: int, place: Path) -> bool:
    """Whether the open file is the one that others find at `place`."""
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
    """Who says to hold the lock; nothing when it has not written that down yet."""
    try:
        found = json.loads(place.read_bytes())
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_told(holder: dict[str, object]) -> bool:
    """Whether this can be the holder, and is not what one that died before it has left."""
    pid = holder.get("pid")
    if not isinstance(pid, int):
        return False
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
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
    if os.getpid() != pid:  # a forked child, whose copy is closed already
        return
    _held.discard(descriptor)
    with contextlib.suppress(OSError):  # a file that cannot be removed is no lock either
        # Only while it is locked may it be removed: nobody else can hold it then.
        if _is_at(descriptor, place):
            place.unlink()
    # Not by closing alone, which leaves the lock to a copy of the descriptor in another process.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _forget() -> None:
    """In a forked child: it must not keep the locks of its parent alive when that one dies."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_forget)
