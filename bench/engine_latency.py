"""Measures how well the engine keeps an endpoint with fixed latency busy.

100 % is n·L/c seconds for n requests of L seconds each, with c in flight. A client also needs CPU time, and
64 responses in 50 ms leave it 0.8 ms for each: the bare client shows what this machine can reach. `auto`
chooses c itself, so it may exceed 100 % of what a fixed c can reach.

The budget is missed at 50 ms. A run of 1280 requests should take 1.0 s. 0.05 s pass before its first request,
which waits for the endpoint's list of models, and 0.08 s after its last one, for the figures and for reading
the file back. In between, 47 of 64 requests are in flight on average (two busy cores): a response waits for
the CPU behind the others that came with it, and so does the next request in its place.
"""

from __future__ import annotations

from statistics import median

from bench.client import Took, bare, through_engine
from bench.rows import Row
from bench.server import endpoint

CONCURRENCY = 64
ENOUGH = 95.0
"""Percent, from the design's budgets."""


def measure(quick: bool) -> list[Row]:
    rows = _at(0.05, 1280, 3 if quick else 5)
    return rows if quick else rows + _at(0.5, 1280, 1)


def _at(latency: float, n: int, turns: int) -> list[Row]:
    fixed: list[Took] = []
    auto: list[Took] = []
    floor: list[Took] = []
    with endpoint(latency) as url:
        bare(url, CONCURRENCY, CONCURRENCY)
        for _ in range(turns):
            floor.append(bare(url, n, CONCURRENCY))
            fixed.append(through_engine(url, n, CONCURRENCY))
            auto.append(through_engine(url, n, None))

    def efficiency(taken: list[Took]) -> float:
        return median(took.efficiency(latency, CONCURRENCY) for took in taken)

    share = median(100 * b.wall / e.wall for b, e in zip(floor, fixed, strict=True))
    where = f"n={n} L={latency:g} s"
    return [
        Row(f"engine {where} c={CONCURRENCY}: of n·L/c", efficiency(fixed), "%", ENOUGH, "≥"),
        Row(f"bare client {where} c={CONCURRENCY}: of n·L/c", efficiency(floor), "%"),
        Row(f"engine {where} c={CONCURRENCY}: of the bare client's speed", share, "%"),
        Row(f"engine {where} auto: of n·L/{CONCURRENCY}", efficiency(auto), "%"),
    ]
