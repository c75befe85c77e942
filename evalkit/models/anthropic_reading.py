"""Reads the body of a 200 of Anthropic's Messages API (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.models.base import Finish, Response
from evalkit.models.bodies import count, no_answer, one_line
from evalkit.models.inside import Inside, as_body, error_of, status_of, told
from evalkit.models.reading import arguments_text, loaded, signs
from evalkit.models.refusal import FINISHES
from evalkit.models.usage import CACHED, WRITTEN, tokens_of
from evalkit.samples import ToolCall

_READ, _WRITTEN = "cache_read_input_tokens", "cache_creation_input_tokens"
_REDACTED = "[redacted reasoning]"


def parse(body: bytes, seconds: float) -> Response:
    """Parses the body. Raises a retryable `ProviderError` unless it is a message."""
    try:
        document, lenient = loaded(body)
        if document.get("type") == "error" and (error := error_of(document)):
            raise Inside(f"invalid Anthropic response: {told(error)}", status_of(error), as_body(error))
        blocks: list[Any] = document["content"]
        text = "".join(str(block["text"]) for block in blocks if block["type"] == "text")
        thoughts = [*filter(None, map(_thought, blocks))]
        calls = tuple(_call(block) for block in blocks if block["type"] == "tool_use")
        reason = str(document.get("stop_reason") or "")
        finish: Finish = FINISHES.get(reason, "other")
        if finish == "filter":
            details = document.get("stop_details") or {}
            why = one_line(str(details.get("explanation") or reason))
            text, thoughts, calls = "", [*thoughts, *filter(None, (text,)), why], ()
        usage = document.get("usage") or {}
        sent = [count(usage.get(name)) for name in ("input_tokens", _READ, _WRITTEN)]
        return Response(
            text,
            finish,
            prompt_tokens=None if sent[0] is None else sum(tokens or 0 for tokens in sent),
            completion_tokens=count(usage.get("output_tokens")),
            seconds=seconds,
            reasoning="\n".join(thoughts),
            tool_calls=calls,
            signs=tuple(signs(document, lenient)),
            tokens=tokens_of({CACHED: sent[1], WRITTEN: sent[2]}),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise no_answer("Anthropic", error, body) from None


def _call(block: Mapping[str, Any]) -> ToolCall:
    return ToolCall(str(block["name"]), arguments_text(block.get("input")), str(block.get("id") or ""))


def _thought(block: Any) -> str:
    """The text of a block with reasoning; the API encrypts some of it."""
    if block["type"] == "thinking":
        return str(block.get("thinking") or "")
    return _REDACTED if block["type"] == "redacted_thinking" else ""
