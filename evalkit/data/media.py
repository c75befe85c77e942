"""Pictures and sounds in records: keeps them undecoded, and reads those that are separate files."""

from __future__ import annotations

import errno
import itertools
import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.data.base import Record, Records
from evalkit.errors import DataError

if TYPE_CHECKING:
    from datasets import Features

_MOST_NAMES = 10_000
"""How many names in a folder are compared with one that is not there."""


def undecoded(features: Features) -> Features:
    """Returns the features with undecoded images, sounds and videos.

    `IterableDataset.decode(False)` would also leave JSON as text.
    """
    from datasets import Features

    return Features({name: _stored(feature) for name, feature in features.items()})


def media_columns(features: Features | None) -> tuple[str, ...]:
    """Returns the columns with images, sounds or videos, single or in lists."""
    return tuple(name for name, feature in (features or {}).items() if _stored(feature) != feature)


def embedded(record: Record, columns: tuple[str, ...], root: Path) -> Record:
    """Returns the record with the bytes of the files that it names, which must be below `root`.

    The bytes of a file that is missing or cannot be read stay None, and `problem` says why: only the samples
    with this file fail. Raises `DataError` for a file outside of `root`, because a data set must not make
    evalkit send other files of this machine to a model.
    """
    return {**record, **{name: _with_bytes(record[name], root) for name in columns}}


def some_there(records: Records) -> Records:
    """Returns the records. Raises `DataError` if all of them lack the pictures and sounds that they name.

    A few that are missing fail their samples only. Of the records those up to the first with a file are read.
    """
    count, first = 0, ""
    for record in records:
        said = [_problem(item) for value in record.values() for item in _items(value)]
        if None in said or not any(said):
            return records
        count, first = count + 1, first or next(filter(None, said))
    if first:
        raise DataError(f"{first} (none of the files is there that its {count:,} records name)")
    return records


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _problem(value: Any) -> str | None:
    """Returns why a file is not there, None for one that is there, and "" for what is no file."""
    if isinstance(value, Mapping) and {"bytes", "path"} <= set(value):
        return str(value.get("problem") or "") or None
    return None if isinstance(value, Path) else ""


def inside(root: Path, name: str) -> Path:
    """Returns the path of a file that a record names, relative to `root`. Raises `DataError` if outside.

    A name whose letters with marks are composed finds a file whose name has them decomposed, and the reverse
    (NFC and NFD, Unicode Standard Annex 15): macOS writes the latter, nearly everything else the former.
    """
    file = _spelled(Path(os.path.abspath(root / name)))  # noqa: PTH100 — links lead out of the Hub's cache
    if not any(file.is_relative_to(place) for place in (root.absolute(), root.resolve())):
        raise DataError(f"{root} names a file outside of itself, which was not read: {name!r}")
    return file


def no_file(root: Path, name: str) -> str:
    """Returns what to say of a file that is not below `root`: its name, and a similar one that is there."""
    near = near_name(root, name)
    return f"{root} has no file {name[:80]!r}, which its records name" + (
        near and f": did you mean {near!r}?"
    )


def near_name(root: Path, name: str) -> str:
    """Returns the name of a file in the same folder that is similar to that of a missing one, or ""."""
    file = root / name
    names = itertools.islice(_names(file.parent), _MOST_NAMES)
    near = get_close_matches(file.name[:80], names, n=1, cutoff=0.6)
    return (Path(name).parent / near[0]).as_posix() if near else ""


def _spelled(file: Path) -> Path:
    """Returns the path as the disk spells it: each part that is not there may be there in another form."""
    if str(file).isascii() or os.path.lexists(file) or file == file.parent:
        return file
    parent = _spelled(file.parent)
    plain = unicodedata.normalize("NFC", file.name)
    same = (name for name in _names(parent) if unicodedata.normalize("NFC", name) == plain)
    return parent / next(same, file.name)


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except (OSError, ValueError):
        return


def _stored(feature: Any) -> Any:
    from datasets import Json, LargeList, List

    if isinstance(feature, dict):
        return {name: _stored(inner) for name, inner in feature.items()}
    if isinstance(feature, (List, LargeList)):
        return replace(feature, feature=_stored(feature.feature))
    if getattr(feature, "decode", False) and not isinstance(feature, Json):
        return replace(feature, decode=False)
    return feature


def _with_bytes(value: Any, root: Path) -> Any:
    if isinstance(value, list):
        return [_with_bytes(item, root) for item in value]
    if not isinstance(value, Mapping):
        return value
    if set(value) != {"bytes", "path"}:
        return {name: _with_bytes(item, root) for name, item in value.items()}
    if value["bytes"] is not None or not value["path"]:
        return value
    file = inside(root, value["path"])
    try:
        if file.is_file():
            return {**value, "bytes": file.read_bytes()}
    except (OSError, ValueError) as error:
        if getattr(error, "errno", 0) == errno.ENAMETOOLONG:  # such as a picture in base64
            return {**value, "problem": no_file(root, value["path"])}
        reason = getattr(error, "strerror", None) or error
        return {**value, "problem": f"{value['path'][:80]} cannot be read: {reason}"}
    return {**value, "problem": no_file(root, value["path"])}
