"""Measures the whole CPU time per request: rendering, sending, parsing, scoring, storing.

The endpoint is another process, so that the CPU time of this process is only that of the client. The bare
client sends the same bodies to the same endpoint, in turns with the engine. Its time is the lower limit for
any client made with aiohttp, and the ratio is also valid on a slow machine.

The budget is missed: 0.65 ms against 0.14 ms of the bare client (Python 3.11, two busy cores). No single part
stands out in the profile: SQLite takes a fifth (five statements a sample, their checksums, a commit in each
turn of the event loop), aiohttp and asyncio 30 %, and the steps from sample to request and from response to
row, of 2 to 10 µs each, the rest.
"""

from __future__ import annotations

from statistics import median

from bench.client import bare, through_engine
from bench.rows import Row
from bench.server import endpoint

LATENCY, CONCURRENCY = 0.05, 64
BUDGET = 0.4
"""Milliseconds, from the design's budgets."""


def measure(quick: bool) -> list[Row]:
    n, turns = (1000, 3) if quick else (3000, 7)
    engine: list[float] = []
    floor: list[float] = []
    with endpoint(LATENCY) as url:
        bare(url, CONCURRENCY, CONCURRENCY)
        through_engine(url, CONCURRENCY, CONCURRENCY)
        for _ in range(turns):
            floor.append(bare(url, n, CONCURRENCY).cpu_ms)
            engine.append(through_engine(url, n, CONCURRENCY).cpu_ms)
    ratio = median(e / f for e, f in zip(engine, floor, strict=True))
    return [
        Row("engine, CPU time per request", median(engine), "ms", BUDGET),
        Row("bare aiohttp client, CPU time per request", median(floor), "ms"),
        Row("ratio of the engine's CPU time to the bare client's", ratio, "×"),
    ]
