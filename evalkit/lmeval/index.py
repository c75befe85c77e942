"""The names of lm-eval's tasks, groups and tags, and the file of each.

lm-eval reads all of its 14,000 files to find one name, which takes 10 to 20 seconds. Here they are read once
for each installed lm-eval, and the names are kept in a file in evalkit's cache (`EVALKIT_CACHE`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from evalkit.data.cache import cache_folder
from evalkit.errors import UsageError, unknown
from evalkit.lmeval.names import Place
from evalkit.needs import installed
from evalkit.scratch import replacing

_FORMAT = 1
"""The number of the cache's format."""


@dataclass(frozen=True, slots=True)
class Found:
    """An entry of the index.

    `kind`: as lm-eval calls it: TASK, PY_TASK, GROUP or TAG. `file`: the YAML file, "" for a tag. `tags`: the
    tasks with a tag. `aggregates`: whether a group has figures of its own.
    """

    kind: str
    file: str
    tags: tuple[str, ...] = field(default=())
    aggregates: bool = False


def version() -> str:
    """The version of the installed lm-eval. Raises `UsageError` if there is none."""
    found = installed("lm-eval")
    if found is None:
        raise UsageError("tasks of lm-eval need its package: pip install 'lm-eval>=0.4.13'")
    return found


def package_folder() -> Path:
    """The folder of lm-eval's own tasks."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError("tasks of lm-eval need its package: pip install 'lm-eval>=0.4.13'")
    return Path(spec.submodule_search_locations[0]) / "tasks"


def names_folder() -> Path:
    """Where evalkit keeps what it knows of lm-eval's tasks."""
    return cache_folder() / "lm-eval"


def index(place: Place) -> dict[str, Found]:
    """All names: lm-eval's own, and those of the place's folder, which replace lm-eval's."""
    names = packaged()
    return names if place.folder is None else {**names, **_read(place.folder)}


def look_up(place: Place, names: Mapping[str, Found]) -> Found:
    """The entry of the place's root. Raises `UsageError` with similar names if there is none."""
    found = names.get(place.root)
    if found is None:
        hint = "evalkit tasks 'lm-eval:*WORD*' lists those with a word in their name"
        where = f" of {place.folder}" if place.folder else f" of lm-eval {version()}"
        raise unknown(f"task{where}", place.root, names, hint)
    return found


def packaged() -> dict[str, Found]:
    """lm-eval's own names, from the cache or, the first time, from its files."""
    folder = package_folder()
    key = hashlib.sha256(f"{_FORMAT} {version()} {folder}".encode()).hexdigest()[:12]
    file = names_folder() / f"names-{version()}-{key}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):  # a damaged file is written again
        stored: dict[str, list[Any]] = orjson.loads(file.read_bytes())
        return {name: Found(row[0], row[1], tuple(row[2]), row[3]) for name, row in stored.items()}
    sys.stderr.write(
        f"evalkit: reading the names of lm-eval {version()}'s tasks, once; this takes 10 to 30 seconds\n"
    )
    sys.stderr.flush()
    names = _read(folder)
    rows = {name: [one.kind, one.file, one.tags, one.aggregates] for name, one in names.items()}
    with suppress(OSError):  # a cache that cannot be written only costs time
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part:
            part.write_bytes(orjson.dumps(rows))
    return names


def _read(folder: Path) -> dict[str, Found]:
    """The names of the YAML files below `folder`, as lm-eval finds them."""
    with muted():
        from lm_eval.tasks._index import TaskIndex

        entries = TaskIndex.build([folder])
    return {
        name: Found(
            entry.kind.name,
            str(entry.yaml_path or ""),
            tuple(sorted(entry.tags)) if entry.kind.name == "TAG" else (),
            bool((entry.cfg or {}).get("aggregate_metric_list")),
        )
        for name, entry in entries.items()
    }


@contextmanager
def muted() -> Iterator[None]:
    """Keeps lm-eval's log lines below errors off the terminal: evalkit says what concerns the user."""
    logger = logging.getLogger("lm_eval")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def quietly() -> Iterator[None]:
    """Does what `muted` does, and keeps what a task's code prints off standard output."""
    with muted(), redirect_stdout(io.StringIO()):
        yield
