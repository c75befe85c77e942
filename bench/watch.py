"""Watches a long run: its resident memory, its open files and the time, at regular steps."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.made import made_plan
from bench.rows import say
from evalkit.engine.cell import CellPlan
from evalkit.engine.client import ModelClient
from evalkit.engine.run import Options, execute, open_run
from evalkit.models import open_model
from evalkit.runfile.store import Cell, Row, Store

PEAK, GROWTH = 300.0, 1.05
"""The budgets of the design: MB, and the ratio of the last quarter to the second that counts as flat."""
_STATM, _DESCRIPTORS = Path("/proc/self/statm"), Path("/proc/self/fd")
_POINTS = 400


class Watch:
    """Records where a run of `n` samples stands, at 400 steps, and says so at ten of them."""

    def __init__(self, name: str, n: int) -> None:
        self.steps: dict[str, list[float]] = {"resident": [], "descriptors": [], "wall": [], "cpu": []}
        self._name, self._every, self._done = name, max(1, n // _POINTS), 0

    def start(self, planned: CellPlan, cell: Cell, line: ModelClient, store: Store) -> None:
        return None

    def sample(self, row: Row) -> None:
        self._done += 1
        if self._done % self._every:
            return
        files = sum(1 for _ in _DESCRIPTORS.iterdir())
        now = (resident_megabytes(), files, time.perf_counter(), time.process_time())
        for column, value in zip(self.steps.values(), now, strict=True):
            column.append(value)
        if self._done // self._every % (_POINTS // 10) == 0:
            say(f"{self._name}: {self._done} samples, {now[0]:.0f} MB, {files} open files")

    def close(self) -> None:
        return None


def can_watch() -> bool:
    """Whether this system has Linux's /proc."""
    return _STATM.exists()


def resident_megabytes() -> float:
    """The resident memory in MB."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def peak_megabytes() -> float:
    """The largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


async def watched(
    name: str,
    base_url: str | Sequence[str],
    n: int,
    concurrency: int,
    told: Callable[[Store], dict[str, Any]],
) -> dict[str, Any]:
    """Returns the steps and the peak of a run with `n` sums at an endpoint, and what its file tells."""
    model = open_model("openai/any", base_url=base_url)
    plan, watch = made_plan(model, n), Watch(name, n)
    with tempfile.TemporaryDirectory() as folder, open_run(Path(folder, "run.db"), plan) as store:
        try:
            await execute(plan, store, Options(concurrency), watch)
        finally:
            await model.aclose()
        found = told(store)
    return {"peak": peak_megabytes(), **found, **watch.steps}


def growth(values: Sequence[float]) -> float:
    """The median of the last quarter of the steps, divided by that of the second."""
    quarter = len(values) // 4
    return median(values[-quarter:]) / median(values[quarter : 2 * quarter])


def per_sample(clock: Sequence[float], n: int) -> tuple[float, float]:
    """Seconds per sample in the second and in the last quarter of a run of `n` samples."""
    quarter, last = len(clock) // 4, len(clock) - 1
    samples = quarter * max(1, n // _POINTS)
    early, late = (clock[end] - clock[end - quarter] for end in (2 * quarter - 1, last))
    return early / samples, late / samples
