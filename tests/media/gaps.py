"""Whether other threads go on while something is worked out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def longest_gap(work: Callable[[], object]) -> float:
    """The longest that another thread had to wait meanwhile, as a part of what the work took.

    Both by this process's CPU time, which stands still while a busy machine lets others run.
    """
    gaps, done = [0.0], threading.Event()

    def tick() -> None:
        last = time.process_time()
        while not done.is_set():
            time.sleep(0.0005)
            now = time.process_time()
            gaps.append(now - last)
            last = now

    ticker = threading.Thread(target=tick)
    ticker.start()
    begun = time.process_time()
    work()
    took = time.process_time() - begun
    done.set()
    ticker.join()
    return max(gaps) / took
