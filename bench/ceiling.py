"""Measures the driver's ceiling: the requests per second that one process sends to 64 replicas, and scores.

    python -m bench ceiling
    python -m bench.ceiling MEMBERS KIND N [--profile]

The replicas answer at once or after a fixed latency, so that the speed is that of the process that renders,
chooses the replica, reads, scores and stores (`evalkit.engine`). KIND is `instant` or `slow`, objects in this
process that speak the engine's interface to a model, or `http`, ports of one other process on loopback. It
prints the duration, the CPU time and the memory as JSON, and with --profile where the CPU time goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import cProfile
import json
import pstats
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.made import made_plan
from bench.rows import Row, in_own_process, say
from bench.server import endpoints
from bench.watch import peak_megabytes
from evalkit.engine.run import Options, execute, open_run
from evalkit.models import open_model
from evalkit.models.base import Capability, Model, Request, Response
from evalkit.models.replicas import Replicas
from evalkit.samples import JSON

MEMBERS = 64
IN_FLIGHT = 16
"""The requests in flight for each member."""
LATENCY = 0.05
GPUS = {"multiple-choice questions of 1 850 per second": 1850.0, "generations of 40 per second": 40.0}
"""What one H100 answers per second (docs/models.md), and what a GPU generates of long texts."""
_ANSWER = "Adding the two gives it. The answer is 42."


class Member:
    """A replica in this process, which answers after `latency` seconds."""

    capabilities: frozenset[Capability] = frozenset({"chat"})
    parallel: int | None = None
    name = "made/any"

    def __init__(self, number: int, latency: float) -> None:
        self.base_url = f"made://{number}"
        self.identity: dict[str, JSON] = {"backend": "made", "model": "any"}
        self._latency = latency

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        await asyncio.sleep(self._latency)
        return Response(_ANSWER, prompt_tokens=200, completion_tokens=9, seconds=self._latency)

    async def served(self) -> frozenset[str] | None:
        return None

    async def aclose(self) -> None:
        return None


def measure(quick: bool) -> list[Row]:
    n = 10_000 if quick else 40_000
    rows: list[Row] = []
    for kind, members in (("instant", 1), ("instant", MEMBERS), ("slow", MEMBERS), ("http", MEMBERS)):
        found = in_own_process("bench.ceiling", members, kind, n)
        rows += _rows(f"{members} {kind}", found)
    return rows


def _rows(where: str, found: dict[str, Any]) -> list[Row]:
    n, rate = found["n"], found["n"] / found["seconds"]
    say(f"ceiling: {where}: {rate:.0f} requests per second")
    rows = [
        Row(f"{where}: requests per second", rate, "/s"),
        Row(f"{where}: CPU time per request", 1000 * found["cpu"] / n, "ms"),
        Row(f"{where}: peak resident", found["peak"], "MB"),
    ]
    if not where.startswith("1 "):
        rows += [Row(f"{where}: GPUs it feeds, {what}", rate / each, "") for what, each in GPUS.items()]
    return rows


async def _run(model: Model, n: int, members: int) -> dict[str, float]:
    plan = made_plan(model, n)
    with tempfile.TemporaryDirectory() as folder, open_run(Path(folder, "run.db"), plan) as store:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            await execute(plan, store, Options(IN_FLIGHT * MEMBERS))
        finally:
            await model.aclose()
        found = {"n": n, "seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    peak = peak_megabytes()
    return {**found, "peak": peak, "members": members}


def main(arguments: Sequence[str]) -> None:
    members, kind, n = int(arguments[0]), arguments[1], int(arguments[2])
    with contextlib.ExitStack() as stack:
        if kind == "http":
            urls = stack.enter_context(endpoints(LATENCY, members))
            model: Model = open_model("openai/any", base_url=urls)
        else:
            latency = LATENCY if kind == "slow" else 0.0
            made = [Member(number, latency) for number in range(members)]
            model = Replicas(made) if members > 1 else made[0]
        profile = cProfile.Profile()
        if "--profile" in arguments:
            profile.enable()
        found = asyncio.run(_run(model, n, members))
    if "--profile" in arguments:
        profile.disable()
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
