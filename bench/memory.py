"""Measures the memory of a long run, with an instant model, so that only the engine and the run file work.

    python -m bench.memory N

prints the peak, the resident memory during the run, and the duration in seconds, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.made import made_plan
from bench.rows import Row, in_own_process, say
from evalkit.engine.cell import CellPlan
from evalkit.engine.client import ModelClient
from evalkit.engine.run import execute, open_run
from evalkit.models.fake import GOLD, FakeModel
from evalkit.runfile.store import Cell, Store
from evalkit.runfile.store import Row as Judged

PEAK, GROWTH = 300.0, 1.05
"""The budgets of the design: MB, and the ratio of the last quarter to the second that counts as flat."""
_STATM = Path("/proc/self/statm")
_POINTS = 400
_SHORTEST = 1e-6
"""The model's delay in seconds: nearly none, but the event loop takes turns, as with an endpoint."""


def measure(quick: bool, *, full: bool = False) -> list[Row]:
    n = 100_000 if quick else 1_000_000 if full else 300_000
    if not _STATM.exists():
        say("memory: skipped, because it needs Linux's /proc")
        return []
    found = in_own_process("bench.memory", n)
    resident = found["resident"]
    say(f"memory: {n} samples in {found['seconds']:.0f} s, {n / found['seconds']:.0f} per second")
    quarter = len(resident) // 4
    growth = median(resident[-quarter:]) / median(resident[quarter : 2 * quarter])
    return [
        Row(f"{n:,} samples: peak resident".replace(",", " "), found["peak"], "MB", PEAK),
        Row("ratio of the last quarter's resident memory to the second's", growth, "×", GROWTH),
        Row("samples per second, instant model", n / found["seconds"], "/s"),
    ]


class _Watch:
    """Records the resident memory at regular steps of a run."""

    def __init__(self, n: int) -> None:
        self.resident: list[float] = []
        self._every = max(1, n // _POINTS)
        self._done = 0

    def start(self, planned: CellPlan, cell: Cell, line: ModelClient, store: Store) -> None:
        return None

    def sample(self, row: Judged) -> None:
        self._done += 1
        if self._done % self._every == 0:
            self.resident.append(resident_megabytes())
            if len(self.resident) % (_POINTS // 10) == 0:
                say(f"memory: {self._done} samples, {self.resident[-1]:.0f} MB")

    def close(self) -> None:
        return None


def resident_megabytes() -> float:
    """The resident memory in MB."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


async def _run(n: int) -> dict[str, float | Sequence[float]]:
    plan = made_plan(FakeModel(GOLD, "fake/gold", delay=_SHORTEST), n)
    watch = _Watch(n)
    with tempfile.TemporaryDirectory() as folder:
        store = open_run(Path(folder, "run.db"), plan)
        started = time.perf_counter()
        try:
            await execute(plan, store, progress=watch)
        finally:
            store.close()
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"peak": peak, "resident": watch.resident, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(int(sys.argv[1])))))
