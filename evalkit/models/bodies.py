"""Reads what a server says in a body that is no response."""

from __future__ import annotations

from typing import Any

import orjson

from evalkit.errors import ProviderError
from evalkit.keys import redacted
from evalkit.models.base import MOST_TOKENS
from evalkit.models.too_long import says_too_long

_SAID = ("error", "message", "Message", "detail", "msg", "error_description", "errors")
"""Where servers put an error or its words."""


def no_answer(kind: str, error: Exception, body: bytes) -> ProviderError:
    """The error for a 200 whose `body` is not a response of the `kind`, such as chat; a retry may help."""
    too_long = says_too_long(body)  # LM Studio reports it with a 200
    problem = f"{type(error).__name__}: {one_line(str(error))}"
    return ProviderError(
        f"invalid {kind} response ({problem}): {redacted(error_message(body))}",
        retryable=not too_long,
        too_long=too_long,
    )


def count(value: Any) -> int | None:
    """`value` if it can be a number of tokens, else None: a server may report -1, or an overflow."""
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that a response is. Raises `ProviderError`."""
    if (found := object_of(body)) is None:
        raise ProviderError("the response is not a JSON object")
    return found


def object_of(body: bytes) -> dict[str, Any] | None:
    """The JSON object that `body` is; None if it is none."""
    try:
        found = orjson.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def error_message(body: bytes) -> str:
    """The message in a server's error body, as one line of at most 300 characters."""
    try:
        return one_line(_message(orjson.loads(body)))
    except (ValueError, RecursionError):  # no JSON, or deeper than any message
        return one_line(body[:600].decode("utf-8", "replace"))


def _message(error: Any) -> str:
    """The words of an error document: its message, and behind it that of the provider (OpenRouter)."""
    if isinstance(error, list):
        return "; ".join(map(_message, error[:3]))
    if not isinstance(error, dict):
        return str(error)
    said = next((error[name] for name in _SAID if error.get(name)), None)
    if said is None:
        return str(error)
    place = ".".join(map(str, error["loc"])) if isinstance(error.get("loc"), list) else ""  # pydantic
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    raw = error_message(str(raw).encode()) if raw else ""
    return ": ".join(filter(None, (place, _message(said), raw)))


def one_line(text: str) -> str:
    """`text` as one short, printable line, because a server's message is shown on a terminal."""
    return "".join(c if c.isprintable() else " " for c in text[:300]).strip()
