"""Prepares texts for charts: on one line, cut to the available width, without control characters."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence

from evalkit.report.tabular import printable

NAME = 48
"""The number of letters of a name that are shown."""
EM = 0.64
"""The average width of a letter, in units of the font size.

It is that of DejaVu and Verdana. The fonts of the reader are unknown, and most are narrower.
"""


def width(text: str) -> float:
    """The greatest width of a text, in average letters."""
    return sum(map(_width, text))


def pixels(text: str, size: float = 12) -> float:
    return size * EM * width(text)


def _width(letter: str) -> float:
    if letter in " ijltfrI.,:;'|!()[]{}/\\-":
        return 0.62
    if letter > "\uffff":
        return 2.2
    if letter in "mwMW@%…" or unicodedata.east_asian_width(letter) in "WF":
        return 1.6
    return 1.25 if letter.isupper() or letter in "=<>+~#" else 1.0


def shown(text: str, limit: float = NAME) -> str:
    """The text on one line, without control characters; `—` if it is empty.

    If it is wider than `limit` average letters, it is cut in the middle.
    """
    most = 8 * int(limit)  # more letters than this never fit, so longer texts need not be measured
    if len(text) > most:
        text = f"{text[: most // 2]}…{text[-most // 2 :]}"
    words = " ".join(printable(text).split()) or "—"
    if width(words) <= limit:
        return words
    room = limit - width("…")
    tail = _first(words[::-1], room / 3)[::-1]
    return f"{_first(words, room * 2 / 3).rstrip()}…{tail.lstrip()}"


def _first(text: str, limit: float) -> str:
    """The first letters, at most `limit` wide."""
    widths = itertools.accumulate(map(_width, text))
    return "".join(letter for letter, so_far in zip(text, widths, strict=True) if so_far <= limit)


def distinct(texts: Sequence[str], limit: float = NAME) -> list[str]:
    """`texts`, shortened by `shown` and numbered so that no two are the same."""
    found: list[str] = []
    for text in texts:
        name = shown(text, limit)
        count = 2
        while name in found:
            name = f"{shown(text, limit - 5)} ({count})"
            count += 1
        found.append(name)
    return found


def several(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 5 more`."""
    words = ", ".join(shown(name) for name in names[:most])
    return f"{words} and {len(names) - most} more" if len(names) > most else words


def wrapped(entries: Sequence[str], sign: str, size: float, room: float) -> list[str]:
    """Joins `entries` with `sign` between them into lines of at most `room` pixels."""
    lines: list[str] = []
    for entry in entries:
        if lines and pixels(f"{lines[-1]}{sign}{entry}", size) <= room:
            lines[-1] += f"{sign}{entry}"
        else:
            lines.append(entry)
    return lines
