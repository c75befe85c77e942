"""Calls of tools as the stand-ins of Gemini, Anthropic and Bedrock read them, in a form that they share.

A stand-in makes `Turn`s of the messages in its provider's form. What the providers refuse alike is refused
here, and the script gets the turns in the form of OpenAI's chats.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.openai_wire import Payload

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass
class Turn:
    """`calls`: (id, name, arguments); `results`: (id, text) of calls of the turn before it."""

    role: str
    text: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    results: list[tuple[str, str]] = field(default_factory=list)


def unfit_tools(turns: Sequence[Turn], tools: Sequence[tuple[str, Any]], needed: bool = True) -> str:
    """What is wrong with the turns and the (name, schema) of the tools; "" if nothing is.

    `needed`: whether the tools must be there if a turn has calls or results.
    """
    for name, schema in tools:
        if not _NAME.fullmatch(name) or not isinstance(schema, dict) or schema.get("type") != "object":
            return f"tools: {name} is not described"
    if needed and not tools and any(turn.calls or turn.results for turn in turns):
        return "tools must be defined where their calls and results are"
    for before, turn in zip([Turn("user"), *turns], [*turns, Turn("user")], strict=True):
        if any(not isinstance(given, dict) for _, _, given in turn.calls):
            return "the input of a call must be an object"
        called, answered = [one[0] for one in before.calls], [one[0] for one in turn.results]
        if sorted(called) != sorted(answered):
            return f"the calls {called} need a result each in the next turn, which has {answered}"
    return ""


def chat(turns: Sequence[Turn]) -> list[Payload]:
    """The turns as messages of OpenAI's chats."""
    return [message for turn in turns for message in _messages(turn)]


def _messages(turn: Turn) -> Iterator[Payload]:
    for call, text in turn.results:
        yield {"role": "tool", "content": text, "tool_call_id": call}
    made = [
        {"id": call, "type": "function", "function": {"name": name, "arguments": _json(given)}}
        for call, name, given in turn.calls
    ]
    if turn.text or made:
        yield {"role": turn.role, "content": turn.text, **({"tool_calls": made} if made else {})}


def _json(given: Any) -> str:
    return json.dumps(given, separators=(",", ":"))


def described(name: str, description: str, schema: Any) -> Payload:
    """A tool in OpenAI's form."""
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}


def called(message: Payload) -> list[tuple[str, str, Any]]:
    """(id, name, arguments) of the calls in a message of OpenAI's."""
    return [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    ]
