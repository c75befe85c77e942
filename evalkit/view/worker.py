"""A thread that works for the server: what it opens, it alone uses."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """One thread, which does one thing after the other.

    The end of the process does not wait for it, as it would for a `ThreadPoolExecutor`: a report on a million
    samples takes a while.
    """

    def __init__(self, name: str) -> None:
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def do(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls the function in the thread. What it raises is raised here."""
        future: Future[T] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                found = function(*arguments)
            except Exception as error:  # noqa: BLE001 — raised where it is awaited
                future.set_exception(error)
            else:
                future.set_result(found)

        self._orders.put(call)
        return await asyncio.wrap_future(future)

    def close(self, last: Callable[[], None] = lambda: None) -> None:
        """Ends the thread after what it was told before, and then `last`."""
        self._orders.put(last)
        self._orders.put(None)

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            order()
