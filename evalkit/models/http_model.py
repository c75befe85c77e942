"""What the backends share that send each request to an endpoint as JSON: openai/, gemini/, anthropic/."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, Protocol

import orjson

from evalkit.errors import ProviderError
from evalkit.models.alternatives import ALTERNATIVES, most_alternatives, within
from evalkit.models.base import Capability, Request, Response
from evalkit.models.bodies import count, read_object
from evalkit.models.http import JSON_BODY, Endpoint, Refusal
from evalkit.models.inside import Inside
from evalkit.models.registry import capabilities_of
from evalkit.samples import JSON, Message, Shown, Speech


class Adapting(Protocol):
    """What an endpoint was found not to take, such as `evalkit.models.refused.Adapted`."""

    @property
    def departs(self) -> bool:
        """Whether any request may be sent otherwise than it says."""
        ...

    def payload(self, payload: Mapping[str, JSON]) -> dict[str, JSON]:
        """The payload as the endpoint takes it."""
        ...

    def learn(self, refusal: Refusal, sent: Mapping[str, JSON], request: Request) -> None:
        """Notes what a refusal of `sent` says about its parts.

        Raises `ProviderError`, with what to change, for a part that the protocol cannot do without.
        """
        ...

    def departures(self, request: Request) -> Iterable[tuple[str, str]]:
        """(parameter, words) for each way in which a request is sent otherwise than it says."""
        ...


class Posting(Protocol):
    """Sends the payload of a request to a route, and returns what `read` makes of the response's body.

    Raises `Refusal` for all but a 200, and other `ProviderError`s.
    """

    async def __call__(
        self, route: str, request: Request, payload: dict[str, JSON], read: Callable[[bytes], Response]
    ) -> Response: ...


class HTTPModel(ABC):
    """A model behind an endpoint. A subclass says what is sent and how the response is read."""

    parallel: int | None = None
    takes_n = False
    """Whether its route has a parameter for several draws (`Request.n`); an endpoint may still ignore it."""

    def __init__(self, backend: str, model: str, endpoint: Endpoint, adapted: Adapting) -> None:
        self.name = f"{backend}/{model}"
        self.capabilities: frozenset[Capability] = capabilities_of(backend)
        self._backend, self._model = backend, model
        self._endpoint, self._adapted = endpoint, adapted
        self._encoder = _one_thread()
        self._most_alternatives: int | None = None
        """The most alternatives of a token, once the endpoint refused more."""

    @abstractmethod
    def _payload(self, request: Request) -> dict[str, JSON]:
        """The body of the request. Raises `ProviderError` for one that cannot be sent."""

    @abstractmethod
    def _route(self, request: Request) -> str:
        """Where it is sent, after the address."""

    @abstractmethod
    def _parsed(self, body: bytes, request: Request, seconds: float) -> Response:
        """Parses the body of a 200. Raises `Inside` for an error in it, and other `ProviderError`s."""

    async def _headers(self) -> Mapping[str, str]:
        """The headers of the next request."""
        return JSON_BODY

    @property
    def base_url(self) -> str:
        return self._endpoint.base_url

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    @property
    def timeout(self) -> float:
        """Seconds after which a request is given up."""
        return self._endpoint.timeout

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": self._backend, "model": self._model, "endpoint": self.base_url}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """The response to a request. Raises `ProviderError`."""
        return await self.generate_by(self._post, request)

    async def generate_by(self, post: Posting, request: Request) -> Response:
        """The response to a request that `post` sends, again as long as it is refused for an optional part.

        These parts are parameters (`evalkit.models.refused`) and the number of alternatives. Raises
        `ProviderError`.
        """
        if isinstance(request.prompt, Speech):
            raise ProviderError(f"{self._backend}/ accepts chats: send a clip to transcribe/", fatal=True)
        asked = within(request, self._most_alternatives)
        payload = await self._built(asked)
        while True:
            sent = self._adapted.payload(payload)
            try:
                response = await self._once(post, asked, sent)
                break
            except Refusal as refusal:
                most = most_alternatives(refusal, asked, self.base_url)
                if most is not None:
                    self._most_alternatives = most
                    asked = within(asked, most)
                    payload = await self._built(asked)
                    continue
                self._adapted.learn(refusal, sent, asked)
                if self._adapted.payload(payload) == sent:
                    raise
        if asked.logprobs == request.logprobs:
            return response
        signs = (*response.signs, (ALTERNATIVES, str(asked.logprobs)))
        return dataclasses.replace(response, signs=signs)

    async def count_input(self, request: Request) -> int:
        """The tokens of the prompt by the endpoint's own count, for which nothing is generated.

        Raises `ProviderError` if the endpoint does not count.
        """
        raise ProviderError(f"{self._backend}/ has no route that counts tokens", fatal=True)

    async def _counted(self, route: str, body: Mapping[str, JSON], field: str) -> int:
        """The number in a `field` of the response to `body`."""
        encoded = orjson.dumps(body)
        said = await self._endpoint.post(route, lambda: encoded, read_object, await self._headers())
        found = count(said.get(field))
        if not found:
            raise ProviderError(f"{self.base_url}: the response of {route} has no {field}")
        return found

    def wire(self, request: Request) -> dict[str, JSON]:
        """The request as it is sent, for a person: address, headers without the key, and body."""
        asked = within(request, self._most_alternatives)
        sent = self._adapted.payload(self._payload(asked))
        return {**self._endpoint.wire(self._route(request)), "body": sent}

    async def served(self) -> frozenset[str] | None:
        """The names of the models that the endpoint lists; None if it lists none, or does not answer."""
        return await self._endpoint.models()

    async def reach(self) -> None:
        """Raises a fatal `ProviderError` if nobody is at the address, within 5 seconds."""
        await self._endpoint.reach()

    def departures(self, request: Request) -> tuple[tuple[str, str], ...]:
        """(parameter, description) of each change to a request, without which the endpoint refused it."""
        return tuple(self._adapted.departures(request)) if self._adapted.departs else ()

    async def aclose(self) -> None:
        self._encoder.shutdown(wait=False)
        self._encoder = _one_thread()
        await self._endpoint.aclose()

    async def _once(self, post: Posting, request: Request, payload: dict[str, JSON]) -> Response:
        """The response to the payload. Raises `Refusal`, also for an error inside a 200 with its status."""
        started = time.perf_counter()

        def read(body: bytes) -> Response:
            return self._parsed(body, request, time.perf_counter() - started)

        try:
            response = await post(self._route(request), request, payload, read)
        except Inside as error:
            raise self._endpoint.refusal(error.status, {}, error.body, str(error)) from None
        if response.finish == "other" and (response.completion_tokens or 0) >= request.max_tokens:
            return dataclasses.replace(response, finish="length")  # the server says no reason
        return response

    def _encoded(self, payload: Mapping[str, JSON]) -> bytes:
        """The payload as it is sent."""
        return orjson.dumps(payload)

    async def _built(self, request: Request) -> dict[str, JSON]:
        return await self._in_thread(self._payload, request) if request.media else self._payload(request)

    async def _post(
        self, route: str, request: Request, payload: dict[str, JSON], read: Callable[[bytes], Response]
    ) -> Response:
        headers = await self._headers()
        if not request.media:
            data = self._encoded(payload)
            return await self._endpoint.post(route, lambda: data, read, headers)
        encoded = await self._in_thread(self._encoded, payload)  # megabytes, which are sent in pieces
        return await self._endpoint.post(route, lambda: BytesIO(encoded), read, headers)

    async def _in_thread(self, work: Callable[[Any], Any], value: object) -> Any:
        """Encodes pictures and clips in a thread, because megabytes would block the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._encoder, work, value)


def chat_of(request: Request) -> tuple[Message, ...]:
    """The messages of the request. Raises `ProviderError` for one that is no chat."""
    if not isinstance(request.prompt, tuple):
        raise ProviderError("the endpoint accepts chats, and no text to continue", fatal=True)
    return request.prompt


def encoded(file: Shown) -> str:
    """A picture or a clip in base64 (RFC 4648, section 4)."""
    return b64encode(file.data).decode()


def _one_thread() -> ThreadPoolExecutor:
    """An executor with one thread; several would block the event loop for a tenth of a second."""
    return ThreadPoolExecutor(1, thread_name_prefix="encoder")
