"""What an opened data set is, whatever it was read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Record: TypeAlias = Mapping[str, Any]
"""One row: plain Python values. Media columns are `{"bytes": ..., "path": ...}`, not decoded."""


@dataclass(frozen=True, slots=True)
class Part:
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
    """Where they came from: `kind` (hub, folder, package, small sets), `name`, `config`, `split`,
    `revision` (a commit sha, or empty) and `where` (a URL, a folder, a package's version)."""
    count: int | None
    """How many there are, where that is cheap to know."""
    read: Callable[[], Iterator[Record]]
    parts: tuple[Part, ...] = ()
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


class Data(Protocol):
    """Something a task reads its records from."""

    def open(self, options: DataOptions = ...) -> Records:
        """The records, or a `DataError` that says what is missing and what helps."""
        ...
