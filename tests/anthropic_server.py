"""A stand-in for Anthropic's Messages API, over real HTTP on the loopback.

    with AnthropicServer(lambda payload, route: "42") as server:
        model = AnthropicModel("any", server.url)

It is written from https://docs.anthropic.com/en/api/messages and the errors that the API is known to give:
unknown fields, blank stop sequences, empty texts and files that are none are refused; beginnings that are
marked for the cache are kept, and counted when they come again. The script gets the request in the form of
OpenAI's chats, so that one script answers through every provider's stand-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.openai_server import OpenAIServer, Script, arithmetic
from tests.openai_wire import CHAT, Payload, answer, look, tokens
from tests.tool_wire import Turn, called, chat, described, unfit_tools

MESSAGES = "messages"
LEAST_CACHED = 256
"""The tokens (here: words) from which a beginning is cached."""
_FIELDS = {
    "model", "messages", "max_tokens", "system", "temperature", "top_p", "top_k", "stop_sequences", "stream",
    "metadata", "thinking", "tools", "tool_choice", "service_tier", "output_config", "cache_control",
}  # fmt: skip

_COUNTED = {"model", "messages", "system", "thinking", "tools", "tool_choice"}


def refuse(status: int, message: str, kind: str = "invalid_request_error", **headers: str) -> web.Response:
    """An error as the API words it."""
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return web.json_response(error, status=status, headers=headers)


def said(*blocks: Payload, stop: str = "end_turn", **message: Any) -> Payload:
    """A message with these blocks."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "tiny",
        "content": [*blocks],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 3},
        **message,
    }


