"""The attempts at one request: whether there is another one, and after how long a pause."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from evalkit.errors import ProviderError

_LONGEST_PAUSE = 60.0
LONGEST_RETRY_AFTER = 600.0
"""Seconds that are waited at most because a server asks for it."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts per request, and seconds before the second attempt; each further pause is twice as long.

    The actual pause is drawn between half and all of that, so that clients do not retry at the same time.
    What the server asks to wait is used instead if it is longer. `patience`: seconds that a request waits,
    while no other one is answered, before a 429 counts as a failed attempt. `outage`: seconds without any
    answer after which an endpoint is given up. `grace`: seconds in which what is in flight may still arrive
    when a run ends early. `second`: how many seconds one of these seconds lasts, less in tests.
    """

    attempts: int = 6
    first_pause: float = 1.0
    patience: float = 120.0
    outage: float = 900.0
    grace: float = 5.0
    second: float = 1.0

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Returns the seconds to wait after the failed `attempt` (from 1)."""
        longest = min(_LONGEST_PAUSE, self.first_pause * 2 ** (attempt - 1))
        wanted = random.uniform(longest / 2, longest)  # noqa: S311 — jitter
        return max(wanted, min(retry_after or 0.0, LONGEST_RETRY_AFTER))


class Waits:
    """Counts the failed attempts at one request.

    A 429 counts as one of them only if the request has waited for `patience` seconds in which no other
    request was answered. As long as others are, the endpoint is only slow, and the request's turn will come.
    In an outage no attempt counts, because the request is not the reason.
    """

    def __init__(self, policy: RetryPolicy, answers: Callable[[], int]) -> None:
        """`answers`: returns how many requests were answered so far."""
        self._policy, self._answers = policy, answers
        self._seen = answers()
        self._attempts = self._limited = self._away = 0
        self._waited = 0.0
        self.sent = 0
        """How often the request was sent."""

    def pause(self, error: ProviderError, outage: bool = False) -> float | None:
        """Returns the seconds to wait after an attempt that ended with `error`; None: do not try again.

        `outage`: the endpoint answers nobody (`evalkit.engine.lanes`), so that the attempt does not count.
        """
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
        if error.away and outage:
            self._away += 1
            return self._policy.pause(self._away, None)
        self._away = 0
        self._attempts += 1
        if self._attempts >= self._policy.attempts:
            return None
        return self._policy.pause(self._attempts, error.retry_after)
