"""The manifest of a run file: entries by key, as JSON. They are checked when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import orjson

from evalkit.convert import typed
from evalkit.errors import UsageError
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
_OF_A_CELL: Mapping[str, Any] = {
    "departures": Mapping[str, str],
    "evidence": tuple[str, ...],
    "samples": int,
    "verification": Mapping[str, int],
}
"""The type of the entry `… of cell N`."""


def manifest_of(rows: Iterable[tuple[str, str]], path: Path) -> Manifest:
    """Returns the manifest in the rows (key, value) of the table run. Raises `UsageError`."""
    return Manifest({key: _entry(key, value, path) for key, value in rows}, path)


def _entry(key: str, text: str, path: Path) -> Any:
    where = f"{path}, table run, {key!r}"
    try:
        value = orjson.loads(text)
    except ValueError:
        raise UsageError(f"{where} is not JSON: it was edited") from None
    wanted = _TYPES.get(key) or _OF_A_CELL.get(key.partition(" of cell ")[0])
    if wanted is not None:
        typed(value, wanted, where)
    return value
