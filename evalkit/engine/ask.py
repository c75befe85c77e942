"""Asking for one sample: stored answer → limiter → attempts → the wire → stored."""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass

from evalkit.engine.limiter import Limiter
from evalkit.errors import EvalkitError, ProviderError
from evalkit.models.base import Model, Request, Response
from evalkit.protocol import Protocol
from evalkit.samples import Prompt
from evalkit.signature import combine
from evalkit.store import Cell, Store

_LONGEST_PAUSE = 60.0
_LONGEST_RETRY_AFTER = 600.0


class Stopped(EvalkitError):
    """The run cannot go on; what was answered is stored. `usage`: the user has to change something."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts for one request, and seconds before the second; each further pause is twice as long.

    A pause is drawn between half and the whole of that, so that clients do not come back together; a
    server's Retry-After is kept to where it is longer.
    """

    attempts: int = 6
    first_pause: float = 1.0

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after failed `attempt` (from 1)."""
        longest = min(_LONGEST_PAUSE, self.first_pause * 2 ** (attempt - 1))
        wanted = random.uniform(longest / 2, longest)  # noqa: S311 — jitter
        return max(wanted, min(retry_after or 0.0, _LONGEST_RETRY_AFTER))


class Line:
    """The way to the model that all samples of a run share.

    Counts requests that failed for good, one after the other: when the endpoint answers nothing any more
    the run stops, instead of failing every sample that is left.
    """

    def __init__(self, model: Model, store: Store, limiter: Limiter, policy: RetryPolicy, seed: int) -> None:
        self.model, self.store, self.limiter, self.policy, self.seed = model, store, limiter, policy, seed
        self.completion_tokens = 0
        self.prompt_tokens = 0
        self._failed_in_a_row = 0
        self._commit_due = False

    async def send(
        self, request: Request, key: bytes, body: bytes, draw: int, cell: Cell, sample: str
    ) -> Response:
        """The stored answer, else the model's. Raises `ProviderError` or `Stopped`."""
        found = self.store.response(key, draw)
        if found is not None:
            return found
        response = await self._attempts(request, draw, cell, sample)
        self.store.add_response(key, body, draw, cell, sample, response)
        self.commit_soon()
        self.prompt_tokens += response.prompt_tokens or 0
        self.completion_tokens += response.completion_tokens or 0
        return response

    def commit_soon(self) -> None:
        """Commits before the event loop goes round again, once for all that arrived together."""
        if not self._commit_due:
            self._commit_due = True
            asyncio.get_running_loop().call_soon(self.commit)

    def commit(self) -> None:
        self._commit_due = False
        self.store.commit()

    async def _attempts(self, request: Request, draw: int, cell: Cell, sample: str) -> Response:
        attempt = 1
        while True:
            try:
                async with self.limiter:
                    response = await self._once(request, draw)
            except ProviderError as error:
                self.store.add_error(cell, sample, draw, error.boundary, str(error))
                self.commit_soon()
                if error.fatal:
                    raise Stopped(str(error), usage=True) from None
                if error.throttled:
                    self.limiter.throttled(error.retry_after)
                if not error.retryable or attempt >= self.policy.attempts:
                    self._count_failure(error)
                    raise
                await asyncio.sleep(self.policy.pause(attempt, error.retry_after))
                attempt += 1
            else:
                self._failed_in_a_row = 0
                self.limiter.succeeded(response.seconds)
                return response

    async def _once(self, request: Request, draw: int) -> Response:
        try:
            return await self.model.generate(request, draw=draw)
        except (ProviderError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise ProviderError(f"{type(error).__name__}: {error}") from error

    def _count_failure(self, error: ProviderError) -> None:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= max(20, 2 * self.limiter.limit):
            raise Stopped(
                f"{self._failed_in_a_row} requests in a row failed, the last with: {error}"
            ) from None


class Asking:
    """What a solver sees as `ask`, for one sample; remembers which requests were made for it."""

    def __init__(self, line: Line, cell: Cell, sample: str, protocol: Protocol) -> None:
        self._line, self._cell, self._sample, self._protocol = line, cell, sample, protocol
        self.hints = ("", "")
        """What a perfect and a failing model would say, for `fake/`."""
        self._encoded: dict[Prompt, tuple[bytes, bytes]] = {}

    async def __call__(self, prompt: Prompt, *, draw: int = 0) -> Response:
        protocol = self._protocol
        request = Request(
            prompt=prompt,
            max_tokens=protocol.max_tokens,
            temperature=protocol.temperature,
            top_p=protocol.top_p,
            stop=protocol.stop,
            # A greedy request needs no seed; a drawn one needs another for every draw.
            seed=draw_seed(self._line.seed, draw) if protocol.temperature > 0 else None,
            gold=self.hints[0],
            spoiled=self.hints[1],
        )
        if prompt not in self._encoded:
            self._encoded[prompt] = request.encoded()
        key, body = self._encoded[prompt]
        return await self._line.send(request, key, body, draw, self._cell, self._sample)

    @property
    def asked(self) -> bytes:
        """16-byte digest of the set of requests made."""
        return bytes.fromhex(combine(key for key, _ in self._encoded.values()))


def draw_seed(seed: int, draw: int) -> int:
    """The seed of a draw: 31 bits, unrelated between neighbouring runs and draws."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{draw}".encode()).digest()[:4]) >> 1
