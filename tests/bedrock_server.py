"""A stand-in for Amazon Bedrock's route Converse, over real HTTP on the loopback.

    with BedrockServer(lambda payload, route: "42") as server:
        model = BedrockModel("maker.model-v1:0", server.url)

It is written from https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and the
errors that the service is known to give. The script gets the request in the form of OpenAI's chats, so that
one script answers through every provider's stand-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.openai_server import OpenAIServer, Script, arithmetic
from tests.openai_wire import Payload, look
from tests.tool_wire import Turn, called, chat, described, unfit_tools

CONVERSE = "model/{model}/converse"
_FIELDS = {
    "messages", "system", "inferenceConfig", "additionalModelRequestFields", "guardrailConfig", "toolConfig",
    "performanceConfig", "requestMetadata", "serviceTier",
}  # fmt: skip
_CONFIG = {"maxTokens", "temperature", "topP", "stopSequences"}


def refuse(status: int, message: str, kind: str = "ValidationException") -> web.Response:
    """An error as the service gives it: its kind is in a header."""
    return web.json_response({"message": message}, status=status, headers={"x-amzn-ErrorType": kind})


def said(*blocks: Payload, stop: str = "end_turn", **usage: int) -> Payload:
    """A response with these blocks. `usage`: further numbers of tokens."""
    return {
        "output": {"message": {"role": "assistant", "content": [*blocks]}},
        "stopReason": stop,
        "usage": {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12, **usage},
        "metrics": {"latencyMs": 100},
    }


class BedrockServer(OpenAIServer):
    """`api_key` and `seen` are those of `OpenAIServer`. `known`: parameters of the model.

    `system`: whether the model has system messages; Mistral 7B and Titan have none.
    """

    routes = (CONVERSE,)
    version = ""

    def __init__(
        self,
        script: Script = arithmetic,
        *,
        known: tuple[str, ...] = ("top_k", "thinking"),
        system: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(script, **options)
        self._known, self._system, self.asked_model = known, system, ""

    def _unknown(self, headers: Mapping[str, str]) -> web.Response | None:
        if headers.get("Authorization") == f"Bearer {self._api_key}":
            return None
        words = "Authentication failed: Please make sure your API Key is valid."
        return refuse(403, words, "AccessDeniedException")

    async def _payload(self, request: web.Request) -> Payload | web.Response:
        self.asked_model = request.match_info["model"]
        return await super()._payload(request)

    def _wrong(self, payload: Payload, route: str) -> web.Response | None:
        if self._model and self.asked_model != self._model:
            return refuse(400, "The provided model identifier is invalid.")
        config = payload.get("inferenceConfig", {})
        if odd := sorted(({*payload} - _FIELDS) | ({*config} - _CONFIG)):
            return refuse(400, f"Unknown field {odd[0]}")
        for name in payload.get("additionalModelRequestFields", ()):
            if name not in self._known:
                words = f"The model returned the following errors: {name}: Extra inputs are not permitted"
                return refuse(400, words)
        if not 0 <= config.get("temperature", 1) <= 1:
            return refuse(400, "The model returned the following errors: temperature: range: 0..1")
        if not all(stop.strip() for stop in config.get("stopSequences", ())):
            words = "stop_sequences: each stop sequence must contain non-whitespace"
            return refuse(400, f"The model returned the following errors: {words}")
        if "system" in payload and not self._system:
            words = "This model doesn't support system messages. Try again without the system parameter."
            return refuse(400, words)
        tools = [(tool["name"], tool["inputSchema"]["json"]) for tool in _tools(payload)]
        if unfit := unfit_tools(_turns(payload), tools):
            return refuse(400, f"The model returned the following errors: {unfit}")
        return _wrong_turns(payload["messages"])

    def _unclear(self, payload: Payload) -> web.Response | None:
        for block in (block for turn in payload["messages"] for block in turn["content"]):
            if "image" not in block:
                continue
            image = block["image"]
            seen = look(f"data:image/{image['format']};base64,{image['source']['bytes']}")
            if isinstance(seen, web.Response):
                return refuse(400, "The model returned the following errors: Could not process image")
            self.seen.append(seen)
        return None

    def _answer(self, payload: Payload, route: str) -> web.Response:
        whole = self._scripted(_as_chat(payload, self.asked_model))
        if isinstance(whole, web.Response):
            return whole
        choice, usage = whole["choices"][0], whole["usage"]
        stop = "max_tokens" if choice["finish_reason"] == "length" else "end_turn"
        counts = {"inputTokens": usage["prompt_tokens"], "outputTokens": usage["completion_tokens"]}
        calls, text = called(choice["message"]), choice["message"]["content"]
        blocks: list[Payload] = [{"text": text}] if text else []
        blocks += [{"toolUse": {"toolUseId": one, "name": name, "input": use}} for one, name, use in calls]
        return web.json_response(said(*blocks, stop="tool_use" if calls else stop, **counts))

    def _document(self, payload: Payload, route: str, *texts: str, **message: Any) -> Payload:
        return said(*({"text": text} for text in texts)) if texts else {"stopReason": "end_turn"}


def _wrong_turns(messages: list[Payload]) -> web.Response | None:
    for place, turn in enumerate(messages):
        if turn["role"] not in ("user", "assistant"):
            return refuse(400, f"Value '{turn['role']}' at 'messages.{place}.role' must be user or assistant")
        if place and messages[place - 1]["role"] == turn["role"]:
            return refuse(400, "A conversation must alternate between user and assistant roles.")
        for number, block in enumerate(turn["content"]):
            if len(block) != 1 or not {*block} & {"text", "image", "toolUse", "toolResult"}:
                return refuse(400, f"messages.{place}.content.{number}: unknown block")
            inside = block["toolResult"]["content"] if "toolResult" in block else [block]
            if not inside or any("text" in one and not one["text"].strip() for one in inside):
                where = f"messages.{place}.content.{number}"
                return refuse(400, f"The text field in the ContentBlock object at {where} is blank.")
    if messages[-1]["role"] != "user":
        return refuse(400, "A conversation must end with a user message.")
    return None


def _tools(payload: Payload) -> list[Payload]:
    return [tool["toolSpec"] for tool in payload.get("toolConfig", {}).get("tools", ())]


def _turns(payload: Payload) -> list[Turn]:
    found = [Turn("system", _text(payload.get("system", [])))]
    for turn in payload["messages"]:
        blocks = turn["content"]
        uses = [block["toolUse"] for block in blocks if "toolUse" in block]
        results = [block["toolResult"] for block in blocks if "toolResult" in block]
        found.append(
            Turn(
                turn["role"],
                _text(blocks),
                [(use["toolUseId"], use["name"], use["input"]) for use in uses],
                [(one["toolUseId"], _text(one["content"])) for one in results],
            )
        )
    return found


def _text(blocks: list[Payload]) -> str:
    return "".join(block.get("text", "") for block in blocks)


def _as_chat(payload: Payload, model: str) -> Payload:
    """The request as OpenAI's chats have it, files left out."""
    config = payload["inferenceConfig"]
    tools = [
        described(tool["name"], tool.get("description", ""), tool["inputSchema"]["json"])
        for tool in _tools(payload)
    ]
    return {
        "model": model,
        "messages": chat(_turns(payload)),
        "max_tokens": config["maxTokens"],
        "stop": config.get("stopSequences", []),
        **({"tools": tools} if tools else {}),
    }
