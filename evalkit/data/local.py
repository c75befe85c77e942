"""Records of a data set in a folder of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evalkit.data import folder
from evalkit.data.base import DataOptions, Records
from evalkit.errors import DataError


@dataclass(frozen=True, slots=True)
class Local:
    """One split of a folder in any shape that `datasets` reads: parquet, JSON lines, CSV, or pictures and
    sounds with a metadata.jsonl that names them."""

    path: Path
    config: str
    split: str
    columns: tuple[str, ...] = ()

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
        return folder.read(plans, self.path, columns=self.columns, place=place, origin=origin)
