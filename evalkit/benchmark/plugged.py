"""Tasks of installed packages: entry points of the group `evalkit.tasks`.

Each is a function marked with `@task`. The name of the entry point is the task's name.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from evalkit.benchmark.protocol import Protocol
from evalkit.errors import EvalkitError, one_line, unknown
from evalkit.plugins import Plugin, find_plugin, plugin_names, working
from evalkit.samples import JSON

if TYPE_CHECKING:
    from evalkit.benchmark.task import Task, TaskFactory

_MARK = "__evalkit_plugin__"
"""Where the factory of a plugin keeps the `Plugin`."""
_SHOWN = 300


def plugged_task(name: str, index: Collection[str]) -> TaskFactory:
    """The factory of an installed package's task.

    Raises `UsageError` if there is none; `index` are the names of evalkit's own tasks. Raises `PluginError`
    if it cannot be used.
    """
    plugin = find_plugin("tasks", name)
    if plugin is None:
        raise unknown("task", name, (*index, *plugin_names("tasks")), "evalkit tasks lists them")
    return _factory(plugin)


def _factory(plugin: Plugin) -> TaskFactory:
    factory: TaskFactory = plugin.load()
    marked = getattr(factory, "__evalkit_task__", None)
    if marked is None:
        raise plugin.wrong("it is no function marked with @task")
    if marked.name != plugin.name:
        raise plugin.wrong(f"its task is called {marked.name!r}: the entry point needs that name too")
    setattr(factory, _MARK, plugin)
    return factory


def plugin_of(factory: object) -> Plugin | None:
    """The plugin that a factory is of; None if it is of none."""
    found = getattr(factory, _MARK, None)
    return found if isinstance(found, Plugin) else None


def plugged_build(plugin: Plugin, factory: TaskFactory, options: Mapping[str, str]) -> Task:
    """The task of a plugin, with the package and its version in its notes. Raises `PluginError`."""
    try:
        built = factory(**options)
    except EvalkitError:
        raise
    except Exception as error:
        raise plugin.wrong(f"the task cannot be built: {one_line(error, _SHOWN)}") from error
    return dataclasses.replace(built, notes=_noting(built.notes, plugin.package))


def _noting(
    notes: Callable[[Protocol], Mapping[str, JSON]], package: str
) -> Callable[[Protocol], Mapping[str, JSON]]:
    return lambda protocol: {**notes(protocol), "package": package}


def plugged_tasks(taken: Collection[str]) -> tuple[list[Task], list[str]]:
    """The tasks of installed packages, and why others are left out. `taken`: the names of evalkit's own."""
    found, problems = working("tasks", taken, task_of)
    return [*found.values()], problems


def task_of(plugin: Plugin) -> Task:
    """The task of an entry point. Raises `PluginError`."""
    build: Any = importlib.import_module("evalkit.benchmark.task").build  # which imports this module
    built: Task = build(_factory(plugin))
    return built
