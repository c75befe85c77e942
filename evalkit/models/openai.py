"""Any endpoint that speaks OpenAI's chat and completions routes: vLLM, SGLang, llama.cpp, Ollama, OpenAI."""

from __future__ import annotations

import asyncio
import math
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import orjson

from evalkit.errors import ProviderError
from evalkit.models.base import Capability, Finish, Request, Response, TokenLogprob
from evalkit.models.echo import split_echo
from evalkit.models.http import JSON_BODY, OPENAI, Endpoint, count, no_answer
from evalkit.models.registry import Named, capabilities_of
from evalkit.samples import JSON, Message, Part, Shown, Speech, Tool, ToolCall

__all__ = ["OPENAI", "OpenAIModel"]

_FINISH: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "tool_calls": "stop",
    "length": "length",
    "content_filter": "filter",
}
_THINK, _THINK_END = "<think>", "</think>"


class OpenAIModel:
    """`openai/NAME` at `base_url` (default OPENAI_BASE_URL, else OpenAI's own)."""

    parallel: int | None = None

    def __init__(self, model: str, base_url: str = "", *, timeout: float = 600.0) -> None:
        self.name = f"openai/{model}"
        self._model = model
        self._endpoint = Endpoint(base_url, timeout=timeout)
        self.capabilities: frozenset[Capability] = capabilities_of("openai")
        if self._endpoint.is_openai:  # which begins a turn of its own, whoever spoke last
            self.capabilities -= {"prefill"}
        self._encoder = _one_thread()
        # OpenAI's newer models refuse the older name; other servers know only that one.
        self._max_tokens = "max_completion_tokens" if self._endpoint.is_openai else "max_tokens"

    @property
    def base_url(self) -> str:
        return self._endpoint.base_url

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "openai", "model": self._model, "endpoint": self.base_url}

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        """One HTTP request, one attempt. Raises `ProviderError`."""
        route = "completions" if request.api == "completion" else "chat/completions"
        if request.media:  # megabytes: in a thread, and written piece by piece
            loop = asyncio.get_running_loop()
            data: bytes | BytesIO = BytesIO(await loop.run_in_executor(self._encoder, self._encoded, request))
        else:
            data = self._encoded(request)
        started = time.perf_counter()
        body = await self._endpoint.post(route, data, JSON_BODY)
        echoed = str(request.prompt) if request.echo else ""
        return _parse(body, request.api, time.perf_counter() - started, echoed)

    async def aclose(self) -> None:
        self._encoder.shutdown(wait=False)
        self._encoder = _one_thread()
        await self._endpoint.aclose()

    def _encoded(self, request: Request) -> bytes:
        return orjson.dumps(self._payload(request))

    def _payload(self, request: Request) -> dict[str, JSON]:
        if isinstance(request.prompt, Speech):
            raise ProviderError("openai/ takes chats and texts: a clip alone goes to transcribe/", fatal=True)
        payload: dict[str, JSON] = {"model": self._model}
        if isinstance(request.prompt, str):
            payload["prompt"] = request.prompt
            payload["max_tokens"] = request.max_tokens
            if request.logprobs:
                payload["logprobs"] = request.logprobs
            if request.echo:
                payload["echo"] = True
        else:
            payload["messages"] = [_turn(message) for message in request.prompt]
            if request.tools:
                payload["tools"] = [_tool(tool) for tool in request.tools]
            if request.prefill:  # vLLM's and SGLang's words for it
                payload |= {"add_generation_prompt": False, "continue_final_message": True}
            payload[self._max_tokens] = request.max_tokens
            if request.logprobs:
                payload["logprobs"] = True
                payload["top_logprobs"] = request.logprobs
        payload["temperature"] = request.temperature
        if request.top_p != 1:
            payload["top_p"] = request.top_p
        if request.stop:
            payload["stop"] = list(request.stop)
        if request.seed is not None:
            payload["seed"] = request.seed
        return payload


def open_openai(named: Named) -> OpenAIModel:
    """`openai/NAME`. Raises `UsageError` where no request could be sent to its address."""
    return OpenAIModel(named.name, named.base_url, timeout=named.timeout)


