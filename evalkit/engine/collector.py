"""How Python's garbage collector works while a run is sending requests."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_YOUNG = 10_000
"""The new objects after which the collector looks for cycles among them, in place of Python's 700.

The objects of the requests in flight are many more than 700, and have no cycles: with 64 in flight, the
collector took 12 % of the engine's CPU time and found nothing.
"""


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Has the collector look seldom, and never at what was there before, such as the libraries' objects.

    Scanning those would block the event loop for 60 ms and free nothing. A user who turned the collector off,
    or lets it look more seldom still, keeps that.
    """
    before = gc.get_threshold()
    gc.freeze()
    if before[0]:
        gc.set_threshold(max(before[0], _YOUNG), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
