"""Folders of runs for tests of the pages over them."""

from __future__ import annotations

import asyncio
import functools
import re
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import evalkit
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel
from tests.edited import edited
from tests.made import sums
from tests.report.runs import ran


def begun(path: Path, when: str) -> Path:
    """The run file, which says that its run began then."""
    with edited(path) as db:
        db.execute("UPDATE run SET value = ? WHERE key = 'started'", (f'"{when}"',))
    return path


def history(folder: Path, models: str = "aab", count: int = 60) -> list[Path]:
    """A run for each letter, its model's name, a day after another; each is wrong more seldom."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for day, model in enumerate(models, 1):
        ran(folder, model, functools.partial(divisible, day + 1), count=count, file=f"run-{day}").close()
        found.append(begun(folder / f"run-{day}.db", f"2026-01-{day:02}T12:00:00+00:00"))
    return found


def divisible(by: int, gold: int) -> bool:
    return gold % by == 0


class Going:
    """A run in a thread, which waits before its last 4 of 12 samples until `finish`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.waits, self._free = threading.Event(), threading.Event()
        model = _Waiting(FakeModel(_summed, "fake/going"), 8, self._wait)
        self._thread = threading.Thread(
            target=evalkit.run,
            args=(model, sums(path.parent, 12, name="going.py")),
            kwargs={"output": path, "concurrency": 1},
        )

    async def _wait(self) -> None:
        self.waits.set()
        assert await asyncio.to_thread(self._free.wait, 60)

    def start(self) -> None:
        self._thread.start()
        assert self.waits.wait(60)
        with closing(sqlite3.connect(self._path)) as db:  # the last samples before it may not be stored yet
            while db.execute("SELECT count(*) FROM sample").fetchone() != (8,):
                time.sleep(0.01)

    def finish(self) -> None:
        self._free.set()
        self._thread.join(60)


def _summed(request: Request, draw: int) -> str:
    """The sum of the two numbers in the question."""
    assert isinstance(request.prompt, tuple)
    return str(sum(int(number) for number in re.findall(r"\d+", str(request.prompt[-1].content))))


class _Waiting:
    """A model that answers so many requests, and waits before the others."""

    def __init__(self, model: FakeModel, count: int, wait: Callable[[], Awaitable[None]]) -> None:
        self._model, self._left, self._wait = model, count, wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        self._left -= 1
        if self._left < 0:
            await self._wait()
        return await self._model.generate(request, draw=draw)


@contextmanager
def going(path: Path) -> Iterator[Going]:
    """A run that goes on at `path`, with 8 of its 12 samples done."""
    run = Going(path)
    run.start()
    try:
        yield run
    finally:
        run.finish()
