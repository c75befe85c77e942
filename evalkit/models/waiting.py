"""What an endpoint's refusal says about asking again: whether that helps, and after how many seconds.

Each server says it elsewhere: in Retry-After (RFC 9110, section 10.2.3), in retry-after-ms (OpenAI, Azure),
in Google's RetryInfo, in the words of the message, or in headers that say when a quota is full again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LIMITED = frozenset({429, 498})
"""Too many requests (RFC 6585, section 4; Groq's status for its flexible tier): waiting is all that helps."""
AWAY = frozenset({502, 503, 504, 520, 521, 522, 523, 524, 530})
"""The statuses of a gateway or a server that has no model to ask now (RFC 9110, section 15.6, Cloudflare)."""
_THROTTLED = frozenset({503, 529}) | LIMITED
_AGAIN = frozenset({408, 409, 424, 425, 499}) | LIMITED
"""424: of Bedrock, for a model that failed."""
_SEARCHED = 65536
"""The bytes of an error's body that are searched; Google's RetryInfo follows its message."""
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_UNIT = r"(?:ms|milliseconds?|msecs?|h|hours?|hrs?|m|minutes?|mins?|s|seconds?|secs?)"
_PART = rf"(?:\d+(?:\.\d+)?|an?|one)\s*{_UNIT}"
_DURATION = rf"{_PART}(?:(?:\s*,\s*|\s*and\s+|\s*){_PART})*(?![\w/])"
_ONE_PART = re.compile(rf"(\d+(?:\.\d+)?|an?|one)\s*({_UNIT})(?![a-z])|(\d+(?:\.\d+)?)({_UNIT})", re.I)
_WORDS = re.compile(
    rf"\b(?:try(?:ing)?\s+again|retry(?:ing)?|wait(?:ing)?|resets?|reset\s+after|available)\b[^\n.;\"]{{0,40}}?"
    rf"(?<![\w.])({_DURATION})",
    re.I,
)
"""Such as "Please try again in 1m30s", "Please wait 12 seconds" and "Rate limit resets in 30 s"."""
_BARE = re.compile(
    r"\b(?:try\s+again\s+(?:in|after)|retry\s+(?:in|after))[\s:]+(\d+(?:\.\d+)?)(?![\w/:-]|\.\d|\s*[a-z])",
    re.I,
)
"""A number alone, as in "Retry after 20."."""
_FIELD = re.compile(
    r'"(retry[_-]?delay|retry[_-]?after(?:[_-]?(?:seconds|secs|ms))?)"\s*:\s*"?(\d+(?:\.\d+)?)\s*(ms|s)?"?',
    re.I,
)
"""A field of the body: `"retryDelay": "37s"` of Google's RetryInfo, `"retry_after": 12`."""
_HOPELESS = (b"request too large", b"tokens must be reduced")
"""OpenAI's and Groq's words for a single request above the quota of a minute, which stays above it."""


def may_pass(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the same request may succeed later.

    It may after every status from 500 on, those of proxies such as 520 to 530 among them, and after those
    that are about time or load. A 403 with a Retry-After is GitHub's way of limiting.
    """
    if any(words in body[:_SEARCHED].lower() for words in _HOPELESS):
        return False
    return 500 <= status <= 599 or status in _AGAIN or (status == 403 and "Retry-After" in headers)


def is_throttled(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a status says that the endpoint has too many requests."""
    return status in _THROTTLED or (status == 403 and "Retry-After" in headers)


def asked_wait(headers: Mapping[str, str], body: bytes = b"") -> float | None:
    """The seconds that a refusal asks to wait, or None.

    What headers and message say counts as the longest of all. When a quota is full again is only looked at
    where nothing else is said, because a single request needs less than a full quota.
    """
    text = body[:_SEARCHED].decode("utf-8", "replace")
    said = [
        _number_or_date(headers.get("Retry-After", "")),
        _scaled(headers.get("retry-after-ms", ""), 0.001),
        *(_field(*found) for found in _FIELD.findall(text)),
        *(duration(found) for found in _WORDS.findall(text)),
        *(float(found) for found in _BARE.findall(text)),
    ]
    known = [seconds for seconds in said if seconds is not None] or list(_resets(headers))
    return max(known, default=None)


def duration(text: str) -> float:
    """The seconds of a text such as `1m30s`, `6m0s`, `12 seconds`, `a minute and 5 s` and `120ms`."""
    seconds = 0.0
    for number, unit, tight, tight_unit in _ONE_PART.findall(text):
        size = (unit or tight_unit).lower()
        factor = 0.001 if size.startswith(("ms", "milli")) else _UNITS[size[0]]
        seconds += (1.0 if number.isalpha() else float(number or tight)) * factor
    return seconds


def _field(name: str, number: str, unit: str) -> float:
    return float(number) * (0.001 if unit.lower() == "ms" or name.lower().endswith("ms") else 1.0)


def _scaled(text: str, factor: float) -> float | None:
    try:
        seconds = float(text) * factor
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _number_or_date(value: str) -> float | None:
    """The seconds of a Retry-After header, whose value is a number or a date; some servers add a unit."""
    if not value:
        return None
    seconds = _scaled(value, 1.0)
    if seconds is not None:
        return seconds
    if re.fullmatch(_DURATION, value.strip(), re.I):
        return duration(value)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return _until(value)
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _until(value: str) -> float | None:
    """The seconds until a date as in ISO 8601 (Anthropic's headers)."""
    try:
        until = datetime.fromisoformat(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _resets(headers: Mapping[str, str]) -> list[float]:
    """The seconds until each used up quota is full again, by OpenAI's, Groq's and Anthropic's headers."""
    found = []
    for kind in ("", "-requests", "-tokens", "-input-tokens", "-output-tokens"):
        for reset, left in (
            (f"x-ratelimit-reset{kind}", f"x-ratelimit-remaining{kind}"),
            (f"ratelimit-reset{kind}", f"ratelimit-remaining{kind}"),
            (f"anthropic-ratelimit{kind}-reset", f"anthropic-ratelimit{kind}-remaining"),
        ):
            if headers.get(left, "0").strip() == "0":
                found.append(_number_or_date(headers.get(reset, "")))
    return [_from_now(seconds) for seconds in found if seconds is not None]


def _from_now(seconds: float) -> float:
    """Some servers give the time of the reset instead, as Unix time in seconds or milliseconds."""
    if seconds < 1e9:
        return seconds
    until = seconds / 1000 if seconds > 1e11 else seconds
    return max(0.0, until - datetime.now(UTC).timestamp())
