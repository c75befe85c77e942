"""Reads JSON lines out of a zip file of a data set on the Hub, without unpacking it onto the disk.

Some data sets are a script and zip files, such as `tau/scrolls`. The script is not run; the zip file is read.
It may be broken or hostile: a member is read as a stream and by its exact name, it may have `MOST_MEMBER`
bytes when unpacked, and a line `files.MOST_LINE`, so that a small zip file can fill neither memory nor disk.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from evalkit.data import folder
from evalkit.data.base import DataOptions, Record, Records, check_columns, listing
from evalkit.data.files import objects, read_lines
from evalkit.data.hub import Hub
from evalkit.data.packed import DAMAGE
from evalkit.errors import DataError

MOST_MEMBER = 1 << 30
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The compressions that are read. Others may take gigabytes for a dictionary."""
_ENCRYPTED = 1
"""The bit of `ZipInfo.flag_bits` for a member with a password."""


@dataclass(frozen=True, slots=True)
class HubZip:
    """One split of a data set on the Hub that is a file of JSON lines in a zip file.

    The file is `FOLDER/SPLIT.jsonl` in `archive`, with the archive's name for FOLDER. A folder of the user's
    (`--data DIR`) may have the archive, or the file unpacked beside it.
    """

    name: str
    """`owner/name` on the Hub."""
    archive: str
    """The path of the zip file in the data set, such as "qasper.zip"."""
    split: str
    revision: str
    """The pinned commit."""
    columns: tuple[str, ...] = ()
    """The columns that the task reads. Data without them is refused."""

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records. The file is read once, to find damage before a run. Raises `DataError`."""
        options = options or DataOptions()
        tree = folder.SMALL_SETS if options.small_sets else options.folder
        if tree is not None:
            options.without_revision(f"{self.name} in {tree}")
            kind = "small sets" if options.small_sets else "folder"
            return self._records(self._found(tree, options), kind, "", str(tree))
        from huggingface_hub import constants

        hub = Hub(self.name, self._config, self.split, self.revision)
        sha, path = hub.file(self.archive, options)
        where = f"{constants.ENDPOINT}/datasets/{self.name}/tree/{sha}"
        if options.inventory is not None:
            now = replace(options, inventory=None, revision=sha)
            return Records(self._origin("hub", sha, where), None, lambda: iter(self.open(now)))
        return self._records(partial(member_lines, path, self._member), "hub", sha, where)

    @property
    def _config(self) -> str:
        return Path(self.archive).stem

    @property
    def _member(self) -> str:
        return f"{self._config}/{self.split}.jsonl"

    def _found(self, tree: Path, options: DataOptions) -> Callable[[], Iterator[Record]]:
        root = folder.locate(tree, self.name)
        archive = root / self.archive
        unpacked = archive.parent / self._member
        if archive.is_file():
            if options.lock is not None:
                source = options.lock.find("hub", self.name, self.revision)
                options.lock.check(source, {self.archive: archive})
            return partial(member_lines, archive, self._member)
        if unpacked.is_file() and options.lock is None:  # which has the digest of the archive
            return partial(read_lines, unpacked)
        raise DataError(
            f"{self.name} in {tree} has neither {self.archive} nor {self._member}: copy one of them"
        )

    def _records(self, read: Callable[[], Iterator[Record]], kind: str, revision: str, where: str) -> Records:
        count, columns = 0, set[str]()
        for record in read():
            columns = columns or set(record)
            count += 1
        place = f"{self._member} of {self.name}"
        if not count:
            raise DataError(f"{place} has no records")
        check_columns(self.columns, columns, place)
        return Records(self._origin(kind, revision, where), count, read)

    def _origin(self, kind: str, revision: str, where: str) -> dict[str, str]:
        return {
            "kind": kind,
            "name": self.name,
            "config": self._config,
            "split": self.split,
            "revision": revision,
            "where": where,
        }


def member_lines(path: Path, member: str) -> Iterator[Record]:
    """Yields the objects of the file `member` in the zip file at `path`, one per line.

    Raises `DataError`, which names the zip file, the member and the line.
    """
    place = path / member
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_member(archive, member, path)) as data:
            yield from objects(place, data)
    except (zipfile.BadZipFile, *DAMAGE) as error:
        raise DataError(f"{place} cannot be read ({error}): delete {path.name} and fetch it again") from None


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> zipfile.ZipInfo:
    there = [entry for entry in archive.infolist() if entry.filename == name]
    if not there:
        raise DataError(f"{path} has no file {name}: it has {listing(sorted(archive.namelist()))}")
    (entry, *others) = there
    if others:
        raise DataError(f"{path} has {name} {len(there)} times: it is not clear which one to read")
    if entry.file_size > MOST_MEMBER:
        raise DataError(
            f"{path}: {name} has {entry.file_size:,} bytes when unpacked: at most {MOST_MEMBER:,} are read"
        )
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        raise DataError(f"{path}: {name} must have no password, and be deflated or stored: pack it again")
    return entry
