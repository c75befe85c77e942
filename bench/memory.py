"""Measures the memory of a long run, with an instant model, so that only the engine and the run file work.

    python -m bench.memory N

prints the peak, the resident memory during the run, and the duration in seconds, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.made import made_plan
from bench.rows import Row, in_own_process, say
from bench.watch import GROWTH, PEAK, Watch, can_watch, growth, peak_megabytes
from evalkit.engine.run import execute, open_run
from evalkit.models.fake import GOLD, FakeModel

_SHORTEST = 1e-6
"""The model's delay in seconds: nearly none, but the event loop takes turns, as with an endpoint."""


def measure(quick: bool, *, full: bool = False) -> list[Row]:
    n = 100_000 if quick else 1_000_000 if full else 300_000
    if not can_watch():
        say("memory: skipped, because it needs Linux's /proc")
        return []
    found = in_own_process("bench.memory", n)
    say(f"memory: {n} samples in {found['seconds']:.0f} s, {n / found['seconds']:.0f} per second")
    flat = growth(found["resident"])
    return [
        Row(f"{n:,} samples: peak resident".replace(",", " "), found["peak"], "MB", PEAK),
        Row("ratio of the last quarter's resident memory to the second's", flat, "×", GROWTH),
        Row("samples per second, instant model", n / found["seconds"], "/s"),
    ]


async def _run(n: int) -> dict[str, float | Sequence[float]]:
    plan = made_plan(FakeModel(GOLD, "fake/gold", delay=_SHORTEST), n)
    watch = Watch("memory", n)
    with tempfile.TemporaryDirectory() as folder:
        store = open_run(Path(folder, "run.db"), plan)
        started = time.perf_counter()
        try:
            await execute(plan, store, progress=watch)
        finally:
            store.close()
        seconds = time.perf_counter() - started
    peak = peak_megabytes()
    return {"peak": peak, "resident": watch.steps["resident"], "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(int(sys.argv[1])))))