class AnthropicServer(OpenAIServer):
    """`model`, `api_key` and `seen` are those of `OpenAIServer`.

    `prefill`: whether the model continues a message of the assistant. `one_of`: whether it takes only one of
    temperature and top_p. Newer models do neither.
    """

    routes = (MESSAGES,)

    def __init__(
        self, script: Script = arithmetic, *, prefill: bool = True, one_of: bool = False, **options: Any
    ) -> None:
        super().__init__(script, **options)
        self._prefill, self._one_of = prefill, one_of
        self._cached: set[str] = set()

    def _unknown(self, headers: Mapping[str, str]) -> web.Response | None:
        if headers.get("x-api-key") == self._api_key:
            return None
        return refuse(401, "invalid x-api-key", "authentication_error")

    async def _payload(self, request: web.Request) -> Payload | web.Response:
        if request.headers.get("anthropic-version") != "2023-06-01":
            return refuse(400, "anthropic-version: header is required")
        return await super()._payload(request)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_post(f"{self.version}/{MESSAGES}/count_tokens", self._count)

    async def _count(self, request: web.Request) -> web.StreamResponse:
        payload = await self._payload(request)
        if isinstance(payload, web.Response):
            return payload
        if odd := sorted({*payload} - _COUNTED):
            return refuse(400, f"{odd[0]}: Extra inputs are not permitted")
        wrong = self._wrong_turns(payload) or self._unclear(payload)
        chat = _as_chat({**payload, "max_tokens": 1})
        sent = answer(chat, CHAT, "")["usage"]["prompt_tokens"]
        return wrong or web.json_response({"input_tokens": sent})

    def _wrong(self, payload: Payload, route: str) -> web.Response | None:
        for needed in ("model", "messages", "max_tokens"):
            if needed not in payload:
                return refuse(400, f"{needed}: Field required")
        if odd := sorted({*payload} - _FIELDS):
            return refuse(400, f"{odd[0]}: Extra inputs are not permitted")
        if self._model and payload["model"] != self._model:
            return refuse(404, f"model: {payload['model']}", "not_found_error")
        return self._wrong_sampling(payload) or self._wrong_turns(payload)

    def _wrong_sampling(self, payload: Payload) -> web.Response | None:
        thinking = payload.get("thinking", {})
        if thinking.get("type") == "enabled":
            if payload.get("temperature", 1) != 1:
                return refuse(400, "`temperature` may only be set to 1 when thinking is enabled.")
            if thinking["budget_tokens"] >= payload["max_tokens"]:
                return refuse(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
        if not 0 <= payload.get("temperature", 1) <= 1:
            return refuse(400, "temperature: range: 0..1")
        if self._one_of and {"temperature", "top_p"} <= {*payload}:
            words = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
            return refuse(400, words)
        if not all(stop.strip() for stop in payload.get("stop_sequences", ())):
            return refuse(400, "stop_sequences: each stop sequence must contain non-whitespace")
        return None

    def _wrong_turns(self, payload: Payload) -> web.Response | None:
        messages = payload["messages"]
        contents = [message["content"] for message in messages] + [payload.get("system", [])]
        blocks = [block for content in contents for block in content]
        if any(message["role"] not in ("user", "assistant") for message in messages):
            return refuse(400, "messages: Unexpected role. The allowed roles are user, assistant.")
        if any(block["type"] == "text" and not block["text"] for block in blocks):
            return refuse(400, "messages: text content blocks must be non-empty")
        tools = [(tool["name"], tool.get("input_schema")) for tool in payload.get("tools", ())]
        if odd := unfit_tools(_turns(payload), tools):
            return refuse(400, f"messages: {odd}")
        if any(not _results_first(message["content"]) for message in messages):
            return refuse(400, "messages: tool_result blocks must come first")
        if sum("cache_control" in block for block in blocks) > 4:
            return refuse(400, "A maximum of 4 blocks with cache_control may be provided.")
        if messages[-1]["role"] == "assistant":
            if not self._prefill:
                words = "This model does not support assistant message prefill. The conversation must end"
                return refuse(400, f"{words} with a user message.")
            if (text := messages[-1]["content"][-1].get("text", "")) != text.rstrip():
                return refuse(400, "messages: final assistant content cannot end with trailing whitespace")
        return None

    def _unclear(self, payload: Payload) -> web.Response | None:
        for block in (block for message in payload["messages"] for block in message["content"]):
            if block["type"] != "image":
                continue
            source = block["source"]
            seen = look(f"data:{source['media_type']};base64,{source['data']}")
            if isinstance(seen, web.Response):
                return refuse(400, "Could not process image")
            self.seen.append(seen)
        return None

    def _answer(self, payload: Payload, route: str) -> web.Response:
        whole = self._scripted(_as_chat(payload))
        if isinstance(whole, web.Response):
            return whole
        choice = whole["choices"][0]
        stop = "max_tokens" if choice["finish_reason"] == "length" else "end_turn"
        if choice["stop_reason"] is not None:
            stop = "stop_sequence"
        calls = called(choice["message"])
        stop = "tool_use" if calls else stop
        shown, sent = choice["message"]["content"], whole["usage"]["prompt_tokens"]
        usage = self._usage(payload, sent) | {"output_tokens": whole["usage"]["completion_tokens"]}
        blocks: list[Payload] = [{"type": "text", "text": shown}] if shown else []
        blocks += [{"type": "tool_use", "id": one, "name": name, "input": use} for one, name, use in calls]
        return web.json_response(said(*blocks, stop=stop, model=payload["model"], usage=usage))

    def _document(self, payload: Payload, route: str, *texts: str, **message: Any) -> Payload:
        document = said(*({"type": "text", "text": text} for text in texts))
        return document if texts else {key: document[key] for key in document if key != "content"}

    def _usage(self, payload: Payload, sent: int) -> Payload:
        """The tokens of the prompt: after the marked beginning, read from the cache, written to it."""
        start, marked = "", ""
        for content in (payload.get("system", []), *(one["content"] for one in payload["messages"])):
            for block in content:
                start += block.get("text", "")
                marked = start if "cache_control" in block else marked
        size = len(tokens(marked))
        if size < LEAST_CACHED:
            size = 0
        known = marked in self._cached
        self._cached |= {marked} if size else set()
        return {
            "input_tokens": sent - size,
            "cache_read_input_tokens": size if known else 0,
            "cache_creation_input_tokens": 0 if known else size,
        }


def _turns(payload: Payload) -> list[Turn]:
    found = [Turn("system", _text(payload.get("system", [])))]
    for message in payload["messages"]:
        blocks = message["content"]
        calls = [(one["id"], one["name"], one["input"]) for one in blocks if one["type"] == "tool_use"]
        results = [
            (one["tool_use_id"], _text(one["content"])) for one in blocks if one["type"] == "tool_result"
        ]
        found.append(Turn(message["role"], _text(blocks), calls, results))
    return found


def _text(blocks: list[Payload]) -> str:
    return "".join(block.get("text", "") for block in blocks)


def _results_first(blocks: list[Payload]) -> bool:
    kinds = [block["type"] == "tool_result" for block in blocks]
    return kinds == sorted(kinds, reverse=True)


def _as_chat(payload: Payload) -> Payload:
    """The request as OpenAI's chats have it, files left out."""
    tools = [
        described(tool["name"], tool["description"], tool["input_schema"])
        for tool in payload.get("tools", ())
    ]
    return {
        "model": payload["model"],
        "messages": chat(_turns(payload)),
        "max_tokens": payload["max_tokens"],
        "stop": payload.get("stop_sequences", []),
        **({"tools": tools} if tools else {}),
    }
