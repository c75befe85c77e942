"""Finds the task that a run was given: a name, a `Task`, or the function that builds one."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from evalkit.benchmark.names import file_of, is_lm_eval, parse_spec
from evalkit.benchmark.shape import check_shape
from evalkit.benchmark.task import (
    TASK,
    Task,
    TaskFactory,
    build,
    find_task,
    is_factory,
    options_of,
)
from evalkit.data.base import DataOptions
from evalkit.engine.tables import REPORT, of_plugged_table, of_table, paper_of
from evalkit.errors import UsageError, unknown
from evalkit.models.parameters import EXTRA
from evalkit.samples import plain_text

TaskLike: TypeAlias = "str | Task | TaskFactory | tuple[Task | TaskFactory, str]"
"""A name as on the command line; a `Task`, or a function marked with `@task`; (one of these, a protocol)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task that a run was given. `table`: the table that it comes from, as typed; "" if it was named."""

    given: TaskLike
    table: str = ""


REVISION = "revision"
"""The only `--set` key that concerns the data and not the protocol."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A chosen task. `shown`: its name in messages. `protocol`: its protocol's name, "" for the first."""

    shown: str
    task: Task
    protocol: str
    source: str
    """The argument with which `load_task` finds the task's code again; "" if no file has it."""
    options: Collection[str]
    """The names of the task's own options, which are set by settings."""
    settings: Mapping[str, str]
    """The settings of this task: those without a task's name, and those with its name, as `for_task`."""

    def data(self, options: DataOptions) -> DataOptions:
        """Where its data is read from: `options`, with the revision that is set for it."""
        revision = self.settings.get(REVISION)
        return options if revision is None else dataclasses.replace(options, revision=revision)


def wanted(tasks: TaskLike | Iterable[TaskLike]) -> list[Wanted]:
    """The single tasks, with comma lists of names split. Raises `UsageError` if there are none."""
    one_task = isinstance(tasks, str | Task) or bool(_parted(tasks)[1]) or not isinstance(tasks, Iterable)
    given = [cast("TaskLike", tasks)] if one_task else cast("Iterable[TaskLike]", tasks)
    found: list[Wanted] = []
    for one in given:
        found += _expanded(one) if isinstance(one, str) else [Wanted(one)]
    if not found:
        raise UsageError("no task is named; evalkit tasks lists them")
    return found


def _parted(given: object) -> tuple[object, str]:
    """(task, protocol's name) if `given` is such a pair, otherwise (`given`, "")."""
    if isinstance(given, tuple) and [isinstance(one, str) for one in given] == [False, True]:
        return given
    return given, ""


def expand(entry: str) -> list[str]:
    """The names of a comma list; `report:TABLE` means all benchmarks of the table (`engine.tables`)."""
    return [cast("str", one.given) for one in _expanded(entry)]


def _expanded(entry: str) -> list[Wanted]:
    """Each once, although two tables may print one benchmark. If it is named as well, the name counts."""
    parts = [piece.strip() for piece in entry.split(",") if piece.strip()]
    named_alone = dict.fromkeys(part for part in parts if not part.startswith(REPORT))
    found: dict[str, Wanted] = {}
    for part in parts:
        for name in _names(part):
            found.setdefault(name, Wanted(name, "" if name in named_alone else part))
    return list(found.values())


def _names(part: str) -> list[str]:
    """The tasks that an entry means: a table's, or the members of lm-eval's tag or group without figures."""
    if part.startswith(REPORT):
        return of_table(part)
    if (paper := paper_of(part)) is not None:
        return of_plugged_table(paper, part)
    name, protocol = parse_spec(part)
    if is_lm_eval(part) and not protocol:
        from evalkit.lmeval import expanded

        return expanded(name)
    return [part]


def named(given: TaskLike) -> str:
    """The task's name in messages, `name` or `name:protocol`; "" if `given` is not a task."""
    if isinstance(given, str):
        return given
    value, protocol = _parted(given)
    name = value.name if isinstance(value, Task) else getattr(getattr(value, TASK, None), "name", "")
    return f"{name}:{protocol}" if protocol else str(name)


def choose(given: TaskLike, settings: Mapping[str, str], data: DataOptions | None = None) -> Chosen:
    """The task, built with those of `settings` that are its own options. Raises `UsageError`.

    `data`: as for `find_task`.
    """
    if isinstance(given, str):
        name, protocol = parse_spec(given)
        factory = find_task(name, data)
        settings = for_task(getattr(factory, TASK).name, settings)
        found = build(factory, settings)
        file = file_of(name)
        if file is not None:  # so that a report finds it from another folder
            name = f"{file[0].resolve()}:{found.name}"
        return Chosen(given, found, protocol, name, options_of(factory), settings)
    value, protocol = _parted(given)
    options: Collection[str] = ()
    task: object = value
    settings = for_task(named(given).partition(":")[0], settings)
    if is_factory(value):
        task, options = build(value, settings), options_of(value)
    if not isinstance(task, Task):
        fix = ": mark the function that builds it with @evalkit.task('name')" if callable(value) else ""
        shown = getattr(value, "__name__", repr(value))
        raise UsageError(f"{shown} is not a task, nor the name of a task{fix}")
    if not task.name:
        raise UsageError("a Task needs a name: Task(name='…', …), or @evalkit.task('name') on its builder")
    check_shape(task.name, task)
    return Chosen(named(given), task, protocol, task.source, options, settings)


def for_task(name: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings of the task called `name`: `KEY` is for every task, `NAME:KEY` for one and counts more.

    Raises `UsageError` for one that no run file can hold.
    """
    for key, text in settings.items():
        if plain_text(key + str(text)) != key + str(text):
            raise UsageError(f"--set {plain_text(key)[:40]}: its value is not valid UTF-8; type it again")
    general = {key: text for key, text in settings.items() if not _owner(key)}
    own = {key.rpartition(":")[2]: text for key, text in settings.items() if _owner(key) == name}
    return {**general, **own}


def check_owners(settings: Mapping[str, str], names: Collection[str]) -> None:
    """Raises `UsageError` for a setting `NAME:KEY` if no task of the run has that name."""
    for key in settings:
        if _owner(key) and _owner(key) not in names:
            raise unknown(f"task in --set {key}", _owner(key), names, f"the run has {', '.join(names)}")


def _owner(key: str) -> str:
    """The name of the task that a setting is for; "" if it is for all of them."""
    return "" if key.startswith(EXTRA) else key.rpartition(":")[0]
