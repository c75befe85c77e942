"""Writes figures with the number of digits that their intervals support."""

from __future__ import annotations

import math


def figure_text(value: float | None, low: float | None, high: float | None, least: int = 0) -> str:
    """A value with the digits that its interval supports, and at least `least` decimals.

    The last digit is worth no less than a hundredth of the interval's width: a width of more than 10 gives
    no decimal, 1 to 10 one, 0.1 to 1 two, less than 0.1 three. Without an interval there is one decimal.
    """
    return "—" if value is None else f"{value:.{max(least, decimals(low, high))}f}"


def interval_text(low: float | None, high: float | None, least: int = 0) -> str:
    """`50.5–55.9`, or `-0.4 to 2.1`, with the digits of `figure_text`; "" if there is no interval."""
    if low is None or high is None:
        return ""
    digits = max(least, decimals(low, high))
    between = " to " if low < 0 else "–"
    return f"{low:.{digits}f}{between}{high:.{digits}f}"


def with_interval(value: float | None, low: float | None, high: float | None, least: int = 0) -> str:
    """`53.2 (50.5–55.9)`; the value alone if there is no interval."""
    text, between = figure_text(value, low, high, least), interval_text(low, high, least)
    return f"{text} ({between})" if between else text


def printed_interval(text: str, low: float | None, high: float | None) -> str:
    """The interval of a figure that is printed as `text`, with its decimals; "" if the text itself has it."""
    if low is None or high is None or "±" in text:
        return ""
    digits = max(len(number.partition(".")[2].rstrip("%")) for number in (text, f"{low:g}", f"{high:g}"))
    between = " to " if low < 0 else "–"
    return f"{low:.{digits}f}{between}{high:.{digits}f}"


def decimals(low: float | None, high: float | None) -> int:
    """The number of decimals that an interval supports, see `figure_text`."""
    if low is None or high is None or not math.isfinite(high - low):
        return 1
    width = high - low
    return 3 if width < 0.01 else min(3, max(0, math.floor(2 - math.log10(width) + 1e-9)))
