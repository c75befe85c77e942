"""What is one sample's fault, and what ends the run.

Whatever a task's own code raises about a sample fails that sample: exceptions of any kind, `SystemExit`, and
a cancellation that nobody outside asked for. These end the run instead:

- `UsageError`, such as a missing package: the user has to change something, and the next sample would say
  the same. A `DataError` is about the data at hand, so inside a sample it is that sample's.
- `Stopped` and other errors of evalkit that are no `BoundaryError`.
- an error of the run file's database: it is not about the sample, and what comes next could not be kept.
- Ctrl-C and a cancelled run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from evalkit.errors import BoundaryError, DataError, EvalkitError, ScorerError

FAULTS = (Exception, SystemExit, asyncio.CancelledError)
"""What code of a task may raise."""


def fault(
    error: BaseException, what: str = "", kind: Callable[[str], BoundaryError] = ScorerError
) -> BoundaryError:
    """The failure of one sample that `error`, raised by a task's code, is: `judge: KeyError: 'unit'`.

    Raises `error` again where it ends the run.
    """
    leaves = _leaves(error)
    for leaf in leaves:
        if _ends_the_run(leaf):
            raise leaf
    error = leaves[0]
    if isinstance(error, BoundaryError):
        return error
    text = " ".join(str(error).split())
    name = "" if isinstance(error, EvalkitError) else type(error).__name__
    return kind(": ".join(filter(None, (what, name, text))))


def guarded(what: str, work: Callable[[], str]) -> Callable[[], str]:
    """`work`, whose errors are failures of one sample in `what`."""

    def call() -> str:
        try:
            return work()
        except BoundaryError:
            raise
        except FAULTS as error:
            raise fault(error, what) from error

    return call


def _leaves(error: BaseException) -> list[BaseException]:
    """The errors of a group, as a task group raises them, that are none themselves."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _ends_the_run(error: BaseException) -> bool:
    if isinstance(error, asyncio.CancelledError):
        try:
            task = asyncio.current_task()
        except RuntimeError:  # no event loop here, and nobody who could cancel
            return False
        return task is not None and task.cancelling() > 0
    return isinstance(error, EvalkitError) and not isinstance(error, BoundaryError | DataError)
