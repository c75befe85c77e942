"""The interface of data sets, whatever they are read from."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from evalkit.errors import DataError

if TYPE_CHECKING:
    from evalkit.data.inventory import Inventory
    from evalkit.data.lock import LockedTask

Record: TypeAlias = Mapping[str, Any]
"""One row with plain Python values. Media columns are `{"bytes": ..., "path": ...}`, not decoded."""


class Number(float):
    """A number of a JSON file with a point or an exponent. As a text it is what the file says: 1.50."""

    def __new__(cls, spelling: str) -> Number:
        number = super().__new__(cls, spelling)
        number.spelling = str(spelling)
        return number

    spelling: str

    def __str__(self) -> str:
        return self.spelling


class CsvCell(str):
    """A cell of a CSV or TSV file. It may stand for a list, as such a file has no other way to hold one."""

    __slots__ = ()

    def listed(self) -> list[str] | None:
        """Returns the texts of a cell that is a list of texts, as JSON or Python writes it; else None."""
        text = self.strip()
        if not (text.startswith("[") and text.endswith("]")):
            return None
        for parse in (json.loads, ast.literal_eval):
            try:
                found = parse(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, list) and found and all(isinstance(item, str) for item in found):
                return found
        return None


def text_of(value: object, column: str) -> str:
    """Returns a record's value as the text that its file has there, such as 1.50 for a number of JSON.

    Raises `ValueError` for a null, a list and an object. `column`: the value's name in the error.
    """
    if isinstance(value, bool):
        return json.dumps(value)
    if value is None or isinstance(value, list | tuple | Mapping | bytes):
        raise ValueError(f"{column} must be a text, not {type(value).__name__}: {str(value)[:60]!r}")
    return str(value)


def list_of(value: object, column: str) -> list[Any]:
    """Returns a record's value that is a list, also one that a cell of CSV has as JSON or Python.

    Raises `ValueError` for anything else, because a text would be taken for its letters, and an object for
    its keys. `column`: the value's name in the error.
    """
    found = value.listed() if isinstance(value, CsvCell) else value
    if not isinstance(found, list):
        raise ValueError(f"{column} must be a list, not {type(value).__name__}: {str(value)[:60]!r}")
    return found


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive records that all belong to one group, such as a language.

    `name`: the name of the group. `count`: how many records; None if unknown before the part is opened.
    """

    name: str
    count: int | None
    open: Callable[[], Records]
    """Opens the part and returns its records. Raises `DataError`."""


@dataclass(frozen=True, slots=True)
class Records:
    """An opened split. It can be iterated any number of times; records are streamed in constant memory."""

    origin: Mapping[str, str]
    """Where the records came from: `kind` (hub, folder, file, package, small sets, runs, generated), `name`,
    `config`, `split`, `revision` (a commit, a digest, a seed, or empty), `where` (a URL, a path, a
    package's version); for mapped records `mapped`, the code that made them; and for generated ones, if there
    is more to say, `made`: what they were made with, which signatures show."""
    count: int | None
    """How many records there are; None unless that is cheap to know."""
    read: Callable[[], Iterator[Record]]
    parts: tuple[Stretch, ...] = ()
    """The groups of all records, in order, if the groups can be read separately."""

    def __iter__(self) -> Iterator[Record]:
        return self.read()


@dataclass(frozen=True, slots=True)
class DataOptions:
    """Where data is read from; by default from each task's own source."""

    folder: Path | None = None
    """A folder laid out like the Hub: `FOLDER/<owner>/<name>/...`."""
    small_sets: bool = False
    """Whether to read evalkit's own small data sets, which come with the package."""
    revision: str | None = None
    """A branch, tag or sha to read instead of the pinned revision."""
    lock: LockedTask | None = None
    """What the task may read: commits and files that differ are refused."""
    inventory: Inventory | None = None
    """Gets the names and digests of the files that are read, of which large ones are not downloaded. The
    records are read all the same if somebody iterates them."""

    @property
    def elsewhere(self) -> bool:
        """Whether data other than the task's own is read, so that the task's sizes do not apply."""
        return self.folder is not None or self.small_sets or self.revision is not None

    def without_revision(self, what: str) -> None:
        """Raises `DataError` if a revision is set, because `what` has none."""
        if self.revision is not None:
            raise DataError(f"revision {self.revision!r}: {what} has no revisions, so leave it out")


class Data(Protocol):
    """The source of a task's records.

    Data that opens without a download may have an attribute `at_hand` that is True. `Parts` then opens all
    parts at once and knows how many records there are. Data that opens other data passes on its `options`, so
    that a lock applies to all files.
    """

    def open(self, options: DataOptions = ...) -> Records:
        """Returns the records. Raises `DataError`, which says what is missing and how to fix it."""
        ...


def at_hand(data: Data) -> bool:
    """Whether `data` says that it opens without a download."""
    return bool(getattr(data, "at_hand", False))


def name_of(function: Callable[..., object]) -> str:
    """Returns the name of a function for display."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def counted(records: Records, count: int, place: str) -> Records:
    """Returns the records with the given `count`, which reading them to the end checks.

    Raises `DataError` at once if a different number is already known. `place`: the data's name in errors.
    """
    if records.count not in (None, count):
        raise DataError(f"{place} has {records.count} records, but must have {count}")

    def read() -> Iterator[Record]:
        found = 0
        for found, record in enumerate(records, 1):
            if found > count:
                raise DataError(f"{place} has more records, but must have {count}")
            yield record
        if found < count:
            raise DataError(f"{place} has {found} records, but must have {count}")

    return replace(records, count=count, read=read)


BUILTIN = ("builtin", "samples")
"""The values of `--data` for evalkit's own small data sets: the current name and the former one."""


def data_options(data: str | Path | None) -> DataOptions:
    """Parses `--data`: `builtin` for evalkit's own small data sets, else a folder laid out like the Hub."""
    if data is None:
        return DataOptions()
    if str(data) in BUILTIN:
        return DataOptions(small_sets=True)
    return DataOptions(folder=Path(data))


def check_columns(columns: Sequence[str], found: set[str], place: str) -> None:
    """Raises `DataError` if the data lacks a column that the task needs."""
    missing = [column for column in columns if column not in found]
    if missing:
        raise DataError(
            f"{place}: changed schema, no column {', '.join(missing)} among {listing(sorted(found))}: "
            "read the pinned revision, or change the task's columns"
        )


@contextmanager
def readable(place: str, fix: str = "delete the damaged file and fetch it again") -> Iterator[None]:
    """Turns any error from a damaged file or card into a `DataError`, because each reader has its own."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        # The library wraps the reader's own message, which is more helpful.
        cause = error.__cause__ or error
        words = " ".join(str(cause).split())[:200] or type(cause).__name__
        raise DataError(f"{place} cannot be read ({words}): {fix}") from error


def listing(names: Sequence[str], most: int = 12) -> str:
    """Returns names for one line of an error."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) + more) or "none"
