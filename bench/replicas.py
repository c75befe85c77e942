"""Measures a long run of short requests through several replicas: its memory and its speed, early and late.

    python -m bench.replicas N

prints the peak, the resident memory and the time at regular steps, and the requests of each replica, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.made import made_plan
from bench.memory import GROWTH, PEAK, resident_megabytes
from bench.rows import Row, in_own_process, say
from bench.server import endpoint
from evalkit.engine.cell import CellPlan
from evalkit.engine.client import ModelClient
from evalkit.engine.run import Options, execute, open_run
from evalkit.models import open_model
from evalkit.runfile.replica_use import replica_uses
from evalkit.runfile.store import Cell, Store
from evalkit.runfile.store import Row as Judged

REPLICAS = 4
_LATENCY = 0.02
_CONCURRENCY = 64
"""A fixed number: `auto` follows the load of the machine, and fewer requests in flight cost more CPU each."""
_POINTS = 200


def measure(quick: bool, *, full: bool = False) -> list[Row]:
    n = 20_000 if quick else 1_000_000 if full else 100_000
    found = in_own_process("bench.replicas", n)
    resident, quarter = found["resident"], len(found["resident"]) // 4
    growth = median(resident[-quarter:]) / median(resident[quarter : 2 * quarter])
    (wall, late_wall), (cpu, late_cpu) = (_quarters(found[clock], n) for clock in ("wall", "cpu"))
    say(f"replicas: {n} requests, {1 / wall:.0f} per second early and {1 / late_wall:.0f} late; "
        f"by replica: {found['requests']}")  # fmt: skip
    where = f"{n:,} requests through {REPLICAS} replicas".replace(",", " ")
    return [
        Row(f"{where}: peak resident", found["peak"], "MB", PEAK),
        Row(f"{where}: last quarter's memory, of the second's", growth, "×", GROWTH),
        Row(f"{where}: CPU time per request, second quarter", 1000 * cpu, "ms"),
        Row(f"{where}: CPU time per request, last quarter's of the second's", late_cpu / cpu, "×"),
        Row(f"{where}: requests per second, second quarter", 1 / wall, "/s"),
        Row(f"{where}: requests per second, last quarter", 1 / late_wall, "/s"),
    ]


def _quarters(times: list[float], n: int) -> tuple[float, float]:
    """Seconds per request in the second and in the last quarter of a run."""
    quarter = len(times) // 4
    ends = (2 * quarter - 1, len(times) - 1)
    early, late = ((times[end] - times[end - quarter]) / (quarter * (n // _POINTS)) for end in ends)
    return early, late


class _Watch:
    """Records the resident memory and the time at regular steps of a run."""

    def __init__(self, n: int) -> None:
        self.resident: list[float] = []
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self._every = max(1, n // _POINTS)
        self._done = 0

    def start(self, planned: CellPlan, cell: Cell, line: ModelClient, store: Store) -> None:
        return None

    def sample(self, row: Judged) -> None:
        self._done += 1
        if self._done % self._every == 0:
            self.resident.append(resident_megabytes())
            self.wall.append(time.perf_counter())
            self.cpu.append(time.process_time())

    def close(self) -> None:
        return None


async def _run(urls: list[str], n: int) -> dict[str, Any]:
    model = open_model("openai/any", base_url=urls)
    plan, watch = made_plan(model, n), _Watch(n)
    with tempfile.TemporaryDirectory() as folder, open_run(Path(folder, "run.db"), plan) as store:
        try:
            await execute(plan, store, Options(_CONCURRENCY), watch)
        finally:
            await model.aclose()
        requests = [use.requests for use in replica_uses(store)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    clocks = {"wall": watch.wall, "cpu": watch.cpu}
    return {"peak": peak, "resident": watch.resident, **clocks, "requests": requests}


if __name__ == "__main__":
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(endpoint(_LATENCY)) for _ in range(REPLICAS)]
        print(json.dumps(asyncio.run(_run(servers, int(sys.argv[1])))))
