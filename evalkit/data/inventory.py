"""What a task's data is read from: the files are listed for a lock, or compared with one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from evalkit.data.base import DataOptions
from evalkit.data.lock import Kind, LockedFile, Source, content_of, merged


@runtime_checkable
class Reads(Protocol):
    """Something other than data that reads files, such as a metric whose code is on the Hub."""

    def note(self, options: DataOptions) -> None:
        """Lists the files in `options.inventory`, and compares them with `options.lock`.

        Raises `DataError`.
        """
        ...


@dataclass(slots=True)
class Inventory:
    """The sources that data names while it is opened with it (`DataOptions.inventory`)."""

    found: dict[tuple[str, str, str], Source] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        """Adds files of a source. Raises `DataError` if one changed since it was last added."""
        key = (source.kind, source.name, source.asked)
        self.found[key] = merged(self.found[key], source) if key in self.found else source


def note(
    options: DataOptions,
    kind: Kind,
    name: str,
    files: Mapping[str, Path],
    *,
    revision: str = "",
    whole: bool = False,
) -> None:
    """Lists files on this machine in the inventory, and compares them with the lock, if `options` have these.

    `files`: by their paths in the source. `whole`: they are all files of a folder. Raises `DataError`.
    """
    if options.inventory is not None:
        known = [(path, content_of(place)) for path, place in sorted(files.items())]
        listed = tuple(LockedFile(path, content.size, content.sha256) for path, content in known)
        options.inventory.add(Source(kind, name, listed, revision, revision, whole=whole))
    if options.lock is not None:
        options.lock.check(options.lock.find(kind, name, revision), files)


def note_folder(options: DataOptions, root: Path) -> None:
    """`note` for all files of a folder of the user's."""
    if options.inventory is not None or options.lock is not None:
        note(options, "local", local_name(root), {path: root / path for path in below(root)}, whole=True)


def note_files(options: DataOptions, root: Path, files: Iterable[Path]) -> None:
    """`note` for some files below a folder of the user's."""
    if options.inventory is not None or options.lock is not None:
        found = {Path(os.path.relpath(file, root)).as_posix(): file for file in files}
        note(options, "local", local_name(root), found)


def local_name(root: Path) -> str:
    """Returns how a lock names a folder: relative to the working directory if it is inside of it."""
    place, here = root.resolve(), Path.cwd().resolve()
    return place.relative_to(here).as_posix() if place.is_relative_to(here) else place.as_posix()


def below(root: Path) -> Iterator[str]:
    """Yields the paths of all files below a folder, relative to it, in order."""
    for place, folders, files in os.walk(root):
        folders.sort()
        yield from (Path(place, file).relative_to(root).as_posix() for file in sorted(files))
