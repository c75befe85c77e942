"""Whether a task is what its fields say. Python checks no types, and a wrong one would fail much later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from evalkit.benchmark.protocol import Protocol
from evalkit.errors import UsageError

if TYPE_CHECKING:
    from evalkit.benchmark.task import Task
    from evalkit.metrics.base import Metric

_SHOWN = 80
_FUNCTIONS = ("sample", "prompt", "scorer", "gold", "wrong_responses", "shots_by", "needs", "notes")


def check_shape(name: str, task: Task) -> None:
    """Raises `UsageError` for a field of another type, and for two metrics of one name."""
    for field in _FUNCTIONS:
        _check(name, field, getattr(task, field), callable, "a function")
    _check(name, "answer", task.answer, _reads, "a function, or a dict of functions")
    _check(name, "data", task.data, _opens, "a source of data, such as Local('questions.jsonl')")
    _check(name, "metrics", task.metrics, _each(_measures), "a tuple of metrics, such as (Accuracy(),)")
    _check(name, "protocols", task.protocols, _each(_asks), "a tuple such as (Protocol(name='chat'),)")
    _check_names(name, task.metrics)


def _check_names(task: str, metrics: Sequence[Metric]) -> None:
    """Raises `UsageError` for two metrics of one name, which nothing could tell apart in a run file."""
    names = [metric.name for metric in metrics]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{task}: two of its metrics are called {name!r}; give one of them another name")


def shown(value: object) -> str:
    """A value in an error."""
    return " ".join(repr(value).split())[:_SHOWN]


def _check(name: str, field: str, value: object, fits: Callable[[object], bool], wanted: str) -> None:
    if not fits(value):
        raise UsageError(f"the task {name}: {field} must be {wanted}, not {shown(value)}")


def _each(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, tuple | list) and bool(value) and all(map(fits, value))


def _asks(value: object) -> bool:
    return isinstance(value, Protocol)


def _measures(value: object) -> bool:
    return not isinstance(value, type) and isinstance(getattr(value, "name", None), str)


def _opens(value: object) -> bool:
    return not isinstance(value, type) and callable(getattr(value, "open", None))


def _reads(value: object) -> bool:
    return callable(value) or (
        isinstance(value, Mapping) and bool(value) and all(map(callable, value.values()))
    )
