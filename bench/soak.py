"""Measures a long run at an endpoint that fails in three of ten requests: what is lost, and how even it is.

    python -m bench.soak N

prints the outcomes of the samples, the peak, and the memory, open files and time at regular steps, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from bench.rows import Row, in_own_process, say
from bench.server import endpoint
from bench.watch import GROWTH, PEAK, growth, per_sample, watched
from evalkit.runfile.store import Store

FAULTS = 0.3
_LATENCY = 0.02
_CONCURRENCY = 256


def measure(quick: bool, *, full: bool = False) -> list[Row]:
    n = 10_000 if quick else 700_000 if full else 50_000  # a million requests
    found = in_own_process("bench.soak", n)
    lost = n - sum(count for outcome, count in found["outcomes"].items() if outcome in ("correct", "wrong"))
    early, late = per_sample(found["wall"], n)
    say(f"soak: outcomes {found['outcomes']}, {1 / early:.0f} per second early and {1 / late:.0f} late")
    where = f"{n:,} samples, {FAULTS:.0%} of requests fail".replace(",", " ", 1)
    return [
        Row(f"{where}: samples that are not judged", lost, "", 0),
        Row(f"{where}: peak resident", found["peak"], "MB", PEAK),
        Row(f"{where}: last quarter's memory, of the second's", growth(found["resident"]), "×", GROWTH),
        Row(f"{where}: last quarter's open files, of the second's", growth(found["descriptors"]), "×", 1.2),
        Row(f"{where}: samples per second, second quarter", 1 / early, "/s"),
        Row(f"{where}: samples per second, last quarter", 1 / late, "/s"),
    ]


def _outcomes(store: Store) -> dict[str, Any]:
    return {"outcomes": store.outcomes(store.cells()[0])}


if __name__ == "__main__":
    with endpoint(_LATENCY, FAULTS) as address:
        print(json.dumps(asyncio.run(watched("soak", address, int(sys.argv[1]), _CONCURRENCY, _outcomes))))
