"""Refusals that waiting for minutes does not help: the money or the quota of a day is used up."""

from __future__ import annotations

_READ = 65536
_FIRST = 600
"""The bytes of an error in which its words count; some servers repeat the prompt after them."""
_NO_QUOTA = b"insufficient_quota"
"""OpenAI's code."""
_NO_CREDIT = b"credit balance is too low"
"""Anthropic's words, with a 400."""
_NO_TOKENS = b"Too many tokens per day"
"""Bedrock's words, with a 429."""
_DAY = b"PerDay"
"""A part of the names of Google's quotas of a day, such as GenerateRequestsPerDayPerProjectPerModel."""


def spent(status: int, body: bytes) -> str:
    """What to do about money or a quota that is used up; "" if an error says nothing of that.

    Google's 429 asks to wait for seconds (RetryInfo) also where the quota of a day is used up.
    """
    if (status == 429 and _NO_QUOTA in body) or (status == 400 and _NO_CREDIT in body[:_FIRST]):
        return "the account has no money left: run the command again when it has, and it goes on from here"
    said = body[:_READ]
    if status == 429 and ((_DAY in said and b"QuotaFailure" in said) or _NO_TOKENS in said[:_FIRST]):
        return "the quota of a day is used up: run the command again tomorrow, and it goes on from here"
    return ""
