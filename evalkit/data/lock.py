"""The lock file: every file that tasks read, with its revision, size and SHA-256, as readable TOML.

A lock may come from anybody, and decides where files are stored: each name, revision and path in it is
checked when it is read.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, NoReturn, TypeAlias

from evalkit.convert import from_json, read_toml
from evalkit.data.base import listing
from evalkit.errors import DataError, UsageError

LOCK = "evalkit.lock"
"""The usual name of a lock file."""
FORMAT = 1
Kind: TypeAlias = Literal["hub", "space", "github", "package", "local"]
"""hub: a data set on the Hub. space: a metric's code there. package: files of an installed distribution."""
WORDS: Mapping[str, str] = {
    "hub": "data set",
    "space": "Space",
    "github": "repository",
    "package": "package",
    "local": "folder",
}
_REPOSITORY = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20
_HEAD = (
    "# What these tasks read, file by file. Written by `evalkit data lock`, which also renews it.\n"
    "# `evalkit data fetch` brings the files, and `evalkit data verify` checks them.\n"
)


@dataclass(frozen=True, slots=True)
class Content:
    """The size in bytes and the SHA-256 (hex) of some content."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file of a source. `path`: relative to the source, with slashes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """Files of one repository at a commit, of an installed package, or of a folder on this machine."""

    kind: Kind
    name: str
    """`owner/name`; a distribution's name; a folder's path, relative to the working directory if inside."""
    files: tuple[LockedFile, ...]
    asked: str = ""
    """The revision that the task asks for, such as main; `revision` is the commit that this was."""
    revision: str = ""
    """A commit, a package's version, or "" for a folder."""
    licence: str = ""
    """What the repository's card says; "" if it says nothing."""
    listing: Content | None = None
    """Of the list of all files of the commit (`evalkit.data.hub_files.listing_of`), which decides what
    belongs to a split."""
    whole: bool = False
    """Whether every file of the folder is read, so that a further one would change the data."""

    @property
    def shown(self) -> str:
        """The source in messages."""
        at = f" at {self.revision[:12]}" if self.revision else ""
        return f"{WORDS[self.kind]} {self.name}{at}"


@dataclass(frozen=True, slots=True)
class LockedTask:
    """What one task reads. `digest`: of the sources' kinds, names, commits, and files' paths and digests."""

    name: str
    digest: str
    source: tuple[Source, ...] = ()

    def find(self, kind: Kind, name: str, asked: str = "") -> Source:
        """Returns the source. Raises `DataError` if the lock has none, or one at another revision."""
        named = [one for one in self.source if (one.kind, one.name) == (kind, name)]
        for one in named:
            if one.asked == asked:
                return one
        what = f"{WORDS[kind]} {name}"
        if named:
            there = listing([one.asked for one in named])
            raise DataError(f"{self._shown} has {what} at {there}, but {asked} is read: {self._again}")
        raise DataError(f"{self._shown} does not have the {what}, which is read: {self._again}")

    def check(self, source: Source, files: Mapping[str, Path]) -> None:
        """Raises `DataError` for a file that the lock does not have, or has with another size or SHA-256.

        `files`: where the files are that are read, by their paths in the source.
        """
        known = {file.path: file for file in source.files}
        for path, place in files.items():
            if path not in known:
                raise DataError(f"{self._shown} does not have {path} of {source.shown}: {self._again}")
            if problem := difference(place, known[path]):
                self.refuse(source, f"{path} {problem}")
        if source.whole and (missing := sorted(known.keys() - files.keys())):
            self.refuse(source, f"{missing[0]} is missing")

    def refuse(self, source: Source, problem: str) -> NoReturn:
        """Raises `DataError`: the source has the problem."""
        raise DataError(f"{source.shown} is not as {self._shown} has it: {problem}")

    @property
    def _shown(self) -> str:
        return f"the lock of {self.name}"

    @property
    def _again(self) -> str:
        return f"`evalkit data lock {self.name}` makes a new lock"


@dataclass(frozen=True, slots=True)
class Lock:
    """The tasks of a lock file, by name."""

    format: int
    task: tuple[LockedTask, ...] = ()

    def of(self, name: str) -> LockedTask:
        """Returns what the task reads. Raises `UsageError` if the lock does not have the task."""
        for one in self.task:
            if one.name == name:
                return one
        there = listing([one.name for one in self.task])
        raise UsageError(f"the lock has no task {name}: it has {there}; `evalkit data lock` makes a new one")

    def only(self, names: Iterable[str]) -> Lock:
        """Returns the lock of these tasks alone; of all of them without names. Raises `UsageError`."""
        wanted = dict.fromkeys(names)
        return replace(self, task=tuple(self.of(name) for name in wanted)) if wanted else self

    def sources(self) -> list[Source]:
        """Returns the sources of all tasks, each commit and folder once with all of its files."""
        found: dict[tuple[str, ...], Source] = {}
        for task in self.task:
            for source in task.source:
                key = (source.kind, source.name, source.revision, source.asked)
                found[key] = merged(found[key], source) if key in found else source
        return [*found.values()]


