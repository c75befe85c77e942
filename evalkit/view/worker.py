"""A thread that works for the server: what it opens, it alone uses."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """One thread, which does one thing after the other. The end of the process does not wait for it."""

    def __init__(self, name: str) -> None:
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def do(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls the function in the thread. What it raises is raised here."""
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        def deliver(give: Callable[[Any], None], what: Any) -> None:
            if not done.done():  # whoever asked may be gone
                give(what)

        def call() -> None:
            try:
                give, what = done.set_result, function(*arguments)
            except Exception as error:
                give, what = done.set_exception, error
            if not loop.is_closed():
                loop.call_soon_threadsafe(deliver, give, what)

        self._orders.put(call)
        found: T = await done
        return found

    def close(self, last: Callable[[], None] = lambda: None) -> None:
        """Ends the thread after what it was told before, and then `last`."""
        self._orders.put(last)
        self._orders.put(None)

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            order()
