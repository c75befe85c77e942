"""The conversation of a sample as Inspect stores it: messages, the output, and pictures as attachments."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from evalkit.exports.read import of_model
from evalkit.models.base import Response
from evalkit.runfile.sample_records import AskedRequest, SampleRecord
from evalkit.runfile.store import Store
from evalkit.samples import JSON, ToolCall

_STOPS = {"stop": "stop", "length": "max_tokens", "filter": "content_filter"}
_JPEG = b"\xff\xd8"


@dataclass(slots=True)
class Conversation:
    """The messages of a sample's last request to the model, with its responses.

    `requests`: how many requests the model answered. `attachments`: pictures by key, as data URLs; messages
    refer to them. They are the small copies that the run file has.
    """

    messages: list[JSON] = field(default_factory=list)
    output: dict[str, JSON] = field(default_factory=dict)
    usage: dict[str, JSON] = field(default_factory=dict)
    attachments: dict[str, JSON] = field(default_factory=dict)
    requests: int = 0


def conversation(store: Store, record: SampleRecord, model: str) -> Conversation:
    """Returns the last conversation with the model, under the benchmark's own protocol if it had one.

    All draws of that request are choices of the output, and the first of them ends the messages.
    """
    asked = of_model(record)
    found = Conversation(requests=len(asked))
    found.output = {"model": model, "choices": [], "completion": ""}
    if not asked:
        if record.input:
            found.messages = [{"role": "user", "content": record.input, "source": "input"}]
        return found
    last = ([one for one in asked if not one.branch] or asked)[-1]
    found.messages = _prompt(store, last, found.attachments)
    said = [draw.response for draw in last.draws]
    choices = [_choice(one, model) for one in said]
    found.output |= {"choices": list(choices), "completion": _text(said[0]), "time": said[0].seconds}
    found.messages.append(choices[0]["message"])
    found.usage = _usage([draw.response for one in asked for draw in one.draws])
    if found.usage:
        found.output["usage"] = _usage(said)
    return found


def _prompt(store: Store, request: AskedRequest, attachments: dict[str, JSON]) -> list[JSON]:
    prompt = request.body["prompt"]
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt, "source": "input"}]
    if isinstance(prompt, dict):  # a clip to transcribe
        return [{"role": "user", "content": [{"type": "text", "text": "[audio]"}], "source": "input"}]
    return [_turn(store, turn, attachments) for turn in prompt]


def _turn(store: Store, turn: dict[str, Any], attachments: dict[str, JSON]) -> dict[str, JSON]:
    content = turn["content"]
    if not isinstance(content, str):
        content = [_part(store, part, attachments) for part in content]
    found: dict[str, JSON] = {"role": turn["role"], "content": content}
    if turn["role"] in ("system", "user"):
        found["source"] = "input"
    if calls := turn.get("tool_calls"):
        found["tool_calls"] = _calls([ToolCall(**call) for call in calls])
    if turn.get("tool_call_id"):
        found["tool_call_id"] = turn["tool_call_id"]
    return found


def _part(store: Store, part: dict[str, str], attachments: dict[str, JSON]) -> JSON:
    """Returns a text, a picture as an attachment, or what stands for a clip, a video or an unsent file."""
    if "text" in part:
        return {"type": "text", "text": part["text"]}
    ((kind, key),) = part.items()
    preview = store.preview(key) or b""
    if not preview.startswith(_JPEG):
        return {"type": "text", "text": f"[{kind}]"}
    attachments[key] = f"data:image/jpeg;base64,{base64.b64encode(preview).decode()}"
    return {"type": "image", "image": f"attachment://{key}"}


def _choice(response: Response, model: str) -> dict[str, JSON]:
    content: JSON = _text(response)
    if response.reasoning:
        content = [
            {"type": "reasoning", "reasoning": response.reasoning},
            {"type": "text", "text": _text(response)},
        ]
    message: dict[str, JSON] = {
        "role": "assistant",
        "content": content,
        "source": "generate",
        "model": model,
    }
    if response.tool_calls:
        message["tool_calls"] = _calls(response.tool_calls)
    stop = "tool_calls" if response.tool_calls else _STOPS.get(response.finish, "unknown")
    return {"message": message, "stop_reason": stop}


def _text(response: Response) -> str:
    """Returns the text; for likelihoods a line for each continuation with its log-probability."""
    lines = [f"{one.text.strip()}: {one.logprob:.4f}" for one in response.likelihoods]
    return "\n".join(filter(None, (response.text, *lines)))


def _calls(calls: Sequence[ToolCall]) -> list[JSON]:
    return [
        {"id": call.id, "function": call.name, "arguments": _arguments(call.arguments), "type": "function"}
        for call in calls
    ]


def _arguments(text: str) -> JSON:
    """Returns the arguments of a call, which Inspect has as an object; a model may have written anything."""
    try:
        found = orjson.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"arguments": text}


def _usage(responses: Sequence[Response]) -> dict[str, JSON]:
    """Returns the tokens as the endpoint counted them; {} if it did not."""
    if all(one.prompt_tokens is None and one.completion_tokens is None for one in responses):
        return {}
    read = sum(one.prompt_tokens or 0 for one in responses)
    written = sum(one.completion_tokens or 0 for one in responses)
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
