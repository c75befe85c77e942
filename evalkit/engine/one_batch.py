"""One batch at a provider, as a run knows it, and the patience with which its routes are asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, TypeAlias, TypeVar

from evalkit.engine.waits import RetryPolicy
from evalkit.errors import ProviderError, counted
from evalkit.models.batch_routes import Failed
from evalkit.runfile.records import StoredBatch

_T = TypeVar("_T")
_FULL = 86_400.0
"""Seconds for which a provider may refuse a further batch, or a look at one, by a 429."""
Answer: TypeAlias = "bytes | Failed | str | None"
"""A request's response, its error, the words of an error of its whole batch, or None: send it again."""


class Result(NamedTuple):
    """What became of a request. `batch`: the one that it was in, if that brought the answer."""

    batch: Batch | None
    answer: Answer


class Batch:
    """A batch whose results are not all in the run file. `restored`: an earlier process submitted it."""

    def __init__(self, stored: StoredBatch, custom_ids: Iterable[str], *, restored: bool) -> None:
        self.stored, self.restored = stored, restored
        self.left = set(custom_ids)
        """The custom ids of its requests whose results nobody has taken yet."""
        self.answered = 0
        self.sent = restored
        """Whether its turn to be submitted has come."""
        self.ended = False
        self.task: asyncio.Task[None] | None = None

    def line(self, number: int, of: int) -> str:
        """How far it is, as the batch `number` of `of` that the provider works on."""
        minutes = (time.time() - self.stored.at) / 60
        return (
            f"batch {number} of {of} at {self.stored.endpoint}: {self.answered:,} of "
            f"{counted(self.stored.requests, 'request')} answered, asked for {minutes:.0f} min"
        )


class Patience:
    """Makes calls of a provider's batch routes again while their failures may pass."""

    def __init__(self, policy: RetryPolicy, tell: Callable[[str], None]) -> None:
        """`tell`: is told of the first failure of a call."""
        self._policy, self._tell = policy, tell

    async def result(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """The result of `call`. Raises its `ProviderError` if it cannot pass, or after an outage.

        A 429 is waited for longer: what makes room at the provider may be a batch of hours.
        """
        attempt, silent, limited = 0, 0.0, 0.0
        while True:
            try:
                return await call()
            except ProviderError as error:
                attempt += 1
                pause = self._policy.pause(attempt, error.retry_after)
                if error.limited:
                    limited += pause
                else:
                    silent += pause + error.waited / self._policy.second
                if not error.retryable or silent >= self._policy.outage or limited >= _FULL:
                    raise
                if attempt == 1:
                    self._tell(f"the batch routes failed and are asked again: {error}")
                await self.sleep(pause)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._policy.second)
