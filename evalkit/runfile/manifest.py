"""The manifest of a run file: entries by key, as JSON. They are checked when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NoReturn

import orjson

from evalkit.convert import typed
from evalkit.errors import UsageError
from evalkit.runfile.records import StoredBatch
from evalkit.samples import JSON


class Manifest(dict[str, Any]):
    """The entries of a run file. A key that is needed and missing raises `UsageError`."""

    def __init__(self, entries: Mapping[str, Any], path: Path) -> None:
        super().__init__(entries)
        self._path = path

    def __missing__(self, key: str) -> NoReturn:
        raise UsageError(f"{self._path} lacks the manifest's entry {key!r}: it was edited")


@dataclass(frozen=True)
class _Model:
    name: str
    identity: Mapping[str, JSON]


@dataclass(frozen=True)
class _Move:
    endpoint: JSON
    since: str
    judge: str = ""


@dataclass(frozen=True)
class _Replica:
    endpoint: str
    requests: int
    failures: int
    error: str
    latencies: tuple[tuple[int, ...], ...]


_TYPES: Mapping[str, Any] = {
    "batches": tuple[StoredBatch, ...],
    "cores": int | None,
    "evalkit": str,
    "ids": tuple[str, ...],
    "judge moves": tuple[_Move, ...],
    "judges": Mapping[str, str],
    "merged": tuple[Mapping[str, str], ...],
    "model": _Model,
    "moves": tuple[_Move, ...],
    "packages": Mapping[str, str],
    "platform": str,
    "processor": str,
    "python": str,
    "replicas": tuple[_Replica, ...],
    "rescored": dict,
    "seed": int,
    "shard": str,
    "slim": Literal[True, "texts"],
    "spent": float,
    "started": str,
}
"""The type of an entry, if there is one."""
_OF_ONE: Mapping[str, Any] = {
    "departures": Mapping[str, str],
    "evidence": tuple[str, ...],
    "requests": tuple[str, ...],
    "samples": int,
    "verification": Mapping[str, int],
}
"""The type of the entry `… of cell N`, or `… of batch MARK`."""


def manifest_of(rows: Iterable[tuple[str, str]], path: Path) -> Manifest:
    """Returns the manifest in the rows (key, value) of the table run. Raises `UsageError`."""
    return Manifest({key: _entry(key, value, path) for key, value in rows}, path)


def _entry(key: str, text: str, path: Path) -> Any:
    where = f"{path}, table run, {key!r}"
    try:
        value = orjson.loads(text)
    except ValueError:
        raise UsageError(f"{where} is not JSON: it was edited") from None
    wanted = _TYPES.get(key) or _OF_ONE.get(key.partition(" of ")[0])
    if wanted is not None:
        typed(value, wanted, where)
    if key == "started":
        try:
            datetime.fromisoformat(value)
        except ValueError:
            raise UsageError(f"{where} is no date and time: it was edited") from None
    return value
