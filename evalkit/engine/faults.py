"""Decides which errors fail one sample and which end the run.

An error that a task's own code raises fails the sample: an exception of any kind, `SystemExit`, and a
cancellation that did not come from outside. These errors end the run instead:

- `UsageError`, such as a missing package: the user must change something, and every other sample would fail
  in the same way. A `DataError` concerns the data at hand, so inside a sample it fails only that sample.
- `Stopped` and other errors of evalkit that are not a `BoundaryError`.
- An error of the run file's database: it does not concern the sample, and no further result could be stored.
- Ctrl-C and a cancelled run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from evalkit.errors import BoundaryError, DataError, EvalkitError, JudgeError, ProviderError, ScorerError

FAULTS = (Exception, SystemExit, asyncio.CancelledError)
"""The exceptions that a task's code may raise."""


def fault(
    error: BaseException, what: str = "", kind: Callable[[str], BoundaryError] = ScorerError
) -> BoundaryError:
    """Makes `error`, raised by a task's code, a failure of one sample, such as `scorer: KeyError: 'unit'`.

    Raises `error` again if it ends the run.
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


def may_pass(result: object) -> bool:
    """Whether `result` is an error of an endpoint, or of the judge's, that may not come again."""
    cause = result.__cause__ if isinstance(result, JudgeError) else result
    return isinstance(cause, ProviderError) and cause.retryable


def guarded(what: str, work: Callable[[], str]) -> Callable[[], str]:
    """Wraps `work` so that its errors become failures of one sample, in the step `what`."""

    def call() -> str:
        try:
            return work()
        except BoundaryError:
            raise
        except FAULTS as error:
            raise fault(error, what) from error

    return call


def _leaves(error: BaseException) -> list[BaseException]:
    """Returns the errors in nested groups, as a task group raises them, that are not groups themselves."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _ends_the_run(error: BaseException) -> bool:
    if isinstance(error, asyncio.CancelledError):
        try:
            task = asyncio.current_task()
        except RuntimeError:  # no event loop, so nothing outside could cancel
            return False
        return task is not None and task.cancelling() > 0
    return isinstance(error, EvalkitError) and not isinstance(error, BoundaryError | DataError)
