"""The user's own records: one file, or a folder with a data set in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from evalkit.data import folder
from evalkit.data.base import CsvCell, DataOptions, Record, Records
from evalkit.data.files import open_file, read_lines
from evalkit.data.inventory import note_files, note_folder
from evalkit.data.media import embedded, inside, no_file, some_there
from evalkit.errors import DataError


@dataclass(frozen=True, slots=True)
class Local:
    """A file of records, or one split of a folder in any layout that `datasets` reads.

    A file is JSON lines, JSON (a list of objects), CSV or TSV (every cell a text), or Parquet, by its
    extension; text files may also be packed (.gz, .bz2, .xz, .zst). A folder holds such files, or pictures
    and sounds with a metadata.jsonl that names them. `config` and `split` apply to a folder only.

    A relative path is relative to the working directory. `Path(__file__).with_name("questions.jsonl")` is
    beside the task's file.
    """

    path: Path | str
    config: str = "default"
    split: str = "test"
    columns: tuple[str, ...] = ()
    """The columns that the task reads. Data without them is refused."""
    files: tuple[str, ...] = ()
    """Columns with pictures or sounds, or with names of such files, relative to the folder (or the file's
    folder). A record that names a file outside of it is refused. A file that is missing fails its samples
    only; `open` raises `DataError` if all are."""
    paths: tuple[str, ...] = ()
    """Columns that name large files, such as videos. A record has them as a `Path`, and the file is not read
    yet. A file outside of the folder is refused; one that is missing is a mapping for `Video.of`, as in
    `files`."""
    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records. Raises `DataError` if the path does not exist or has another layout."""
        path, options = Path(self.path), options or DataOptions()
        options.without_revision("a folder" if path.is_dir() else "a file")
        if path.is_dir():
            note_folder(options, path)
            return some_there(_with_files(self._folder(path), self, path))
        if not path.exists() and not path.suffix:
            raise DataError(f"no folder {path} in {Path.cwd()}")
        return _opened(open_file(path, self.columns), self, path, options)

    def _folder(self, path: Path) -> Records:
        place = str(path)
        plans = folder.plan(path, (self.config,), self.split, place)
        origin = {
            "kind": "folder",
            "name": path.name,
            "config": self.config,
            "split": self.split,
            "revision": "",
            "where": place,
        }
        return folder.read(plans, path, columns=self.columns, place=place, origin=origin)


@dataclass(frozen=True, slots=True)
class JsonLines:
    """The objects of a file with one object per line, whatever its name; packed if the name says so.

    `columns`, `files` and `paths` are as in `Local`.
    """

    path: Path | str
    columns: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records. Raises `DataError`, which names the line that is not an object."""
        path, options = Path(self.path), options or DataOptions()
        options.without_revision("a file")
        return _opened(open_file(path, self.columns, read_lines), self, path, options)


def _opened(records: Records, data: Local | JsonLines, path: Path, options: DataOptions) -> Records:
    """Returns the records of the file at `path`, with the files that they name."""
    if options.inventory is not None or options.lock is not None:
        note_files(options, path.parent, [path])  # before its records are trusted to name others
        note_files(options, path.parent, _named(records, data, path.parent))
    return some_there(_with_files(records, data, path.parent))


def _named(records: Records, data: Local | JsonLines, root: Path) -> Iterator[Path]:
    """Yields the files that the records name in columns `files` and `paths`, those that are there."""
    columns = (*data.files, *data.paths)
    for record in records if columns else ():
        for value in (_as_stored(record[name], root) for name in columns if name in record):
            for item in value if isinstance(value, list) else [value]:
                name = item["path"] if isinstance(item, dict) else None
                if isinstance(name, str) and (file := inside(root, name)).is_file():
                    yield file


def _with_files(records: Records, data: Local | JsonLines, root: Path) -> Records:
    """Returns the records with the files in columns `files` read, and those in columns `paths` as paths."""
    if not (data.files or data.paths):
        return records

    def read(record: Record) -> Record:
        named = {name: _as_stored(record[name], root) for name in data.files}
        found = {name: _found(record[name], root) for name in data.paths}
        return embedded({**record, **named, **found}, data.files, root)

    return replace(records, read=lambda: map(read, records))


def _found(name: Any, root: Path) -> Path | Record:
    """Returns the path of the file, or what `Video.of` takes for one that is missing."""
    if not isinstance(name, str):
        raise DataError(f"{root}: a record must name a file, not {str(name)[:80]!r}")
    path = inside(root, name)
    if not os.path.isfile(path):  # noqa: PTH113 — also False for an invalid name
        return {"bytes": None, "path": name, "problem": no_file(root, name)}
    return path


def _as_stored(value: Any, root: Path) -> Any:
    if isinstance(value, CsvCell):
        value = value.listed() or value
    if isinstance(value, list):
        return [_as_stored(item, root) for item in value]
    if not isinstance(value, str):
        return value
    return {"bytes": None, "path": value}
