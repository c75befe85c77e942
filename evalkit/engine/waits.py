"""The attempts at one request: whether there is another one, and after how long a pause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from evalkit.errors import ProviderError


class Policy(Protocol):
    """What `RetryPolicy` says."""

    @property
    def attempts(self) -> int: ...
    @property
    def patience(self) -> float: ...
    def pause(self, attempt: int, retry_after: float | None) -> float: ...


class Waits:
    """Counts the failed attempts at one request.

    A 429 counts as one of them only if the request has waited for `patience` seconds in which no other
    request was answered. As long as others are, the endpoint is only slow, and the request's turn will come.
    """

    def __init__(self, policy: Policy, answers: Callable[[], int]) -> None:
        """`answers`: returns how many requests were answered so far."""
        self._policy, self._answers = policy, answers
        self._seen = answers()
        self._attempts = self._limited = 0
        self._waited = 0.0

    def pause(self, error: ProviderError) -> float | None:
        """Returns the seconds to wait after an attempt that ended with `error`; None: do not try again."""
        answers = self._answers()
        moves, self._seen = answers > self._seen, answers
        if not error.retryable:
            return None
        if moves:
            self._waited = 0.0
        if not error.limited:
            self._limited = 0
        elif self._waited < self._policy.patience:
            self._limited += 1
            pause = self._policy.pause(self._limited, error.retry_after)
            self._waited += pause
            return pause
        self._attempts += 1
        if self._attempts >= self._policy.attempts:
            return None
        return self._policy.pause(self._attempts, error.retry_after)
