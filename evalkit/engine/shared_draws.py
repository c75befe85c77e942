"""Gathers the draws of one request that are asked at the same time, and sends them as one request with `n`.

The endpoint then reads the prompt once for all of them. The draws of such a request share its seed, which is
that of the first of them; vLLM derives the others' seeds from it. Each draw is stored by itself, so a resumed
run asks only those that are missing.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Collection, Sequence

from evalkit.errors import ProviderError
from evalkit.models.base import Request, Response
from evalkit.models.http import Refusal
from evalkit.samples import Api

Send = Callable[[Request, Sequence[int]], Awaitable[Response]]
"""Sends a request for these draws. The response has as many draws as came, in this order."""

MOST = 64
"""The most draws of one request. OpenAI takes 128; a response is held in memory whole."""
_NOT_TAKEN = (400, 422)


class _Group:
    """The draws of one request that are sent together."""

    def __init__(self) -> None:
        self.requests: dict[int, Request] = {}
        self.results: dict[int, asyncio.Future[Response | None]] = {}
        """The result of each draw but the first one; None: it must be asked again."""

    def join(self, draw: int, request: Request) -> asyncio.Future[Response | None]:
        """The future result of a draw; two samples with the same prompt share it."""
        if draw not in self.results:
            self.requests[draw] = request
            self.results[draw] = asyncio.get_running_loop().create_future()
        return self.results[draw]


class SharedDraws:
    """`routes`: those on which the model's endpoints take `n`. `most`: the most draws of one request."""

    def __init__(self, routes: Collection[Api], most: int = MOST) -> None:
        self._routes, self._most = frozenset(routes), most
        self._open: dict[bytes, _Group] = {}
        """The groups that still take draws, by the request's key."""

    def may_share(self, request: Request, draw: int) -> bool:
        """Whether the draw may come with others: it is sampled, and the endpoint takes `n`."""
        return draw >= 0 and request.temperature > 0 and request.api in self._routes and self._most > 1

    async def ask(self, request: Request, key: bytes, draw: int, send: Send) -> Response:
        """Returns the response of a draw. Raises what `send` raises, for each draw that it was called for.

        The first draw of a group sends it, and the others wait for that. Draws that did not come, because the
        endpoint returned fewer than were asked for, are asked again; so are all if the first was cancelled.
        """
        while self._most > 1:
            group = self._open.get(key)
            if group is None:
                return await self._lead(request, key, draw, send)
            if draw in group.requests and draw not in group.results:
                break  # another sample with the same prompt sends it
            result = group.join(draw, request)
            if len(group.requests) >= self._most:
                del self._open[key]
            if (response := await asyncio.shield(result)) is not None:
                return response
        return await send(request, [draw])

    async def _lead(self, request: Request, key: bytes, draw: int, send: Send) -> Response:
        group = self._open[key] = _Group()
        group.requests[draw] = request
        try:
            try:
                await self._gathered(group)
            finally:
                if self._open.get(key) is group:
                    del self._open[key]
            found = await self._sent(group, send)
        except BaseException as error:
            for result in group.results.values():
                _settle(result, error)
            raise
        for number, result in group.results.items():
            _settle(result, found.get(number))
        return found[draw] if draw in found else await send(request, [draw])

    async def _gathered(self, group: _Group) -> None:
        """Waits while each turn of the event loop brings more draws and there is room for them."""
        seen = 0
        while seen < len(group.requests) < self._most:
            seen = len(group.requests)
            await asyncio.sleep(0)

    async def _sent(self, group: _Group, send: Send) -> dict[int, Response]:
        """The draws that came."""
        draws = sorted(group.requests)
        first = group.requests[draws[0]]
        if len(draws) == 1:
            return {draws[0]: await send(first, draws)}
        try:
            response = await send(dataclasses.replace(first, n=len(draws)), draws)
        except Refusal as refusal:
            if refusal.status not in _NOT_TAKEN or refusal.too_long or refusal.fatal:
                raise
            alone = await send(first, draws[:1])  # raises, if the prompt is the reason
            self._most = 1  # otherwise the endpoint no longer takes n
            return {draws[0]: alone}
        if not response.more:
            self._most = 1  # it ignores n
        return dict(zip(draws, response.draws, strict=False))


def _settle(result: asyncio.Future[Response | None], outcome: Response | BaseException | None) -> None:
    """Sets the outcome of a draw; one whose sender was cancelled must be asked again."""
    if result.done():
        return
    if isinstance(outcome, asyncio.CancelledError):
        result.set_result(None)
    elif isinstance(outcome, BaseException):
        result.set_exception(outcome)
        result.exception()  # nobody may wait for it any more
    else:
        result.set_result(outcome)


def refusal_of(request: Request, error: ProviderError) -> Response:
    """The response to a prompt that an endpoint's filter refuses, for each draw that was asked for."""
    one = Response("", "filter", reasoning=str(error))
    return dataclasses.replace(one, more=(one,) * (request.n - 1))
