"""Sends the same requests twice: through the engine, and with a bare aiohttp client that stores nothing."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson

from bench.made import made_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.models.fake import FakeModel
from evalkit.models.openai import OpenAIModel


@dataclass(frozen=True, slots=True)
class Took:
    """The wall seconds and the CPU seconds of this process for `n` requests."""

    n: int
    wall: float
    cpu: float

    @property
    def cpu_ms(self) -> float:
        """The CPU time per request, in milliseconds."""
        return 1000 * self.cpu / self.n

    def efficiency(self, latency: float, concurrency: int) -> float:
        """The speed in percent of that at which `concurrency` requests are always in flight."""
        return 100 * self.n * latency / concurrency / self.wall


class _Clock:
    def __init__(self, n: int) -> None:
        self._n = n
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def took(self) -> Took:
        return Took(self._n, time.perf_counter() - self._wall, time.process_time() - self._cpu)


def through_engine(url: str, n: int, concurrency: int | None) -> Took:
    """Measures a run from the first request to the closed run file. `concurrency`: None for auto."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_engine(url, n, concurrency, Path(folder, "run.db")))


async def _engine(url: str, n: int, concurrency: int | None, path: Path) -> Took:
    model = OpenAIModel("any", url)
    plan = made_plan(model, n)
    store = open_run(path, plan)
    clock = _Clock(n)
    try:
        await execute(plan, store, Options(concurrency))
    finally:
        await model.aclose()
        store.close()
    return clock.took()


def bare(url: str, n: int, concurrency: int) -> Took:
    """Sends the request bodies of the engine, rendered beforehand, and reads the responses."""
    return asyncio.run(_bare(url, list(_bodies(n)), concurrency))


async def _bare(url: str, bodies: list[bytes], concurrency: int) -> Took:
    clock = _Clock(len(bodies))
    todo = iter(bodies)
    async with aiohttp.ClientSession(
        headers={"Content-Type": "application/json"}, connector=aiohttp.TCPConnector(limit=0)
    ) as session:

        async def work() -> None:
            for body in todo:
                async with session.post(f"{url}/chat/completions", data=body) as answer:
                    await answer.read()

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
    return clock.took()


def _bodies(n: int) -> Iterator[bytes]:
    (cell,) = made_plan(FakeModel(lambda request, draw: ""), n).cells
    for _, sample in cell.samples():
        prompt = cell.task.prompt(sample, cell.protocol)
        assert isinstance(prompt, tuple)
        yield orjson.dumps(
            {
                "model": "any",
                "messages": [{"role": m.role, "content": m.content} for m in prompt],
                "max_tokens": cell.protocol.max_tokens,
                "temperature": cell.protocol.temperature,
            }
        )
