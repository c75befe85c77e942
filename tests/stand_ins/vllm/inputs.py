"""Prompts as the engine takes them."""

from __future__ import annotations

from typing import Any


def tokens_input(
    prompt_token_ids: list[int], *, prompt: str | None = None, cache_salt: str | None = None
) -> dict[str, Any]:
    given = {"prompt": prompt, "cache_salt": cache_salt}
    return {
        "type": "token",
        "prompt_token_ids": prompt_token_ids,
        **{name: value for name, value in given.items() if value is not None},
    }
