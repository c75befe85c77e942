"""Locks: which files tasks read, found without reading their records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from evalkit.benchmark.names import is_lm_eval
from evalkit.benchmark.task import Task
from evalkit.data.base import DataOptions
from evalkit.data.inventory import Inventory, Reads
from evalkit.data.lock import FORMAT, Lock, LockedTask, locked
from evalkit.engine.chosen import Chosen, check_owners, choose, wanted
from evalkit.errors import OwnDataError, UsageError


def make_lock(tasks: Iterable[str], settings: Mapping[str, str], tell: Callable[[str], object] = len) -> Lock:
    """Returns the lock of all that the tasks read: data, solved examples, validation data, metrics' code.

    Large files are not downloaded: the Hub knows their digests. `tell` is called with the name of each task
    before its files are listed, and with the reason for one that a `report:TABLE` has without public data.
    Raises `UsageError`.
    """
    found: dict[str, LockedTask] = {}
    names = []
    for one in wanted(list(tasks)):
        if isinstance(one.given, str) and is_lm_eval(one.given):
            raise UsageError(f"{one.given} cannot be locked: lm-eval's own code reads its data")
        chosen = choose(one.given, settings)
        names.append(chosen.task.name)
        if chosen.task.name in found:
            continue
        tell(chosen.task.name)
        try:
            found[chosen.task.name] = _locked(chosen)
        except OwnDataError as error:
            if not one.table:
                raise
            tell(f"{one.table} without {chosen.shown}: {error}")
    check_owners(settings, names)
    return Lock(FORMAT, tuple(found[name] for name in sorted(found)))


def locked_data(options: DataOptions, lock: Lock | None, task: str) -> DataOptions:
    """Returns `options` with what the lock says of the task. Raises `UsageError` if it says nothing."""
    if lock is None:
        return options
    if options.small_sets:
        raise UsageError("a lock is for the tasks' own data, and --data builtin reads other: leave one out")
    return replace(options, lock=lock.of(task))


def note_reads(task: Task, options: DataOptions) -> None:
    """Lists the other files that a task reads, or compares them with the lock: exemplars, metrics' code."""
    if options.inventory is not None or options.lock is not None:
        for one in _reads(task):
            one.note(options)


def _locked(chosen: Chosen) -> LockedTask:
    inventory = Inventory()
    options = replace(chosen.data(DataOptions()), inventory=inventory)
    for data in (chosen.task.data, chosen.task.dev, chosen.task.validation):
        if data is not None:
            data.open(options)
    note_reads(chosen.task, options)
    return locked(chosen.task.name, inventory.found.values())


def _reads(task: Task) -> list[Reads]:
    return [*task.reads, *(metric for metric in task.metrics if isinstance(metric, Reads))]
