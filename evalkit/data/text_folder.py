"""Reads a folder of the user's own with one text in each file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from evalkit.data.base import DataOptions, Record, Records
from evalkit.data.inventory import note_files
from evalkit.errors import DataError

ENDING = ".txt"


@dataclass(frozen=True, slots=True)
class TextFolder:
    """The texts of all .txt files in `path` and the folders below it, in the order of their names.

    A record has the file's name, relative to the folder, under `name`, and its whole text under `text`. Files
    are UTF-8; line ends are kept as they are, without a byte order mark. Links are followed only inside the
    folder. The origin has a digest of all files.
    """

    path: Path
    at_hand: ClassVar[bool] = True

    @classmethod
    def fits(cls, path: Path) -> bool:
        """Whether the folder has a text file."""
        return path.is_dir() and any(_files(path))

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records. Raises `DataError` if there is no text file, or if one is not UTF-8."""
        options = options or DataOptions()
        options.without_revision("a folder of texts")
        files = sorted(_files(self.path), key=lambda file: file.relative_to(self.path).as_posix())
        if not files:
            raise DataError(f"{self.path} has no {ENDING} files")
        note_files(options, self.path, files)
        digest = hashlib.sha256()
        for file in files:
            _text(file)
            digest.update(file.relative_to(self.path).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        origin = {
            "kind": "folder",
            "name": self.path.name,
            "config": "",
            "split": "",
            "revision": f"sha256 {digest.hexdigest()[:12]}",
            "where": str(self.path),
        }
        return Records(origin, len(files), lambda: self._read(files))

    def _read(self, files: list[Path]) -> Iterator[Record]:
        for file in files:
            yield {"name": file.relative_to(self.path).as_posix(), "text": _text(file)}


def _files(path: Path) -> Iterator[Path]:
    root = path.resolve()
    for file in path.rglob(f"*{ENDING}"):
        if file.is_file() and file.resolve().is_relative_to(root):
            yield file


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 ({error}): save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from None
