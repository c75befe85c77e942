"""What an opened data set is, whatever it was read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from evalkit.errors import DataError

Record: TypeAlias = Mapping[str, Any]
"""One row: plain Python values. Media columns are `{"bytes": ..., "path": ...}`, not decoded."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the records that is all of one group, such as a language.

    `name`: the group's. `count`: how many records, where that is known before it is opened.
    """

    name: str
    count: int | None
    open: Callable[[], Records]
    """Its records, opened only now. Raises `DataError`."""


@dataclass(frozen=True, slots=True)
class Records:
    """One split, opened. Iterate as often as you like: records are streamed, memory stays constant."""

    origin: Mapping[str, str]
    """Where they came from: `kind` (hub, folder, file, package, small sets, runs, generated), `name`,
    `config`, `split`, `revision` (a commit, a digest, a seed, or empty), `where` (a URL, a path, a
    package's version), and `mapped`, the code that made them of others, where some did."""
    count: int | None
    """How many there are, where that is cheap to know."""
    read: Callable[[], Iterator[Record]]
    parts: tuple[Stretch, ...] = ()
    """The groups that all of them consist of, in order, where these can be read apart."""

    def __iter__(self) -> Iterator[Record]:
        return self.read()


@dataclass(frozen=True, slots=True)
class DataOptions:
    """Where the user wants data to be read from; by default each task's own place."""

    folder: Path | None = None
    """A folder shaped like the Hub: `FOLDER/<owner>/<name>/...`."""
    small_sets: bool = False
    """evalkit's own small sets, which come with the package."""
    revision: str | None = None
    """A branch, tag or sha to read instead of the pinned revision."""

    @property
    def elsewhere(self) -> bool:
        """Whether other data are read than the task's own, so that what it states of them does not hold."""
        return self.folder is not None or self.small_sets or self.revision is not None

    def without_revision(self, what: str) -> None:
        """Raises `DataError` where a revision is asked for: `what` has none."""
        if self.revision is not None:
            raise DataError(f"revision {self.revision!r}: {what} has no revisions, leave it out")


class Data(Protocol):
    """Something a task reads its records from.

    Where opening costs no download it may say so by an attribute `at_hand` that is True: then `Parts` opens
    all of them at once and knows how many there are.
    """

    def open(self, options: DataOptions = ...) -> Records:
        """The records, or a `DataError` that says what is missing and what helps."""
        ...


def at_hand(data: Data) -> bool:
    """Whether opening `data` costs no download, by their own word."""
    return bool(getattr(data, "at_hand", False))


def name_of(function: Callable[..., object]) -> str:
    """What a function is called, for people."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def counted(records: Records, count: int, place: str) -> Records:
    """The records, of which `count` is stated: whoever reads them to the end is told if that is not so.

    Raises `DataError` at once where another number is known. `place` is what errors call them.
    """
    if records.count not in (None, count):
        raise DataError(f"{place} has {records.count} records, and {count} are stated")

    def read() -> Iterator[Record]:
        found = 0
        for found, record in enumerate(records, 1):
            if found > count:
                raise DataError(f"{place} has more than the {count} records that are stated")
            yield record
        if found < count:
            raise DataError(f"{place} has {found} records, and {count} are stated")

    return replace(records, count=count, read=read)


BUILTIN = ("builtin", "samples")
"""What `--data` calls evalkit's own small sets: its name, and the one that it had before."""


def data_options(data: str | Path | None) -> DataOptions:
    """What `--data` means: `builtin` for evalkit's own small sets, else a folder shaped like the Hub."""
    if data is None:
        return DataOptions()
    if str(data) in BUILTIN:
        return DataOptions(small_sets=True)
    return DataOptions(folder=Path(data))
