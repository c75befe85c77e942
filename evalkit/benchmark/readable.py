"""The longest response from which an answer is read.

Rules that read answers take time in proportion to a response, at most a few microseconds for each character,
and some compute an alignment or n-grams of it. So that a runaway response does not hold up a run, one that is
longer than `LONGEST` is not read: it counts as a response without an answer, and tables say how many there
were. Reading a shorter one takes about a second at most (`tests/scoring/test_hostile_texts.py`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.models.base import Response

LONGEST = 250_000
"""Characters of a response, also in NFKC, which makes eighteen of U+FDFA."""
MOST_MARKS = 100
"""Combining marks in a row: `unicodedata.normalize` sorts them in a time that grows with their square.

The Stream-Safe Text Format of Unicode (UAX #15) has at most 30.
"""
UNREAD = "unread"
"""The entry of an answer's detail with the number of responses that were too long to be read."""

SPOKEN = "spoken"
"""The entry of an answer's detail with `Response.spoken`, for people; it decides nothing."""


def is_readable(text: str) -> bool:
    """Whether `text` has at most `LONGEST` characters, and nowhere more than `MOST_MARKS` marks in a row."""
    if len(text) > LONGEST:
        return False
    if text.isascii():
        return True
    marked = bytes(map(bool, map(unicodedata.combining, text)))
    if b"\1" * (MOST_MARKS + 1) in marked:
        return False
    return len(text) * 18 <= LONGEST or len(unicodedata.normalize("NFKC", text)) <= LONGEST


def unread(responses: Iterable[Response]) -> int:
    """The number of generated texts that are too long to be read."""
    return sum(not is_readable(one.text) for one in responses if not one.prompt_logprobs)
