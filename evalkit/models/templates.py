"""Chat templates without a system message: its text then stands before the user's, as their authors say.

Gemma's, older ones of Mistral and some APIs refuse the role. Gemma's documentation gives instructions in the
user's turn (https://ai.google.dev/gemma/docs/core/prompt-structure).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from evalkit.samples import JSON

_NO_SYSTEM = re.compile(
    r"(system|developer)['\"`]?[ -](role|prompt|message|instruction|content)s?\b.{0,30}"
    r"(not|n't|un) ?(be )?(support|allow|enabl|permit|accept)"
    r"|(not|n't|un) ?(support|allow|enabl|permit|accept)(ed|able)?.{0,20}['\"`]?system\b"
    r"|only user(,? and|/| or) ?assistant roles"
    r"|roles must alternate user/assistant",
    re.IGNORECASE,
)
"""Gemma's, Mistral's and Llama 2's templates, Google's and Amazon's APIs, OpenAI's first reasoning models."""
_READ = 2000


def says_no_system(body: bytes) -> bool:
    """Whether an error says that a system message cannot be sent."""
    said = body[:_READ].decode("utf-8", "replace")
    return "optional system message" not in said and _NO_SYSTEM.search(said) is not None


def has_system(payload: Mapping[str, JSON]) -> bool:
    """Whether the first message is a system message, with another one after it."""
    messages = payload.get("messages")
    if not isinstance(messages, list) or len(messages) < 2:
        return False
    return isinstance(messages[0], dict) and messages[0].get("role") == "system"


def folded(messages: JSON) -> JSON:
    """The messages with the text of the first one, a system message, at the beginning of the second one."""
    if not isinstance(messages, list) or not has_system({"messages": messages}):
        return messages
    system, user, *rest = messages
    if not isinstance(system, dict) or not isinstance(user, dict) or user.get("role") != "user":
        return messages
    first, second = system.get("content"), user.get("content")
    if isinstance(first, str) and isinstance(second, str):
        content: JSON = f"{first}\n\n{second}"
    else:
        content = [*_parts(first), *_parts(second)]
    return [{**user, "content": content}, *rest]


def _parts(content: JSON) -> list[JSON]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}]
