"""Measures a long run of short requests through several replicas: its memory and its speed, early and late.

    python -m bench.replicas N

prints the peak, the resident memory and the time at regular steps, and the requests of each replica, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Any

from bench.rows import Row, in_own_process, say
from bench.server import endpoint
from bench.watch import GROWTH, PEAK, growth, per_sample, watched
from evalkit.runfile.replica_use import replica_uses
from evalkit.runfile.store import Store

REPLICAS = 4
_LATENCY = 0.02
_CONCURRENCY = 64
"""A fixed number: `auto` follows the load of the machine, and fewer requests in flight cost more CPU each."""


def measure(quick: bool, *, full: bool = False) -> list[Row]:
    n = 20_000 if quick else 1_000_000 if full else 100_000
    found = in_own_process("bench.replicas", n)
    (wall, late_wall), (cpu, late_cpu) = (per_sample(found[clock], n) for clock in ("wall", "cpu"))
    say(f"replicas: {n} requests, {1 / wall:.0f} per second early and {1 / late_wall:.0f} late; "
        f"by replica: {found['requests']}")  # fmt: skip
    where = f"{n:,} requests through {REPLICAS} replicas".replace(",", " ")
    return [
        Row(f"{where}: peak resident", found["peak"], "MB", PEAK),
        Row(f"{where}: last quarter's memory, of the second's", growth(found["resident"]), "×", GROWTH),
        Row(f"{where}: CPU time per request, second quarter", 1000 * cpu, "ms"),
        Row(f"{where}: CPU time per request, last quarter's of the second's", late_cpu / cpu, "×"),
        Row(f"{where}: requests per second, second quarter", 1 / wall, "/s"),
        Row(f"{where}: requests per second, last quarter", 1 / late_wall, "/s"),
    ]


def _requests(store: Store) -> dict[str, Any]:
    return {"requests": [use.requests for use in replica_uses(store)]}


if __name__ == "__main__":
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(endpoint(_LATENCY)) for _ in range(REPLICAS)]
        print(
            json.dumps(asyncio.run(watched("replicas", servers, int(sys.argv[1]), _CONCURRENCY, _requests)))
        )
