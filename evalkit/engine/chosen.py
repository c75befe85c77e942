"""Finds the task that a run was given: a name, a `Task`, or the function that builds one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from evalkit.benchmark.names import file_of, is_lm_eval, parse_spec
from evalkit.benchmark.task import (
    TASK,
    Task,
    TaskFactory,
    all_tasks,
    build,
    check_metrics,
    find_task,
    is_factory,
    options_of,
)
from evalkit.data.base import DataOptions
from evalkit.errors import UsageError, unknown

TaskLike: TypeAlias = "str | Task | TaskFactory | tuple[Task | TaskFactory, str]"
"""A name as on the command line; a `Task`, or a function marked with `@task`; (one of these, a protocol)."""


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


def listed(tasks: TaskLike | Iterable[TaskLike]) -> list[TaskLike]:
    """The single tasks, with comma lists of names split. Raises `UsageError` if there are none."""
    one_task = isinstance(tasks, str | Task) or bool(_parted(tasks)[1]) or not isinstance(tasks, Iterable)
    given = [cast("TaskLike", tasks)] if one_task else cast("Iterable[TaskLike]", tasks)
    found: list[TaskLike] = []
    for one in given:
        found += expand(one) if isinstance(one, str) else [one]
    if not found:
        raise UsageError("no task is named; evalkit tasks lists them")
    return found


def _parted(given: object) -> tuple[object, str]:
    """(task, protocol's name) if `given` is such a pair, otherwise (`given`, "")."""
    if isinstance(given, tuple) and [isinstance(one, str) for one in given] == [False, True]:
        return given
    return given, ""


def expand(entry: str) -> list[str]:
    """The names of a comma list; `report:TABLE` means all tasks that the table prints.

    A tag of lm-eval, or a group without figures of its own, means its members.
    """
    found: list[str] = []
    for part in filter(None, (piece.strip() for piece in entry.split(","))):
        if part.startswith("report:"):
            table = part.removeprefix("report:").strip().casefold()
            names = [task.name for task in all_tasks() if task.report.casefold() == table]
            if not names:
                raise unknown("report table", part, {f"report:{t.report}" for t in all_tasks()})
            found += names
        elif is_lm_eval(part):
            from evalkit.lmeval import expanded

            name, protocol = parse_spec(part)
            found += [part] if protocol else expanded(name)
        else:
            found.append(part)
    return found


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
        found = build(factory, settings)
        file = file_of(name)
        if file is not None:  # so that a report finds it from another folder
            name = f"{file[0].resolve()}:{found.name}"
        return Chosen(given, found, protocol, name, options_of(factory))
    value, protocol = _parted(given)
    options: Collection[str] = ()
    task: object = value
    if is_factory(value):
        task, options = build(value, settings), options_of(value)
    if not isinstance(task, Task):
        fix = ": mark the function that builds it with @evalkit.task('name')" if callable(value) else ""
        shown = getattr(value, "__name__", repr(value))
        raise UsageError(f"{shown} is not a task, nor the name of a task{fix}")
    if not task.name:
        raise UsageError("a Task needs a name: Task(name='…', …), or @evalkit.task('name') on its builder")
    check_metrics(task.name, task.metrics)
    return Chosen(named(given), task, protocol, task.source, options)
