"""Calls of tools for APIs in which the arguments of a call are an object: Gemini, Anthropic, Bedrock."""

from __future__ import annotations

import orjson

from evalkit.errors import ProviderError
from evalkit.models.bodies import one_line
from evalkit.samples import JSON, Message, ToolCall


def arguments_of(arguments: str) -> dict[str, JSON]:
    """The arguments of a call as an object.

    Raises `ProviderError`, which fails the sample, for what is none: a model may write anything, and these
    APIs take no other call back.
    """
    try:
        found = orjson.loads(arguments or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ProviderError(f"the arguments of a tool call are no JSON object: {one_line(arguments)[:80]}")
    return found


def take_called(waiting: list[ToolCall], result: Message) -> ToolCall:
    """Takes the call that a message of the role `tool` answers out of those that wait for their result.

    Calls without an id are answered in their order. Raises `ProviderError` if no call waits.
    """
    call = next((one for one in waiting if one.id == result.tool_call_id), None)
    if call is None:
        raise ProviderError(f"no tool call before it has the id {result.tool_call_id!r:.80}", fatal=True)
    waiting.remove(call)
    return call
