"""Copies without processes: each serves its model in this one, and ends when a test says so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from evalkit.copies.model import Copies
from evalkit.copies.serving import Answers, Asked, Opened, Served, Setup
from evalkit.errors import EvalkitError
from evalkit.processes.pool import Ended

Does = Callable[["Near", Sequence[Asked]], str]
"""What a copy does with requests: "" answers, "die" and "hang" do not."""


_ONE_BY_ONE = threading.Lock()
"""Processes import a model's file at the same time, and threads of one process cannot."""


class Near:
    """One start of a copy. `starts`: all starts of all copies, in order."""

    def __init__(self, number: int, setup: Setup, does: Does, starts: list[Near]) -> None:
        self.number, self._does = number, does
        self.where = "nowhere"
        self.calls: list[int] = []
        """The number of requests in each call."""
        self.closed = False
        self.nth = sum(one.number == number for one in starts)
        starts.append(self)
        self._served = Served(setup)
        self.opening: Future[Opened] = Future()
        with _ONE_BY_ONE:
            found = self._served.open()
        if isinstance(found, EvalkitError):
            self.opening.set_exception(found)
        else:
            self.opening.set_result(found)

    async def answer(self, asked: Sequence[Asked]) -> Answers:
        self.calls.append(len(asked))
        does = self._does(self, asked)
        if does == "die":
            raise Ended("SIGKILL: its last words")
        if does == "hang":
            await asyncio.Event().wait()
        found = await self._served.answer(asked)
        if isinstance(found, EvalkitError):
            raise found
        return found

    def close(self) -> None:
        self.closed = True


def near(
    spec: str,
    count: int = 2,
    *,
    does: Does = lambda copy, asked: "",
    timeout: float = 600.0,
    starts: list[Near] | None = None,
    launch: Callable[[int], Any] | None = None,
) -> Copies:
    started = [] if starts is None else starts
    setup = Setup(spec, folder="/nowhere")
    return Copies(
        count,
        launch or (lambda number: Near(number, setup, does, started)),
        timeout=timeout,
        hinted=spec.startswith("fake/"),
    )
