"""Values that take long to make: kept in memory while they hold, and in evalkit's cache between processes."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

import orjson

import evalkit
from evalkit.convert import from_json, to_json
from evalkit.data.cache import cache_folder
from evalkit.errors import UsageError
from evalkit.samples import JSON
from evalkit.scratch import replacing

_REST = 10
"""What is made again and again takes no more than a tenth of the time."""
_LAYOUT = 1
"""The layout of stored values. It is raised when a kind of value changes."""
_T = TypeVar("_T")


class Kept(Generic[_T]):
    """A value that is made again if it may have changed, but then rests ten times as long as that took.

    Threads may share it; while one makes the value, others wait for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: object = None
        self._until = 0.0
        self._value: tuple[_T] | None = None

    def get(self, stamp: object, make: Callable[[], _T]) -> _T:
        """The value for `stamp`, or the last one while it rests."""
        with self._lock:
            now = time.monotonic()
            if self._value is None or (stamp != self._stamp and now >= self._until):
                self._value = (make(),)
                self._stamp, done = stamp, time.monotonic()
                self._until = done + _REST * (done - now)
            return self._value[0]

    def within(self, seconds: float, stamp: object, make: Callable[[], _T]) -> _T | None:
        """As `get`, but None if that takes longer; a thread then goes on to make the value."""
        thread = threading.Thread(target=self.get, args=(stamp, make), daemon=True)
        thread.start()
        thread.join(seconds)
        return None if thread.is_alive() else self.get(stamp, make)


def stored(kind: type[_T], key: JSON, stamp: JSON, make: Callable[[], _T], lasts: Callable[[_T], bool]) -> _T:
    """The dataclass that `make` makes, from evalkit's cache if it was stored there for `key` and `stamp`.

    `lasts`: whether it is worth storing. A cache that cannot be read or written costs only time.
    """
    whole = orjson.dumps([kind.__name__, key, evalkit.__version__, _LAYOUT])
    place = cache_folder() / "runs" / f"{hashlib.sha256(whole).hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, LookupError, TypeError, UsageError):
        found = orjson.loads(place.read_bytes())
        if found["stamp"] == stamp:
            return from_json(kind, found["value"], str(place))
    value = make()
    if lasts(value):
        with suppress(OSError):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(place) as part:
                part.write_bytes(orjson.dumps({"stamp": stamp, "value": to_json(value)}))
    return value
