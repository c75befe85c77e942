"""Why a response ended, and whether an endpoint refused to answer: by each server's own words.

A refusal is no failure: the endpoint decided about this one prompt, and asking again changes nothing. It is
no answer either, so the sample counts as one without an answer (`evalkit.engine.score`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from evalkit.models.base import Finish

FINISHES: Mapping[str, Finish] = {
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete", "completed", "tool_calls",
         "function_call", "tool_use"),
        "stop",
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "max_length", "max_completion_tokens",
         "model_length", "context_length",
         "model_context_window_exceeded", "token_limit", "incomplete"),
        "length",
    ),
    **dict.fromkeys(
        ("content_filter", "content_filtered", "safety", "image_safety", "prohibited_content", "blocklist",
         "recitation", "language", "spii", "model_armor", "refusal", "sensitive", "guardrail_intervened",
         "error_toxic"),
        "filter",
    ),
}  # fmt: skip
"""Finish reasons in lower case: of OpenAI, vLLM, TGI, Anthropic, Gemini, Mistral, Cohere, Zhipu, Bedrock."""
BROKEN = frozenset(
    ("error", "network_error", "server_error", "internal_error", "abort", "aborted", "cancelled", "canceled",
     "timeout", "failed", "insufficient_system_resource", "overloaded", "unexpected")
)  # fmt: skip
"""Finish reasons of a response that the server could not finish (OpenRouter, Zhipu, vLLM, DeepSeek)."""

_STATUS = {400, 403, 422, 451}
_CODES = {
    "content_filter", "contentfilter", "content_filtered", "responsibleaipolicyviolation",
    "content_policy_violation", "contentpolicyviolationerror", "content_policy", "moderation_blocked",
    "data_inspection_failed", "datainspectionfailed", "prohibited_content", "safety",
}  # fmt: skip
"""Values of `code`, `type` or `status` in lower case: Azure, OpenAI, LiteLLM, Alibaba, Gemini."""
_WORDS = (
    "content management policy",  # Azure
    "flagged as potentially violating",  # OpenAI
    "rejected as a result of our safety system",  # OpenAI
    "flagged by moderation",  # OpenRouter
    "requires moderation on",  # OpenRouter
    "blocked by content filtering",  # Anthropic
    "content exists risk",  # DeepSeek
    "considered high risk",  # Moonshot
    "may contain inappropriate content",  # Alibaba
    "content violates usage guidelines",  # xAI
    "stopped by the content filter",
)
"""Parts of the servers' own messages in lower case."""
_DEEPEST = 5


def says_refused(status: int, body: bytes) -> bool:
    """Whether an HTTP error is an endpoint's filter that refuses this one prompt.

    The message counts only up to 300 characters, because some servers repeat the prompt after it.
    """
    if status not in _STATUS:
        return False
    try:
        return tells_refusal(orjson.loads(body))
    except ValueError:
        return _has_words(body[:600].decode("utf-8", "replace"))


def tells_refusal(error: Any, depth: int = 0) -> bool:
    """Whether an error object says by a code, its message or OpenRouter's metadata that it refuses."""
    if isinstance(error, str):
        return _has_words(error)
    if not isinstance(error, dict) or depth > _DEEPEST:
        return False
    codes = (str(error.get(key, "")).lower() for key in ("code", "type", "status"))
    if any(code in _CODES for code in codes) or "flagged_input" in error:
        return True
    inner = (error.get(key) for key in ("error", "innererror", "message", "detail", "metadata"))
    return any(tells_refusal(one, depth + 1) for one in inner)


def _has_words(message: str) -> bool:
    start = message[:300].lower()
    return any(words in start for words in _WORDS)
