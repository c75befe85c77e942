"""Texts in charts: in one line, of a length that has room, and without control characters."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Sequence

from evalkit.report.render import printable

NAME = 48
"""Letters of a name that are shown."""


def columns_of(letter: str) -> float:
    """2 for a letter as wide as two, such as a Chinese one, else 1."""
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def shown(text: str, limit: float = NAME, width: Callable[[str], float] = columns_of) -> str:
    """A text in one line, cut in the middle to `limit`, without control characters; `—` for none.

    `width`: of a letter, in the unit of `limit`.
    """
    most = 8 * int(limit)  # letters that can have room; what is longer need not be read whole
    if len(text) > most:
        text = f"{text[: most // 2]}…{text[-most // 2 :]}"
    words = " ".join(printable(text).split()) or "—"
    if sum(map(width, words)) <= limit:
        return words
    room = limit - width("…")
    tail = _first(words[::-1], room / 3, width)[::-1]
    return f"{_first(words, room * 2 / 3, width).rstrip()}…{tail.lstrip()}"


def _first(text: str, limit: float, width: Callable[[str], float]) -> str:
    """The first letters, `limit` wide at most."""
    widths = itertools.accumulate(map(width, text))
    return "".join(letter for letter, so_far in zip(text, widths, strict=True) if so_far <= limit)


def distinct(
    texts: Sequence[str], limit: float = NAME, width: Callable[[str], float] = columns_of
) -> list[str]:
    """`texts` fit to be shown, and no two the same."""
    found: list[str] = []
    for text in texts:
        name = shown(text, limit, width)
        count = 2
        while name in found:
            name = f"{shown(text, limit - 6 * width('0'), width)} ({count})"
            count += 1
        found.append(name)
    return found


def em(letter: str) -> float:
    """How wide a letter of a sans serif is at most, in units of the size of its font.

    After DejaVu's and Verdana's: nobody knows what fonts a page will be read with, and most are narrower.
    """
    if letter > "\uffff":
        return 1.4
    if columns_of(letter) == 2:
        return 1.0
    if letter in " ijltfrI.,:;'|!()[]{}/\\-":
        return 0.4
    if letter in "mwMW@%…":
        return 1.0
    return 0.8 if letter.isupper() or letter in "=<>+~#" else 0.64


def width_of(text: str, size: float = 12) -> float:
    """Pixels that a text of letters of a size takes at most."""
    return size * sum(map(em, text))


def several(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 5 more`."""
    words = ", ".join(shown(name) for name in names[:most])
    return f"{words} and {len(names) - most} more" if len(names) > most else words
