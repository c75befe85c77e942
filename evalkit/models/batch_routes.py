"""Batch routes: a provider answers many requests within hours, at a lower price (`evalkit run --batch`).

`evalkit.engine.provider_batches` decides which requests are sent together; here is what a provider's routes
must offer for that. Only addresses below the endpoint's own are asked, so that the key goes nowhere else,
whatever addresses a response has.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeGuard

from evalkit.errors import ProviderError
from evalkit.models.base import Model, Request, Response
from evalkit.models.bodies import object_of, one_line
from evalkit.models.http import Endpoint
from evalkit.models.http_model import Posting
from evalkit.samples import JSON

BATCHED = "batched"
"""The kind of the sign (`Response.signs`) of a response that came by a batch route."""
_PAGES = 100
"""The most pages of a list of batches that are read."""
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")
"""An id that a provider gave to a batch or a file; it becomes a part of an address."""


@dataclass(frozen=True, slots=True)
class BatchState:
    """How far a batch is. `answered`: of its requests, with an error or without.

    `ended`: its results can be read, unless it `failed`: the provider's words about a batch that it did not
    accept. `full`: the reason is that too many requests wait there, so that it may accept it later.
    """

    answered: int = 0
    ended: bool = False
    failed: str = ""
    full: bool = False
    files: tuple[str, ...] = ()
    """Where the results are, in the provider's terms."""


class Failed(NamedTuple):
    """The error of one request of a batch: as it would have come alone, with `status` and `body`.

    `status` 0: the provider did not send the request before the batch ended.
    """

    status: int
    body: bytes


Result: TypeAlias = tuple[str, bytes | Failed]
"""(custom id, body of the response or error)."""


class BatchRoutes(Protocol):
    """The batch routes of one endpoint. All methods raise `ProviderError`.

    `endpoint`: where they are. `most_requests`, `most_bytes`: the provider's limits of one batch.
    """

    endpoint: Endpoint
    most_requests: int
    most_bytes: int

    def line(self, custom_id: str, route: str, payload: dict[str, JSON]) -> bytes:
        """One request as it stands in a batch. `route`: where it would be sent alone."""
        ...

    async def submit(self, lines: Sequence[bytes], route: str, mark: str) -> str:
        """Submits a batch and returns its id. `mark`: what `find` may find it by."""
        ...

    async def find(self, mark: str, since: float, requests: int) -> list[str]:
        """The ids of the batches that may be the one with `mark`, which was submitted at `since` or later.

        `since`: seconds since 1970.
        """
        ...

    async def state(self, batch: str) -> BatchState: ...

    async def cancel(self, batch: str) -> None:
        """Asks to end a batch early. What was answered by then costs as usual."""
        ...

    def results(self, batch: str, state: BatchState) -> AsyncGenerator[Result, None]:
        """Yields the results of a batch that has ended, in any order. Unreadable lines are left out."""
        ...


class BatchedModel(Model, Protocol):
    """A backend that can be asked by batch routes."""

    base_url: str

    def batch_routes(self) -> BatchRoutes:
        """Raises `UsageError` if the provider has none."""
        ...

    async def generate_by(self, post: Posting, request: Request) -> Response:
        """The response to a request whose payload `post` sends. Raises `ProviderError`."""
        ...


def has_batches(model: Model) -> TypeGuard[BatchedModel]:
    """Whether `model` is of a backend that can be asked by batch routes."""
    return callable(getattr(model, "batch_routes", None))


async def document(
    endpoint: Endpoint,
    method: str,
    route: str,
    data: Callable[[], Any] = lambda: None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The JSON object that a route returns. `data`: makes the body that is sent, of any size.

    Raises `ProviderError`.
    """
    from evalkit.models.connections import read_body

    timeout = _timeout(endpoint)
    async with endpoint.exchange(method, route, data, headers, params=query, timeout=timeout) as answer:
        found = await read_body(answer.content, object_of)
    if found is None:
        raise ProviderError(f"{endpoint.base_url}/{route} returned no JSON object", retryable=True)
    return found


async def listed(endpoint: Endpoint, route: str, cursor: str) -> AsyncGenerator[dict[str, Any], None]:
    """Yields the batches that a route lists, the newest first. `cursor`: the parameter of the next page."""
    query = {"limit": "100"}
    for _ in range(_PAGES):
        page = await document(endpoint, "GET", route, query=query)
        found = [one for one in page.get("data") or () if isinstance(one, dict)]
        for one in found:
            yield one
        if not page.get("has_more") or not found:
            return
        query[cursor] = str(page.get("last_id") or found[-1].get("id"))


async def lines(endpoint: Endpoint, route: str) -> AsyncGenerator[dict[str, Any], None]:
    """Yields the JSON objects of a file of lines, of any size, as they arrive; other lines are left out."""
    from evalkit.models.connections import LARGEST_ANSWER

    async with endpoint.exchange("GET", route, timeout=_timeout(endpoint)) as answer:
        parts: list[bytes] = []
        size = 0
        async for chunk in answer.content.iter_any():
            first, *more = chunk.split(b"\n")
            parts.append(first)
            size += len(first)
            if size > LARGEST_ANSWER:
                raise ProviderError(f"a line of {route} has more than {LARGEST_ANSWER >> 20} MB", fatal=True)
            if more:
                *whole, last = more
                for line in (b"".join(parts), *whole):
                    if (found := object_of(line)) is not None:
                        yield found
                parts, size = [last], len(last)
        if (found := object_of(b"".join(parts))) is not None:
            yield found


def _timeout(endpoint: Endpoint) -> Any:
    """The limits of a request whose body, or response, is as long as a batch."""
    import aiohttp

    from evalkit.models.connections import CONNECT

    return aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_read=endpoint.timeout)


def identifier(value: object, what: str) -> str:
    """An id that a server gave, which becomes a part of an address. Raises `ProviderError` for none."""
    if isinstance(value, str) and IDENTIFIER.fullmatch(value):
        return value
    raise ProviderError(f"the endpoint returned {one_line(str(value))[:80]!r} as {what}", fatal=True)


def counted(value: object) -> int:
    """A number of requests that a server gave; 0 for anything else."""
    return value if type(value) is int and value > 0 else 0
