"""Sends the requests of a probe: few at a time, each for a bounded time, and all of them counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Request, Response
from evalkit.models.bodies import one_line
from evalkit.models.http_model import HTTPModel
from evalkit.probing.found import Answer, Verdict

_AT_ONCE = 4
_SAID_NOTHING = (401, 402, 403, 408, 429)
"""The statuses of a refusal that is about the key, the money or the rate, and not about the request."""
_CUT_SHORT = "output limit was reached"
"""OpenAI, of a reasoning model that did not finish within the few tokens of a probe."""

_NO_SUCH_INPUT = "input is not supported"
"""llama.cpp, of pictures and clips, with a 500."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The seconds of one request, and of the whole probe; those of the first requests are twice as many.

    A server may load the model when it is first asked.
    """

    request: float = 10.0
    total: float = 30.0


class Asker:
    """The requests of one probe. `seconds`: those that a request may take.

    `prompt_tokens`, `completion_tokens`: what the endpoint counted so far.
    """

    def __init__(self, model: HTTPModel, seconds: float) -> None:
        self.model, self.seconds = model, seconds
        self.prompt_tokens = self.completion_tokens = 0
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, request: Request) -> Response:
        """The response. Raises `ProviderError`; nothing is tried twice, but for what the backend learns."""
        async with self._slots:
            try:
                async with asyncio.timeout(self.seconds):
                    response = await self.model.generate(request)
            except TimeoutError:
                message = f"no response within {self.seconds:g} s"
                raise ProviderError(message, retryable=True, waited=self.seconds) from None
        for one in response.draws:
            self.prompt_tokens += one.prompt_tokens or 0
            self.completion_tokens += one.completion_tokens or 0
        if response.refused:
            raise ProviderError(
                f"the endpoint's filter refused the request: {response.reasoning}", refused=True
            )
        return response

    def left_out(self, request: Request, parameter: str) -> str:
        """Why a parameter of the request was not sent as it stands, by what the endpoint refused; else ""."""
        return dict(self.model.departures(request)).get(parameter, "")


Trial = Callable[[Asker], Awaitable[Answer]]


async def tried(name: str, trial: Trial, asker: Asker) -> Answer:
    """The answer of a trial. A refusal of the request is a no; any other failure leaves the answer open."""
    try:
        return await trial(asker)
    except (ProviderError, UsageError) as error:
        return Answer(name, verdict_of(error), one_line(getattr(error, "reason", "") or str(error)))


def verdict_of(error: Exception) -> Verdict:
    """What a failure says: a server that is overloaded, broken or wants another key says nothing."""
    if not isinstance(error, ProviderError):
        return "no"
    if _NO_SUCH_INPUT in str(error):
        return "no"
    status = getattr(error, "status", 0)
    passing = error.retryable or error.throttled or error.away or error.refused or error.too_long
    broken = status >= 500 and status != 501
    silent = status in _SAID_NOTHING or _CUT_SHORT in str(error)
    return "unclear" if passing or broken or silent else "no"