def merged(one: Source, other: Source) -> Source:
    """Returns one source with the files of both. Raises `DataError` if they have a file with other bytes."""
    files = {file.path: file for file in one.files}
    for file in other.files:
        if files.setdefault(file.path, file) != file:
            raise DataError(f"{one.shown} has {file.path} with two digests: it changed while it was read")
    whole = one.whole or other.whole
    return replace(one, files=tuple(files[path] for path in sorted(files)), whole=whole)


def locked(name: str, sources: Iterable[Source]) -> LockedTask:
    """Returns a task of a lock, with its sources in a stable order."""
    found = tuple(sorted(sources, key=lambda one: (one.kind, one.name, one.asked)))
    return LockedTask(name, _digest(found), found)


def content_of(path: Path) -> Content:
    """Returns size and SHA-256 of a file. Raises `DataError` if it cannot be read."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as data:
            while chunk := data.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return Content(size, digest.hexdigest())


def difference(place: Path, file: LockedFile) -> str:
    """Returns how the file at `place` differs from the locked one, or ""; one of another size is not read."""
    try:
        size = place.stat().st_size
    except OSError as error:
        return f"cannot be read: {error.strerror or error} ({place})"
    if size != file.size:
        return f"has {size:,} bytes instead of {file.size:,} ({place})"
    found = content_of(place).sha256
    if found == file.sha256:
        return ""
    return f"has SHA-256 {found[:12]}… instead of {file.sha256[:12]}… ({place})"


def read_lock(path: Path) -> Lock:
    """Reads a lock file. Raises `UsageError` that names it and what is wrong in it."""
    if not path.is_file():
        raise UsageError(f"no lock file {path}: `evalkit data lock TASKS -o {path}` writes one")
    document = read_toml(path)
    found = document.get("format")
    if found != FORMAT:
        raise UsageError(f"{path} has format {found!r}, and this evalkit reads {FORMAT}: lock again")
    lock = from_json(Lock, document, str(path))
    for task in lock.task:
        for source in task.source:
            _check_source(source, f"{path}, task {task.name}")
        if task.digest != _digest(task.source):
            raise UsageError(f"{path}: the digest of {task.name} does not fit its files: lock again")
    return lock


def lock_text(lock: Lock) -> str:
    """Returns the text of a lock file: the tasks by name, and one line for each file."""
    lines = [_HEAD, f"format = {lock.format}"]
    for task in sorted(lock.task, key=lambda one: one.name):
        lines += ["", "[[task]]", f"name = {_text(task.name)}", f"digest = {_text(task.digest)}"]
        for source in task.source:
            lines += ["", *_source_lines(source)]
    return "\n".join(lines) + "\n"


def _source_lines(source: Source) -> list[str]:
    keys = ("kind", "name", "asked", "revision", "licence")
    stated = ((key, getattr(source, key)) for key in keys)
    lines = ["[[task.source]]", *(f"{key} = {_text(value)}" for key, value in stated if value)]
    if source.listing is not None:
        lines.append(f"listing = {{ size = {source.listing.size}, sha256 = {_text(source.listing.sha256)} }}")
    if source.whole:
        lines.append("whole = true")
    files = (
        f"    {{ path = {_text(file.path)}, size = {file.size}, sha256 = {_text(file.sha256)} }},"
        for file in source.files
    )
    return [*lines, "files = [", *files, "]"]


def _text(value: str) -> str:
    if not value.isprintable():
        raise DataError(f"{value!r} has characters that cannot be printed: a lock cannot name it")
    return json.dumps(value, ensure_ascii=False)


def _digest(sources: Iterable[Source]) -> str:
    state = hashlib.sha256()
    for source in sources:
        listed = source.listing.sha256 if source.listing else ""
        for file in source.files:
            parts = (source.kind, source.name, source.asked, source.revision, listed, file.path, file.sha256)
            state.update("\0".join(parts).encode() + b"\n")
    return state.hexdigest()


def _check_source(source: Source, where: str) -> None:
    """Raises `UsageError` for a name, revision or path with which a lock would lead out of the caches."""
    on_the_net = source.kind in ("hub", "space", "github")
    wrong = ""
    if on_the_net and not _REPOSITORY.fullmatch(source.name):
        wrong = f"{source.name!r} is not owner/name"
    elif on_the_net and not _COMMIT.fullmatch(source.revision):
        wrong = f"{source.revision!r} is not a commit"
    elif on_the_net and not is_inside(source.asked):
        wrong = f"{source.asked!r} is not a revision"
    for file in source.files:
        if not is_inside(file.path):
            wrong = wrong or f"{file.path!r} is not a path inside of the source"
    contents = [(file.size, file.sha256) for file in source.files]
    if source.listing is not None:
        contents.append((source.listing.size, source.listing.sha256))
    for size, sha256 in contents:
        if size < 0 or not _SHA256.fullmatch(sha256):
            wrong = wrong or f"size {size} and sha256 {sha256!r} are not those of a file"
    if wrong:
        raise UsageError(f"{where}, {source.kind} {source.name}: {wrong}")


def is_inside(path: str) -> bool:
    """Whether a relative path with slashes stays inside of the folder that it is relative to."""
    plain = path.isprintable() and "\\" not in path
    parts = path.split("/")
    return plain and not PurePosixPath(path).is_absolute() and not {"", ".", ".."} & set(parts)
