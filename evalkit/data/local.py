"""Records of a data set in a folder of the user's own."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.data import folder
from evalkit.data.base import DataOptions, Record, Records
from evalkit.data.media import embedded
from evalkit.errors import DataError


@dataclass(frozen=True, slots=True)
class Local:
    """One split of a folder in any shape that `datasets` reads: parquet, JSON lines, CSV, or pictures and
    sounds with a metadata.jsonl that names them."""

    path: Path
    config: str
    split: str
    columns: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """Columns of pictures or sounds that may also be texts: names of files, from the folder on."""

    def open(self, options: DataOptions | None = None) -> Records:
        """The records. Raises `DataError` for a folder that is not there or of another shape."""
        if options is not None and options.revision is not None:
            raise DataError(f"revision {options.revision!r}: a folder has no revisions, leave it out")
        if not self.path.is_dir():
            raise DataError(f"no folder {self.path} in {Path.cwd()}")
        place = str(self.path)
        plans = folder.plan(self.path, (self.config,), self.split, place)
        origin = {
            "kind": "folder",
            "name": self.path.name,
            "config": self.config,
            "split": self.split,
            "revision": "",
            "where": place,
        }
        records = folder.read(plans, self.path, columns=self.columns, place=place, origin=origin)
        return replace(records, read=lambda: map(self._with_files, records)) if self.files else records

    def _with_files(self, record: Record) -> Record:
        named = {name: self._as_stored(record[name]) for name in self.files}
        return embedded({**record, **named}, self.files, self.path)

    def _as_stored(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._as_stored(item) for item in value]
        if not isinstance(value, str):
            return value
        if not os.path.isfile(self.path / value):  # noqa: PTH113 — false also for what can be no name
            raise DataError(f"{self.path} has no file {value[:80]!r}, which its records name")
        return {"bytes": None, "path": value}
