"""Reads clips from a folder of the user's own with a list of them.

`datasets` calls this layout an audio folder and needs torch to read it, even if nothing is decoded (5.2.0,
features/audio.py, `encode_example`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from evalkit.data.base import DataOptions, Record, Records, check_columns
from evalkit.data.files import numbered_rows, numbered_values
from evalkit.data.inventory import note_folder
from evalkit.data.media import embedded, some_there
from evalkit.errors import DataError

LISTS = ("metadata.jsonl", "metadata.csv")
FILE = "file_name"


@dataclass(frozen=True, slots=True)
class AudioFolder:
    """The clips that `path/metadata.jsonl`, or .csv, names under `file_name`, with their other columns.

    With a `split`, the folder is `path/split`. A record has its clip under `audio`. A missing clip has no
    bytes, and `open` raises `DataError` if all are missing. A clip outside of the folder is a `DataError`,
    because a data set must not make evalkit send other files of this machine to a model.
    """

    path: Path
    split: str = ""
    columns: tuple[str, ...] = ()
    at_hand: ClassVar[bool] = True

    @property
    def root(self) -> Path:
        return self.path / self.split

    @classmethod
    def fits(cls, path: Path, split: str = "") -> bool:
        """Whether the folder has a list of clips."""
        return any((path / split / name).is_file() for name in LISTS)

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records. Raises `DataError` if the folder has no list, or if it cannot be read."""
        options = options or DataOptions()
        options.without_revision("a folder")
        found = next((self.root / name for name in LISTS if (self.root / name).is_file()), None)
        if found is None:
            raise DataError(f"{self.root} has neither {' nor '.join(LISTS)}, which must name its clips")
        note_folder(options, self.root)
        rows = _lines if found.suffix == ".jsonl" else _table
        count, columns = 0, set[str]()
        for row in rows(found):
            columns |= {*row, "audio"}
            count += 1
        if not count:
            raise DataError(f"{found} names no clips")
        check_columns(self.columns, columns, str(found))
        origin = {
            "kind": "folder",
            "name": self.path.name,
            "config": "default",
            "split": self.split,
            "revision": "",
            "where": str(self.root),
        }
        return some_there(Records(origin, count, lambda: (self._with_clip(row) for row in rows(found))))

    def _with_clip(self, row: Record) -> Record:
        return embedded({**row, "audio": {"bytes": None, "path": row[FILE]}}, ("audio",), self.root)


def _lines(file: Path) -> Iterator[Record]:
    """Yields the objects of a JSON lines file, each of which must name a clip."""
    for number, value in numbered_values(file):
        yield _named(value, f"{file}, line {number}")


def _table(file: Path) -> Iterator[Record]:
    """Yields the rows of a CSV file with a header. Each must name a clip and have a cell for each column.

    A row with more cells has a text with an unquoted delimiter, of which only a part would be read.
    """
    for number, (line, header, row) in enumerate(numbered_rows(file), 1):
        place = f"{file}, line {line}, row {number}"
        if len(row) != len(header):
            raise DataError(f"{place}: must have as many cells as the header; quote each delimiter in a text")
        yield _named(dict(zip(header, row, strict=True)), place)


def _named(row: object, place: str) -> Record:
    if not isinstance(row, dict) or not isinstance(row.get(FILE), str) or not row[FILE]:
        raise DataError(f"{place}: {FILE!r} must name a clip")
    return row
