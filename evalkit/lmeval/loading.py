"""Loads tasks and groups with lm-eval's own code.

A group is first built without its tasks' data: lm-eval's code reads the files and merges the overrides, and
each task stays a `Leaf` until its data is needed.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import random
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from evalkit.data import folder as hub_folder
from evalkit.data.base import DataOptions
from evalkit.errors import DataError, EvalkitError, UsageError, unknown
from evalkit.identity.user_file import import_from_source
from evalkit.lmeval.index import Found, index, look_up, names_folder, package_folder, quietly
from evalkit.lmeval.names import Place

RANDOM_SEED, OTHER_SEED = 0, 1234
"""lm-eval's default seeds: of `random`, and of NumPy and the few-shot examples (its `defaults.py`)."""
_FUNCTION = re.compile(r"!function\s+['\"]?([\w.]+)\.\w+")
_EXTRA = re.compile(r"([\w.-]+).*; extra == ['\"]([\w-]+)['\"]")
_INCLUDE = re.compile(r"^include:\s*(\S.*)$", re.MULTILINE)
_LOADING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Leaf:
    """A task that is not built yet. `groups`: the names of the groups below the root that it is in."""

    name: str
    entry: Any
    overrides: Mapping[str, Any]
    groups: tuple[str, ...] = ()
    built: Any = None
    """lm-eval's task, if it was built at once: a group may define a task in place."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What a name stands for: its tasks, and lm-eval's group if they have figures together.

    `parts`: for a group without figures of its own, and for a tag: the names to evaluate instead.
    """

    leaves: tuple[Leaf, ...]
    group: Any = None
    parts: tuple[str, ...] = ()


def expanded(name: str, place: Place) -> list[str]:
    """The names of the tasks to evaluate for `name`: the members of a tag or of a group without figures."""
    if place.file is None and not place.member:
        names = index(place)
        found = look_up(place, names)
        if found.kind == "TAG":
            return [Place(member, folder=place.folder).name() for member in found.tags]
        if found.kind != "GROUP" or found.aggregates:
            return [name]
    elif place.file is not None and not place.member and not _is_group(place.file):
        return [name]
    return list(tree(place).parts) or [name]


def _is_group(file: Path) -> bool:
    return re.search(r"^group:", file.read_text("utf-8", "replace"), re.MULTILINE) is not None


def tree(place: Place) -> Tree:
    """The tasks of a place, without their data. Raises `UsageError`."""
    alone = place.file is not None and not _is_group(place.file)
    names = {} if alone else index(place)
    with _explained(place):
        from lm_eval.api.group import Group
        from lm_eval.tasks._index import Entry, Kind, TaskIndex

        def entry(name: str, found: Found) -> Any:
            path = Path(found.file) if found.file else None
            return Entry(name=name, kind=Kind[found.kind], yaml_path=path, cfg=None, tags=set(found.tags))

        registry = {name: entry(name, found) for name, found in names.items()}
        if place.file is not None:
            root = TaskIndex.entry_from_path(place.file)
            if root is None:
                raise UsageError(f"{place.file} names neither a task nor a group")
        else:
            look_up(place, names)
            root = registry[place.root]
        built = _lazy_factory().build(root, overrides=None, registry=registry)
    if place.member:
        built = _member(built, place)
    if isinstance(built, list):
        return Tree(tuple(map(_leaf, built)), parts=tuple(place.name(one.task_name) for one in built))
    if not isinstance(built, Group):
        return Tree((_leaf(built),))
    if built.has_aggregation:
        return Tree(tuple(_leaves(built)), built)
    parts = [child.name if isinstance(child, Group) else child.task_name for child in built]
    return Tree(tuple(_leaves(built)), parts=tuple(place.name(part) for part in parts))


def _member(built: Any, place: Place) -> Any:
    """The group or task called `place.member` below a group."""
    items = built if isinstance(built, list) else []
    if hasattr(built, "get_all_tasks"):
        items = [*built.get_all_groups(), *built.get_all_tasks()]
    named = {getattr(item, "task_name", None) or item.name: item for item in items}
    if place.member not in named:
        raise unknown(f"member of {place.root}", place.member, named)
    return named[place.member]


