"""Amazon Bedrock by its route Converse, which has one form for the models of every maker.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. The key is one of Bedrock's
own API keys. A request is made as for OpenAI's chats and then put into the form of Converse, so that what a
model does not take is learned in the same way. There are no seeds and no log-probabilities. What `--set
extra.…` gives is a parameter of the model (`additionalModelRequestFields`), but for the fields of `_TOP`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from evalkit.errors import ProviderError
from evalkit.models.base import Finish, Request, Response
from evalkit.models.bodies import count, no_answer
from evalkit.models.openai import OpenAIModel
from evalkit.models.providers import PROVIDERS
from evalkit.models.reading import LENIENT, arguments_text, loaded
from evalkit.models.refusal import FINISHES
from evalkit.models.refused import BLANK_STOPS
from evalkit.models.registry import Named
from evalkit.models.tool_calls import arguments_of
from evalkit.models.usage import CACHED, WRITTEN, tokens_of
from evalkit.samples import JSON, ToolCall

_CONFIG = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP", "stop": "stopSequences"}
"""OpenAI's names of the fields of `inferenceConfig`."""
_TOP = ("guardrailConfig", "performanceConfig", "serviceTier", "requestMetadata")
_REDACTED = "[redacted reasoning]"


class BedrockModel(OpenAIModel):
    """The model, inference profile or deployment `bedrock/ID`."""

    def departures(self, request: Request) -> tuple[tuple[str, str], ...]:
        found = super().departures(request)
        return found if all(map(str.strip, request.stop)) else (*found, BLANK_STOPS)

    def _route(self, request: Request) -> str:
        return f"model/{quote(self._model, safe='')}/converse"

    def _encoded(self, payload: Mapping[str, JSON]) -> bytes:
        return orjson.dumps(converse(payload))

    def _parsed(self, body: bytes, request: Request, seconds: float) -> Response:
        return parse(body, seconds)


def open_bedrock(named: Named) -> BedrockModel:
    """Opens `bedrock/ID`. Raises `UsageError` for an invalid address."""
    return BedrockModel(
        named.name,
        named.base_url,
        timeout=named.timeout,
        key_env=named.key_env,
        backend="bedrock",
        provider=PROVIDERS["bedrock"],
    )


def converse(payload: Mapping[str, JSON]) -> dict[str, JSON]:
    """The body for Converse of a chat in OpenAI's form."""
    config: dict[str, JSON] = {}
    body: dict[str, JSON] = {"inferenceConfig": config}
    further: dict[str, JSON] = {}
    for name, value in payload.items():
        if name == "stop":
            value = [stop for stop in _list(value) if stop.strip()]
        if name == "messages":
            body |= _turns(_list(value))
        elif name == "tools":
            body["toolConfig"] = {"tools": [_tool(tool["function"]) for tool in _list(value)]}
        elif name in _CONFIG:
            config |= {_CONFIG[name]: value} if value != [] else {}
        elif name in _TOP:
            body[name] = value
        elif name != "model":
            further[name] = value
    if further:
        body["additionalModelRequestFields"] = further
    return body


def parse(body: bytes, seconds: float) -> Response:
    """Parses the body of a 200. Raises a retryable `ProviderError` unless it has a message."""
    try:
        document, lenient = loaded(body)
        blocks: list[Any] = document["output"]["message"]["content"]
        text = "".join(str(block["text"]) for block in blocks if "text" in block)
        thoughts = [_thought(block["reasoningContent"]) for block in blocks if "reasoningContent" in block]
        calls = tuple(_call(block["toolUse"]) for block in blocks if "toolUse" in block)
        reason = str(document["stopReason"])
        finish: Finish = FINISHES.get(reason, "other")
        if finish == "filter":
            text, thoughts, calls = "", [*thoughts, *filter(None, (text,)), reason], ()
        usage = document.get("usage") or {}
        names = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
        sent = [count(usage.get(name)) for name in names]
        return Response(
            text,
            finish,
            None if sent[0] is None else sum(tokens or 0 for tokens in sent),
            count(usage.get("outputTokens")),
            seconds,
            "\n".join(thoughts),
            tool_calls=calls,
            signs=((LENIENT, ""),) if lenient else (),
            tokens=tokens_of({CACHED: sent[1], WRITTEN: sent[2]}),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise no_answer("Bedrock", error, body) from None


def _thought(content: Mapping[str, Any]) -> str:
    said = content.get("reasoningText")
    return _REDACTED if said is None else str(said["text"])


def _call(used: Mapping[str, Any]) -> ToolCall:
    return ToolCall(str(used["name"]), arguments_text(used.get("input")), str(used.get("toolUseId") or ""))


def _tool(function: Mapping[str, Any]) -> JSON:
    described = {"description": said} if (said := function["description"]) else {}  # an empty one is refused
    return {
        "toolSpec": {"name": function["name"], **described, "inputSchema": {"json": function["parameters"]}}
    }


def _turns(messages: list[Any]) -> dict[str, JSON]:
    """`system` and `messages`, in which the roles alternate."""
    system: list[JSON] = []
    turns: list[Any] = []
    for message in messages:
        role, content = message["role"], _blocks(message["content"])
        content += [_use(call) for call in message.get("tool_calls", ())]
        if role == "tool":
            role, content = "user", [_result(message["tool_call_id"], content)]
        if role == "system" and not turns:
            system += content
        elif role not in ("user", "assistant"):
            raise ProviderError(f"bedrock/ cannot send a message of the role {role} there", fatal=True)
        elif turns and turns[-1]["role"] == role:
            turns[-1]["content"] += content
        else:
            turns.append({"role": role, "content": content})
    return {"messages": turns, **({"system": system} if system else {})}


def _use(call: Mapping[str, Any]) -> JSON:
    function = call["function"]
    given = arguments_of(function["arguments"])
    return {"toolUse": {"toolUseId": call["id"], "name": function["name"], "input": given}}


def _result(call: str, content: list[JSON]) -> JSON:
    """The result of a call. Blank texts are refused, and so is a result without content."""
    kept = [one for one in content if isinstance(one, dict) and str(one.get("text", "a file")).strip()]
    return {"toolResult": {"toolUseId": call, "content": [*kept] or [{"json": {"output": ""}}]}}


def _blocks(content: Any) -> list[JSON]:
    """The blocks of a text, or of OpenAI's parts, in their order; a text without characters is refused."""
    if isinstance(content, str):
        content = [{"text": content}]
    return [_block(part) for part in content if part.get("text") != ""]


def _block(part: Mapping[str, Any]) -> JSON:
    if "image_url" not in part:
        return {"text": part["text"]}
    mime, _, data = part["image_url"]["url"].removeprefix("data:").partition(";base64,")
    return {"image": {"format": mime.removeprefix("image/"), "source": {"bytes": data}}}


def _list(value: Any) -> list[Any]:
    return list(value)
