"""Pictures and sounds in records: as they are stored, and those that are files of their own read in."""

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
    """The features with images, sounds and videos as they are stored.

    `IterableDataset.decode(False)` would leave JSON as text too.
    """
    from datasets import Features

    return Features({name: _stored(feature) for name, feature in features.items()})


def media_columns(features: Features | None) -> tuple[str, ...]:
    """The columns that hold images, sounds or videos, alone or in lists."""
    return tuple(name for name, feature in (features or {}).items() if _stored(feature) != feature)


def embedded(record: Record, columns: tuple[str, ...], root: Path) -> Record:
    """The record with the bytes of those files that it only names, which must lie below `root`.

    A file that is not there leaves its bytes None. Raises `DataError` for one outside: a data set must not
    have files of this machine sent to a model.
    """
    return {**record, **{name: _with_bytes(record[name], root) for name in columns}}


def inside(root: Path, name: str) -> Path:
    """The place that a record names, from `root` on. Raises `DataError` for one outside of it."""
    file = Path(os.path.abspath(root / name))  # noqa: PTH100 — links lead out of the Hub's cache
    if not any(file.is_relative_to(place) for place in (root.absolute(), root.resolve())):
        raise DataError(f"{root} names a file outside of itself: {name!r}: it was not read")
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
