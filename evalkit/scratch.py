"""Temporary folders that do not pile up: what a killed process left is removed by the next one.

A process holds a lock of the kernel (`flock`) on each of its folders; it ends with the process, in whatever
way. Whoever makes a folder first removes those beside it that nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_PREFIX = "evalkit-scratch-"
_NAME = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
_PART = re.compile(r"\.(\d+)\.part")
_swept: set[Path] = set()
"""The folders in which this process has removed what others left."""


def part_of(path: Path) -> Path:
    """Returns the place where a file is written before it takes its place at `path`.

    What processes of this machine left there when they were killed is removed.
    """
    for other in path.parent.glob(f".{glob.escape(path.name)}.*.part*"):
        found = _PART.match(other.name[len(path.name) + 1 :])
        if found and not Path(f"/proc/{found[1]}").exists():
            with contextlib.suppress(OSError):
                other.unlink()
    return path.with_name(f".{path.name}.{os.getpid()}.part")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The place of a file that takes its place at `path` in the end.

    If an error is raised, nothing of it is left, nor of what SQLite puts beside a database.
    """
    part = part_of(path)
    _unlink(part)  # of an earlier process with the same number
    try:
        yield part
        part.replace(path)
    finally:
        _unlink(part)


def _unlink(part: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            part.with_name(part.name + ending).unlink()


class Scratch:
    """A temporary folder, until `close`, garbage collection or the end of the process.

    `place`: the folder in which it is made; None for the system's (TMPDIR).
    """

    def __init__(self, place: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if place is None else place
        if parent not in _swept:
            _swept.add(parent)
            _sweep(parent)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            with contextlib.suppress(OSError):  # some file systems have no locks; then nobody removes it
                fcntl.flock(lock, fcntl.LOCK_SH)
            if self.path.exists():
                break
            os.close(lock)  # another process took it for one that was left, before it was locked
        self._end = weakref.finalize(self, _end, self.path, lock, os.getpid())

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes the folder. A second call does nothing."""
        self._end()


def _end(path: Path, lock: int, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked child
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _sweep(parent: Path) -> None:
    """Removes this user's folders in `parent` that no process holds."""
    try:
        names = [name for name in os.listdir(parent) if _NAME.fullmatch(name)]  # noqa: PTH208 — only names
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            _remove(parent / name)


def _remove(folder: Path) -> None:
    """Removes a folder if it is this user's and no process holds it. Raises `OSError` otherwise."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(lock)
        if found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
