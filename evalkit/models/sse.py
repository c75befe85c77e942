"""Responses that come as a stream of server-sent events, put together into the document of one response.

Some endpoints only stream (DashScope's thinking models), and some stream although nobody asked. The events
are those of OpenAI's API: https://platform.openai.com/docs/api-reference/chat-streaming.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from evalkit.errors import ProviderError
from evalkit.models.bodies import error_message, no_answer, one_line
from evalkit.models.inside import Inside, status_of
from evalkit.models.reading import content_of, reasoning_of

_Call: TypeAlias = dict[str, Any]
_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
_BLANK = b"\xef\xbb\xbf \t\r\n"
_COMMENTS = re.compile(rb"\A(?:\s*:[^\r\n]*[\r\n])+\s*(?=\{)")
"""What keeps a connection open before a document that is no stream."""
_ALIVE = {"", "null", "ping", "keep-alive", "keepalive", "heartbeat"}
"""Data that keeps a connection open."""


def assembled(body: bytes) -> bytes:
    """The document of a response whose `body` is a stream of events; any other body as it is.

    Raises `ProviderError` for an error inside the stream, and for a stream that breaks off.
    """
    body = _COMMENTS.sub(b"", body)
    if not body.lstrip(_BLANK).startswith(_STARTS):
        return body
    try:
        return _joined(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise no_answer("streamed", error, body) from None


def _joined(body: bytes) -> bytes:
    choice: dict[str, Any] = {"index": 0, "finish_reason": None}
    parts: dict[str, list[str]] = {}
    calls: dict[int, _Call] = {}
    document: dict[str, Any] = {}
    seen = done = False
    for data in _events(body.decode("utf-8", "replace")):
        if data == "[DONE]":
            done = True
            break
        if data.strip().lower() in _ALIVE:
            continue
        chunk = _chunk(data)
        document |= {key: value for key, value in chunk.items() if key != "choices" and value is not None}
        for piece in chunk.get("choices") or ():
            if piece.get("index") in (None, 0):
                seen = True
                _add(piece, choice, parts, calls)
    if not seen and done:
        raise ProviderError(
            "the stream of the response ended before its end: nothing but [DONE] came, no text",
            retryable=True,
        )
    if not seen or not (done or choice["finish_reason"]):
        raise ProviderError("the stream of the response ended before its end", retryable=True)
    texts = {name: "".join(found) for name, found in parts.items()}
    if "text" in texts:  # of the completions route
        choice["text"] = texts.pop("text")
    else:
        choice["message"] = {"role": "assistant", "content": None, **texts}
        if calls:
            choice["message"]["tool_calls"] = [calls[index] for index in sorted(calls)]
    return json.dumps({**document, "choices": [choice]}).encode()


def _events(text: str) -> Iterator[str]:
    """Yields the data of each event (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Raises `ProviderError` for an event that is named an error.
    """
    lines: list[str] = []
    name = ""
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        field, _, value = line.lstrip("\ufeff").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            if len(lines) == 1 and _is_whole(
                lines[0]
            ):  # some servers leave out the blank line between two events
                yield "\n".join(lines)
                lines = []
            lines.append(value)
        elif field == "event":
            name = value
        elif not line and lines:
            data = "\n".join(lines).strip()
            if name == "error":
                raise _error(data)
            yield data
            lines, name = [], ""


def _is_whole(line: str) -> bool:
    """Whether a line is an event by itself. Only the first one is looked at: an event may have a million."""
    text = line.strip()
    if text == "[DONE]":
        return True
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _chunk(data: str) -> dict[str, Any]:
    try:
        chunk = json.loads(data)
    except ValueError:
        raise ProviderError(
            f"the stream of the response has an event that is not JSON: {one_line(data)}", retryable=True
        ) from None
    if not isinstance(chunk, dict):
        raise ProviderError(
            f"the stream of the response has an event that is no object: {one_line(data)}", retryable=True
        )
    if chunk.get("error") or (chunk.get("object") == "error"):
        raise _error(data)
    return chunk


def _error(data: str) -> ProviderError:
    body = data.encode("utf-8", "replace")
    try:
        document = json.loads(data)
    except ValueError:
        document = {}
    error = (document.get("error") or document) if isinstance(document, dict) else {}
    return Inside(
        f"the stream of the response ended with an error: {error_message(body)}", status_of(error), body
    )


def _add(
    piece: dict[str, Any], choice: dict[str, Any], parts: dict[str, list[str]], calls: dict[int, _Call]
) -> None:
    """Adds what an event has of the first choice."""
    delta = piece.get("delta")
    if not delta:
        delta = piece.get("message") or {}
        if delta.get("content"):  # all of it once more, at the end
            parts.clear()
    text, thought = content_of(delta.get("content"))
    values = {
        "content": text,
        "reasoning_content": reasoning_of(delta) or thought,
        "refusal": delta.get("refusal"),
        "text": piece.get("text") if "delta" not in piece else None,
    }
    for name, value in values.items():
        if isinstance(value, str) and (value or name in ("content", "text")):
            parts.setdefault(name, []).append(value)
    if piece.get("error"):
        choice["error"] = piece["error"]
    for at, call in enumerate(delta.get("tool_calls") or ()):
        empty: _Call = {"id": "", "function": {"name": "", "arguments": ""}}
        _add_call(calls.setdefault(call.get("index", at), empty), call)
    if piece.get("finish_reason"):
        choice["finish_reason"] = piece["finish_reason"]
    for name, values in (piece.get("logprobs") or {}).items():
        if isinstance(values, list):
            choice.setdefault("logprobs", {}).setdefault(name, []).extend(values)


def _add_call(whole: _Call, part: dict[str, Any]) -> None:
    """Adds a part of a tool call: its arguments come in pieces, its name and id once."""
    function = part.get("function") or {}
    whole["id"] = part.get("id") or whole["id"]
    whole["function"]["name"] = function.get("name") or whole["function"]["name"]
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        whole["function"]["arguments"] += arguments
    elif arguments is not None:
        whole["function"]["arguments"] = json.dumps(arguments)
