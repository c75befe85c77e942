"""Endpoints with OpenAI's chat and completions routes: vLLM, SGLang, llama.cpp, Ollama, OpenAI and others."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import orjson

from evalkit.errors import ProviderError, UsageError
from evalkit.models.alternatives import ALTERNATIVES, most_alternatives, within
from evalkit.models.base import Capability, Request, Response
from evalkit.models.http import JSON_BODY, OPENAI, Endpoint, Refusal
from evalkit.models.inside import Inside
from evalkit.models.parameters import EXTRA
from evalkit.models.reading import parse
from evalkit.models.refused import Adapted
from evalkit.models.registry import KEY, Named, capabilities_of
from evalkit.models.sse import assembled
from evalkit.samples import JSON, Message, Part, Shown, Speech, Tool

__all__ = ["OPENAI", "OpenAIModel"]


class OpenAIModel:
    """The model `openai/NAME` at `base_url` (default: OPENAI_BASE_URL, or else OpenAI's own)."""

    parallel: int | None = None

    def __init__(self, model: str, base_url: str = "", *, timeout: float = 600.0, key_env: str = KEY) -> None:
        self.name = f"openai/{model}"
        self._model = model
        self._endpoint = Endpoint(base_url, timeout=timeout, key_env=key_env)
        self._adapted = Adapted()
        self.capabilities: frozenset[Capability] = capabilities_of("openai")
        if self._endpoint.is_openai:  # OpenAI always starts a new message
            self.capabilities -= {"prefill"}
        self._encoder = _one_thread()
        self._most_alternatives: int | None = None
        """The most alternatives of a token, once the endpoint refused more."""
        # OpenAI's newer models refuse the older name; other servers know only that one.
        self._max_tokens = "max_completion_tokens" if self._endpoint.is_openai else "max_tokens"

    @property
    def base_url(self) -> str:
        return self._endpoint.base_url

    @property
    def timeout(self) -> float:
        """Seconds after which a request is given up."""
        return self._endpoint.timeout

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "openai", "model": self._model, "endpoint": self.base_url}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """The response to a request, which is sent again as long as it is refused for an optional part.

        These parts are parameters (`evalkit.models.refused`) and the number of alternatives. Raises
        `ProviderError`.
        """
        asked = within(request, self._most_alternatives)
        payload = await self._built(asked)
        while True:
            sent = self._adapted.payload(payload)
            try:
                response = await self._once(asked, sent)
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

    def wire(self, request: Request) -> dict[str, JSON]:
        """The request as it is sent, for a person: address, headers without the key, and body."""
        asked = within(request, self._most_alternatives)
        sent = self._adapted.payload(self._payload(asked))
        return {**self._endpoint.wire(_route(request)), "body": sent}

    async def served(self) -> frozenset[str] | None:
        """The names of the models that the endpoint lists; None if it lists none, or does not answer."""
        return await self._endpoint.models()

    async def reach(self) -> None:
        """Raises a fatal `ProviderError` if nobody is at the address, within 5 seconds."""
        await self._endpoint.reach()

    async def _once(self, request: Request, payload: dict[str, JSON]) -> Response:
        """The response to the payload. Raises `Refusal`, also for an error inside a 200 with its status."""
        started = time.perf_counter()
        echoed = str(request.prompt) if request.echo else ""

        def read(body: bytes) -> Response:
            seconds = time.perf_counter() - started
            return parse(assembled(body), request.api, seconds, echoed, request.prompt)

        try:
            response = await self._post(request, payload, read)
        except Inside as error:
            raise self._endpoint.refusal(error.status, {}, error.body, str(error)) from None
        if response.finish == "other" and (response.completion_tokens or 0) >= request.max_tokens:
            return dataclasses.replace(response, finish="length")  # the server says no reason
        return response

    async def _built(self, request: Request) -> dict[str, JSON]:
        return await self._in_thread(self._payload, request) if request.media else self._payload(request)

    async def aclose(self) -> None:
        self._encoder.shutdown(wait=False)
        self._encoder = _one_thread()
        await self._endpoint.aclose()

    def departures(self, request: Request) -> tuple[tuple[str, str], ...]:
        """(parameter, description) of each change to a request, without which the endpoint refused it."""
        return tuple(self._adapted.departures(request)) if self._adapted.departs else ()

    async def _post(
        self, request: Request, payload: dict[str, JSON], read: Callable[[bytes], Response]
    ) -> Response:
        route = _route(request)
        if not request.media:
            data = orjson.dumps(payload)
            return await self._endpoint.post(route, lambda: data, read, JSON_BODY)
        encoded = await self._in_thread(orjson.dumps, payload)  # megabytes, which are sent in pieces
        return await self._endpoint.post(route, lambda: BytesIO(encoded), read, JSON_BODY)

    async def _in_thread(self, work: Callable[[Any], Any], value: object) -> Any:
        """Encodes pictures and clips in a thread, because megabytes would block the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._encoder, work, value)

    def _payload(self, request: Request) -> dict[str, JSON]:
        if isinstance(request.prompt, Speech):
            raise ProviderError("openai/ accepts chats and texts: send a clip to transcribe/", fatal=True)
        payload: dict[str, JSON] = {"model": self._model}
        if isinstance(request.prompt, str):
            payload["prompt"] = request.prompt
            payload["max_tokens"] = request.max_tokens
            if request.logprobs or request.echo:  # some servers return nothing for 0
                payload["logprobs"] = request.logprobs or 1
            if request.echo:
                payload["echo"] = True
        else:
            payload["messages"] = [_turn(message) for message in request.prompt]
            if request.tools:
                payload["tools"] = [_tool(tool) for tool in request.tools]
            if request.prefill:  # the names in vLLM and SGLang
                payload |= {"add_generation_prompt": False, "continue_final_message": True}
            payload[self._max_tokens] = request.max_tokens
            if request.logprobs:
                payload["logprobs"] = True
                payload["top_logprobs"] = request.logprobs
        payload["temperature"] = request.temperature
        if request.temperature > 0 or request.top_p != 1:
            # Every sampled request has it: vLLM and SGLang would otherwise use the model's own default.
            payload["top_p"] = request.top_p
        if request.stop:
            payload["stop"] = list(request.stop)
        if request.seed is not None:
            payload["seed"] = request.seed
        return {**payload, **request.extra}


def open_openai(named: Named) -> OpenAIModel:
    """Opens `openai/NAME`. Raises `UsageError` for an invalid address."""
    name, mark, _ = named.name.partition("?")
    if mark:
        raise UsageError(
            f"openai/{name} has no options: --set {EXTRA}KEY=VALUE puts a parameter into each request"
        )
    return OpenAIModel(name, named.base_url, timeout=named.timeout, key_env=named.key_env)


def _route(request: Request) -> str:
    return "completions" if request.api == "completion" else "chat/completions"


def _one_thread() -> ThreadPoolExecutor:
    """An executor with one thread; several would block the event loop for a tenth of a second."""
    return ThreadPoolExecutor(1, thread_name_prefix="encoder")


def _turn(message: Message) -> dict[str, JSON]:
    turn: dict[str, JSON] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        turn["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _tool(tool: Tool) -> dict[str, JSON]:
    function: dict[str, JSON] = {"name": tool.name, "description": tool.description}
    return {"type": "function", "function": {**function, "parameters": dict(tool.parameters)}}


def _content(message: Message) -> JSON:
    """The content as a text, or as texts and media files, which OpenAI, vLLM, SGLang and llama.cpp accept."""
    if isinstance(message.content, str):
        return message.content
    return [_part(part) for part in message.content]


def _part(part: Part) -> JSON:
    """Pictures become data URLs, and clips base64. By now, clips are WAV files and videos are pictures."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return _WIRE[part.kind](part, b64encode(part.data).decode())


_WIRE: Mapping[str, Callable[[Shown, str], JSON]] = {
    "image": lambda part, data: {
        "type": "image_url",
        "image_url": {"url": f"data:{part.mime};base64,{data}"},
    },
    "audio": lambda part, data: {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
}
