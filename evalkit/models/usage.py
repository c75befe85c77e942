"""Numbers of tokens that a response names beside those of its prompt and its text: `Response.tokens`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.models.bodies import count

TOKENS = "tokens"
"""The kind under which they are added up beside `Response.signs`."""
CACHED, WRITTEN, REASONING = "read from the cache", "written to the cache", "of reasoning"
"""Tokens of the prompt that the endpoint read from its cache, or wrote to it, and generated tokens of
reasoning; they are part of the response's `prompt_tokens` and `completion_tokens`."""


def tokens_of(said: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """The numbers above 0, as (kind, tokens)."""
    return tuple((kind, tokens) for kind, value in said.items() if (tokens := count(value)))
