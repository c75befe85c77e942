"""Pictures and sounds in records: keeps them undecoded, and reads those that are separate files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.data.base import Record
from evalkit.errors import DataError

if TYPE_CHECKING:
    from datasets import Features


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

    The bytes of a missing file stay None. Raises `DataError` for a file outside of `root`, because a data set
    must not make evalkit send other files of this machine to a model.
    """
    return {**record, **{name: _with_bytes(record[name], root) for name in columns}}


def inside(root: Path, name: str) -> Path:
    """Returns the path of a file that a record names, relative to `root`. Raises `DataError` if outside."""
    file = Path(os.path.abspath(root / name))  # noqa: PTH100 — links lead out of the Hub's cache
    if not any(file.is_relative_to(place) for place in (root.absolute(), root.resolve())):
        raise DataError(f"{root} names a file outside of itself, which was not read: {name!r}")
    return file


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
    return {**value, "bytes": file.read_bytes() if file.is_file() else None}
