"""Errors that an endpoint sends with a 200: inside the document, a choice or an event of a stream.

A gateway that loses the model in the middle of a response has already sent the 200 (OpenRouter), and some
APIs send one always (MiniMax, Zhipu, LM Studio). Such an error is what the status in it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from evalkit.errors import ProviderError
from evalkit.models.bodies import error_message
from evalkit.models.too_long import says_too_long

_NUMBERS = ("code", "status", "status_code", "http_code", "statusCode")
_WORDS = {
    "rate_limit_exceeded": 429, "rate_limit_error": 429, "resource_exhausted": 429, "insufficient_quota": 429,
    "too_many_requests": 429, "overloaded_error": 529, "unavailable": 503, "internal": 500,
    "invalid_api_key": 401, "authentication_error": 401, "unauthenticated": 401, "permission_denied": 403,
    "permission_error": 403, "model_not_found": 404, "not_found_error": 404, "not_found": 404,
    "invalid_request_error": 400, "invalid_argument": 400, "context_length_exceeded": 400,
    "unsupported_parameter": 400, "unsupported_value": 400,
}  # fmt: skip
"""`code`, `type` or `status` in lower case, of OpenAI, Anthropic and Google."""
_MINIMAX = {1002: 429, 1039: 429, 1004: 401, 2049: 401, 1008: 402, 2013: 400}
_NO_ROUTE = "unexpected endpoint"
"""LM Studio's words, in a 200, for an address without /v1."""


class Inside(ProviderError):
    """An error in a 200. `status`: what it would have been as a status of HTTP. `body`: its document."""

    def __init__(self, message: str, status: int, body: bytes) -> None:
        too_long = says_too_long(body)
        super().__init__(message, retryable=not too_long, too_long=too_long)
        self.status, self.body = status, body


def told(error: Any) -> str:
    """The message of an error object."""
    return error_message(as_body(error))


def as_body(error: Any) -> bytes:
    return orjson.dumps({"error": error}, default=str)


def error_of(document: Mapping[str, Any]) -> Any:
    """The error of a document without a choice; None if it says of none."""
    if error := document.get("error"):
        return error
    base = document.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return {"code": base["status_code"], "message": base.get("status_msg") or base}
    said = document.get("message") or document.get("msg") or document.get("detail")
    known = document.get("object") == "error" or document.get("success") is False or "code" in document
    return {**document, "message": said} if said and known else None


def status_of(error: Any) -> int:
    """The status of HTTP that an error means; 500, after which a request is tried again, if it says none."""
    if isinstance(error, str):
        return 404 if error.lower().startswith(_NO_ROUTE) else 500
    return next(_statuses(error), 500) if isinstance(error, dict) else 500


def _statuses(error: Mapping[str, Any]) -> Iterator[int]:
    for name in _NUMBERS:
        text = str(error.get(name) or "")
        if text.isdigit() and (400 <= int(text) <= 599 or int(text) in _MINIMAX):
            yield _MINIMAX.get(int(text), int(text))
    for name in ("code", "status", "type"):
        word = str(error.get(name) or "").lower()
        if word in _WORDS:
            yield _WORDS[word]
    if isinstance(inner := error.get("error"), dict):
        yield from _statuses(inner)
