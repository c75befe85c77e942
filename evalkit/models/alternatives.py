"""How many alternatives of a token an endpoint returns, from the error by which it refuses more."""

from __future__ import annotations

import dataclasses
import re

from evalkit.errors import ProviderError
from evalkit.models.base import Request

ALTERNATIVES = "alternatives"
"""Kind of `Response.signs`: the most alternatives that the endpoint returns, where fewer were asked for."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.]*\w)")


def within(request: Request, most: int | None) -> Request:
    """`request` with no more alternatives than `most`."""
    return (
        request if most is None or request.logprobs <= most else dataclasses.replace(request, logprobs=most)
    )


def most_alternatives(error: ProviderError, request: Request, base_url: str) -> int | None:
    """The most alternatives by the endpoint's refusal of `request`; None if it refused something else.

    It is the largest number below the one that was asked for: "20 logprobs asked for, 5 is the maximum",
    "greater than max allowed: 5" (vLLM), "must be less than or equal to 5" (OpenAI).
    """
    said = str(error).replace(base_url, "")
    status, _, message = said.partition(":")
    if error.retryable or "logprobs" not in message or not status.startswith(("HTTP 400", "HTTP 422")):
        return None
    numbers = [int(number) for number in _NUMBER.findall(message) if len(number) < 4]
    return max((number for number in numbers if 0 < number < request.logprobs), default=None)