def _leaves(group: Any, above: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """The tasks below a group, each once, as `Group.get_all_tasks` lists them."""
    for child in group:
        if hasattr(child, "get_all_tasks"):
            yield from _leaves(child, (*above, child.name))
        else:
            yield _leaf(child, above)


def _leaf(item: Any, groups: tuple[str, ...] = ()) -> Leaf:
    entry = getattr(item, "evalkit_entry", None)
    if entry is None:
        return Leaf(item.task_name, None, {}, groups, item)
    return Leaf(item.task_name, entry, item.evalkit_overrides, groups)


def _lazy_factory() -> Any:
    """lm-eval's factory, which puts a stand-in where it would load a task's data."""
    from lm_eval.api.task import Task
    from lm_eval.tasks._factory import TaskFactory

    class StandIn(Task):  # type: ignore[misc]
        """A task of which only the name is known. lm-eval's groups hold instances of its class."""

        def __init__(self, entry: Any, overrides: Mapping[str, Any] | None) -> None:
            self.evalkit_entry, self.evalkit_overrides = entry, dict(overrides or {})

        @property
        def task_name(self) -> str:
            return str(self.evalkit_overrides.get("task") or self.evalkit_entry.name)

    StandIn.__abstractmethods__ = frozenset()

    class Factory(TaskFactory):  # type: ignore[misc]
        def _build_task(self, entry: Any, overrides: Mapping[str, Any] | None) -> Any:
            return StandIn(entry, overrides)

    return Factory()


def build(leaf: Leaf, options: DataOptions) -> Any:
    """lm-eval's task with its data. Raises `DataError` if the data cannot be loaded, else `UsageError`."""
    if leaf.built is not None:
        return leaf.built
    with _explained(leaf), seeded(), _data_from(options), _compiled():
        from lm_eval.tasks._factory import TaskFactory

        return TaskFactory()._build_task(leaf.entry, dict(leaf.overrides))


@contextmanager
def seeded() -> Iterator[None]:
    """Sets the global random generators as lm-eval's command does, and puts them back afterwards."""
    import numpy as np

    before, state = random.getstate(), np.random.get_state()
    random.seed(RANDOM_SEED)
    np.random.seed(OTHER_SEED)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(state)


@contextmanager
def _data_from(options: DataOptions) -> Iterator[None]:
    """Makes `datasets.load_dataset` read a data set from the folder of `--data` if it is there."""
    import datasets

    load = datasets.load_dataset

    def found(path: Any = None, *given: Any, **settings: Any) -> Any:
        path = settings.pop("path", path)
        folder = None if options.folder is None or path is None else options.folder / str(path)
        if folder is None or not folder.is_dir() or ".." in Path(str(path)).parts:
            return load(path, *given, **settings)
        settings.pop("revision", None)  # a folder has none
        settings["cache_dir"] = str(_cache_of(folder.resolve()))
        return load(str(folder.resolve()), *given, **settings)

    with _LOADING, _no_bars():
        datasets.load_dataset = found
        try:
            yield
        finally:
            datasets.load_dataset = load


@contextmanager
def _compiled() -> Iterator[None]:
    """Has lm-eval compile the Python file beside a user's YAML: its bytecode may be that of an earlier text.

    Only within `_data_from`, whose lock keeps other threads out.
    """
    from lm_eval.tasks import _yaml_loader

    load = _yaml_loader._load_module_with_cache

    def compiled(file: Path) -> Any:
        name, changed = str(file.with_suffix("")), file.stat().st_mtime_ns
        known = sys.modules.get(name)
        if file.is_relative_to(package_folder().resolve()) or getattr(known, "__mtime__", None) == changed:
            return load(file)
        module = import_from_source(file, name)
        vars(module)["__mtime__"] = changed  # by which lm-eval knows it
        return module

    _yaml_loader._load_module_with_cache = compiled
    try:
        yield
    finally:
        _yaml_loader._load_module_with_cache = load


def _cache_of(folder: Path) -> Path:
    """The folder for what `datasets` makes of a data set, which depends on all of its files.

    `datasets` 5.2 names its own cache by the folder's name and card alone: it gives the rows of another
    folder of the same name, or those before a change, without a word.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    state = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return names_folder() / "data" / _digest(repr((str(folder), state)).encode())[:16]


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keeps the progress bars and log lines of `datasets` off the terminal."""
    from datasets.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

    shown = is_progress_bar_enabled()
    disable_progress_bar()
    try:
        with hub_folder.quiet():
            yield
    finally:
        if shown:
            enable_progress_bar()


@contextmanager
def _explained(what: Place | Leaf) -> Iterator[None]:
    """Turns errors of lm-eval and of a task's own code into evalkit's, which name the task."""
    name = what.root if isinstance(what, Place) else what.name
    try:
        with quietly():
            yield
    except EvalkitError:
        raise
    except ImportError as error:
        raise UsageError(
            f"lm-eval:{name} needs a package that is not installed ({error}): {_install(error.name, name)}"
        ) from error
    except (Exception, SystemExit) as error:
        words = " ".join(str(error).split())[:300]
        kind = type(error).__name__
        if isinstance(what, Place):
            raise UsageError(f"lm-eval cannot read {name} ({kind}: {words})") from error
        raise DataError(
            f"lm-eval cannot load the task {name} ({kind}: {words}): its data is read from the Hub, or with "
            "--data DIR from a folder laid out like the Hub"
        ) from error


def _install(module: str | None, task: str) -> str:
    """How to install a missing module: with an extra of lm-eval that has it, the task's if there is one."""
    extras = {
        found[2]
        for line in requires("lm_eval") or ()
        if (found := _EXTRA.match(line)) and found[1].replace("-", "_") == (module or "").partition(".")[0]
    }
    if not extras:
        return "install it, as the task's README in lm-eval says"
    best = min(extras, key=lambda extra: (extra.replace("-", "_") not in task, extra))
    return f"pip install 'lm_eval[{best}]'"


def source_digest(leaf: Leaf) -> str:
    """The digest of a task's own files and of what its group overrides; "" for a task of lm-eval's own.

    It covers the YAML file, the files that it includes, and the Python files that its `!function` entries
    name, but not what these import. lm-eval's version stands for its own files.
    """
    parts = []
    path = getattr(leaf.entry, "yaml_path", None)
    if path is not None and not Path(path).resolve().is_relative_to(package_folder().resolve()):
        parts = [_digest(file.read_bytes()) for file in _files(Path(path))]
    overrides = {key: value for key, value in leaf.overrides.items() if key != "task"}
    if overrides:
        parts.append(_digest(json.dumps(overrides, sort_keys=True, default=_named).encode()))
    return _digest("".join(parts).encode())[:8] if parts else ""


def _named(value: object) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _files(file: Path, seen: Sequence[Path] = ()) -> list[Path]:
    """The YAML file, those that it includes, and the Python files beside them that they name."""
    file = file.resolve()
    if file in seen or not file.is_file():
        return []
    text = file.read_text("utf-8", "replace")
    found = [file]
    for module in dict.fromkeys(_FUNCTION.findall(text)):
        code = file.parent / f"{module.replace('.', '/')}.py"
        found += [code] if code.is_file() else []
    for line in _INCLUDE.findall(text):
        for name in re.split(r"[\s,\[\]]+", line.split("#")[0]):
            if name:
                found += _files(file.parent / name.strip("'\""), (*seen, *found))
    return list(dict.fromkeys(found))


def plain(value: Any) -> Any:
    """A document's value as plain JSON. Raises `TypeError` for what has no such form, such as a picture."""
    if value is None or isinstance(value, bool | int | str | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    listed = getattr(value, "tolist", None)
    if callable(listed):
        return plain(listed())
    raise TypeError(f"it holds a value of type {type(value).__name__}")
