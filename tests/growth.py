"""How CPU time grows with the length of a text. A limit in seconds would fail on a slow or busy machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

FACTOR = 8
"""A text is this many times as long as the one that it is compared with."""
MOST = FACTOR * 3
"""A time that grows with the square is `FACTOR ** 2` times as long. Half way to it is room for noise."""
NOISE = 0.5
"""Seconds of CPU time that prove nothing."""


def takes_time_in_proportion(read: Callable[[str], object], text: str) -> None:
    """Fails if reading `text` takes much more than `FACTOR` times as long as reading its start."""
    start = text[: len(text) // FACTOR]
    short, whole = _seconds(read, start), _seconds(read, text)
    if whole >= max(MOST * short, NOISE):  # the machine may have been busy
        short, whole = max(short, _seconds(read, start)), min(whole, _seconds(read, text))
    assert whole < max(MOST * short, NOISE), f"{whole:.2f} s, and {short:.2f} s for its first eighth"


def _seconds(read: Callable[[str], object], text: str) -> float:
    """Without the collection of garbage, which looks at all objects of the other tests too."""
    gc.disable()
    try:
        started = time.process_time()
        read(text)
        return time.process_time() - started
    finally:
        gc.enable()
