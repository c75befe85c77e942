"""How long a thread keeps the others waiting, for tests of what must not hold the interpreter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def longest_gap(work: Callable[[], object]) -> float:
    """The longest that another thread had to wait for `work`, as a part of all its time.

    Both are this thread's CPU time: what a busy machine gives to others meanwhile does not count.
    """
    clock = time.pthread_getcpuclockid(threading.get_ident())
    gaps, done = [0.0], threading.Event()

    def tick() -> None:
        last = time.clock_gettime(clock)
        while not done.is_set():
            time.sleep(0.0005)
            now = time.clock_gettime(clock)
            gaps.append(now - last)
            last = now

    ticker = threading.Thread(target=tick)
    ticker.start()
    begun = time.clock_gettime(clock)
    work()
    took = time.clock_gettime(clock) - begun
    done.set()
    ticker.join()
    return max(gaps) / took
