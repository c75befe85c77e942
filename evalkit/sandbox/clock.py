"""The wall time of a program, without the time in which it could not run.

A limit on wall time is there for programs that sleep or wait. On a busy machine a right program can reach it
too, without having been allowed to run. So the servers inside the sandbox do not count the time in which a
process was ready to run and waited for a CPU, in which it was stopped from outside, and in which the server
itself could not run, as when the machine was suspended. After `PATIENCE` times the limit they give up: then
the machine was too busy, and there is no verdict.

This module runs in the sandbox, so it imports only the standard library.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

PATIENCE = 4
"""A program is given up for the machine's sake after this many times its wall time."""
STEP = 0.5
"""The most seconds between two calls of `Clock.look`."""
_LATEST = 2 * STEP
"""The seconds since the last look that count at most: after more, the server itself could not run."""


class Clock:
    """Counts the seconds in which a program could run, from its start.

    `waited`: asks the host for the seconds in which the program was ready to run and waited for a CPU. It is
    called only when the limit seems to be reached. `children`: processes that cannot stop themselves; while
    one of them is stopped, nothing is counted.
    """

    def __init__(
        self, limit: float, waited: Callable[[], float] | None, children: tuple[int, ...] = ()
    ) -> None:
        self._limit, self._waited, self._children = limit, waited, children
        self._began = self._last = time.monotonic()
        self._counted = self._excused = 0.0

    @property
    def left(self) -> float:
        """The seconds that are left, as of the last look; 0 or less: the limit is reached."""
        return self._limit - self._counted + self._excused

    @property
    def starved(self) -> bool:
        """Whether the machine was too busy: the limit is not reached, although far more time has passed."""
        return self.left > 0 and self._last - self._began >= PATIENCE * self._limit

    def look(self) -> None:
        """Counts the time since the last look."""
        now = time.monotonic()
        passed = now - self._last
        if self._excused and passed < STEP:
            return  # each question takes time of a machine that is busy
        self._last = now
        if not any(map(_is_stopped, self._children)):
            self._counted += min(passed, _LATEST)
        if self.left <= 0 and self._waited is not None:
            self._excused = self._waited()


def _is_stopped(child: int) -> bool:
    with suppress(ChildProcessError):  # it has ended
        return os.waitid(os.P_PID, child, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    return False