def _one_thread() -> ThreadPoolExecutor:
    """Several would keep the interpreter from the event loop for a tenth of a second."""
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
    """A text, or parts of which some are no text: OpenAI, vLLM, SGLang and llama.cpp take these."""
    if isinstance(message.content, str):
        return message.content
    return [_part(part) for part in message.content]


def _part(part: Part) -> JSON:
    """Pictures are data URLs. Clips are WAV by now, and are not. Videos are pictures by now."""
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


def _parse(body: bytes, api: str, seconds: float, echoed: str = "") -> Response:
    """A 200 answer's body. Raises a retryable `ProviderError` for anything but a choice with text.

    `echoed`: the prompt that the endpoint was asked to repeat before what it generates.
    """
    try:
        document = orjson.loads(body)
        choice = document["choices"][0]
        message = choice if api == "completion" else choice["message"]
        text = message["text"] if api == "completion" else message.get("content")
        usage = document.get("usage") or {}
        finish = choice.get("finish_reason") or ""
        text, logprobs = _plain_text(text), _logprobs(choice.get("logprobs"))
        prompt_logprobs: tuple[TokenLogprob, ...] = ()
        if echoed:
            text, prompt_logprobs, logprobs = split_echo(echoed, text, logprobs)
        text, reasoning = _split_reasoning(text)
        return Response(
            text=text,
            finish=_FINISH.get(finish, "other"),
            prompt_tokens=count(usage.get("prompt_tokens")),
            completion_tokens=count(usage.get("completion_tokens")),
            seconds=seconds,
            reasoning=str(message.get("reasoning_content") or message.get("reasoning") or reasoning),
            logprobs=logprobs if echoed else tuple(one for one in logprobs if not math.isnan(one.logprob)),
            prompt_logprobs=prompt_logprobs,
            tool_calls=_tool_calls(message.get("tool_calls")),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise no_answer(api, error, body) from None


def _tool_calls(found: Any) -> tuple[ToolCall, ...]:
    """Calls of functions; some servers give their arguments as an object, and none an id."""
    return tuple(
        ToolCall(
            str(call["function"]["name"]),
            _arguments(call["function"].get("arguments")),
            str(call.get("id") or ""),
        )
        for call in found or ()
    )


def _arguments(given: Any) -> str:
    return given if isinstance(given, str) else orjson.dumps({} if given is None else given).decode()


def _plain_text(content: Any) -> str:
    """Text of a message: a string, null (a refusal, a tool call), or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    if not isinstance(content, str):
        raise TypeError(f"content is {type(content).__name__}")
    return content


def _split_reasoning(text: str) -> tuple[str, str]:
    """(answer, reasoning) of a text with inline `<think>`: what is inside is never the answer.

    A block left open (the response was cut there, or met a stop sequence) leaves no answer at all.
    """
    before, mark, after = text.partition(_THINK_END)
    if mark:
        return after.lstrip("\n"), before.replace(_THINK, "", 1)
    if text.lstrip().startswith(_THINK):
        return "", text
    return text, ""


def _logprobs(found: Any) -> tuple[TokenLogprob, ...]:
    """Token log-probabilities in either shape: the chat route's, or the older completions route's."""
    if not found:
        return ()
    if found.get("content") is not None:
        return tuple(
            TokenLogprob(
                item["token"],
                float(item["logprob"]),
                _alternatives(item.get("top_logprobs") or ()),
            )
            for item in found["content"]
        )
    if found.get("tokens") is None:
        return ()  # a refusal's: {"content": null}
    tops = found.get("top_logprobs") or [{}] * len(found["tokens"])
    return tuple(
        TokenLogprob(
            token,
            math.nan if logprob is None else float(logprob),  # the first token of an echoed prompt has none
            {k: float(v) for k, v in (top or {}).items()},
        )
        for token, logprob, top in zip(found["tokens"], found["token_logprobs"], tops, strict=True)
    )


def _alternatives(tops: Any) -> dict[str, float]:
    """Of alternatives that read the same (`A` with and without its space, on some servers) the likeliest."""
    found: dict[str, float] = {}
    for top in tops:
        found[top["token"]] = max(float(top["logprob"]), found.get(top["token"], -math.inf))
    return found
