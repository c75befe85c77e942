"""An event loop in a thread of its own, for an engine that lives on one loop and is slow to start."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for other threads' event loops, on one loop that outlives theirs."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)  # engines look for it while they are made
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. If the caller is cancelled, so is `work`."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def end(self) -> None:
        """Ends the loop, with all that runs on it, and waits for the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
