"""How many requests each replica of a model answered, and how fast, over all processes of a run.

A stored response does not say which replica it is from, because that is no property of the model. So these
counts are entries of the manifest. A killed process loses those since it wrote them last.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from evalkit.errors import counted
from evalkit.runfile.store import Store

ENTRY = "replicas"
_STEPS = 16
"""Steps of latency in a factor of two: medians are right within 2 %."""


@dataclass(slots=True)
class ReplicaUse:
    """The requests of one replica at `address`. `error`: what it said when it failed last."""

    address: str
    requests: int = 0
    failures: int = 0
    error: str = ""
    steps: Counter[int] = field(default_factory=Counter)
    """Number of responses by their latency, as its logarithm in `_STEPS` of a factor of two."""

    def add(self, seconds: float) -> None:
        self.requests += 1
        self.steps[round(_STEPS * math.log2(max(seconds, 1e-6)))] += 1

    @property
    def median(self) -> float:
        """The median seconds from a request to its response; NaN without any."""
        left = self.steps.total() / 2
        for step, count in sorted(self.steps.items()):
            left -= count
            if left <= 0:
                return float(2 ** (step / _STEPS))
        return math.nan

    def line(self) -> str:
        """Such as `http://a:8000/v1: 120 requests, 0.31 s; 2 failures, the last one: …`."""
        took = "" if math.isnan(self.median) else f", median {self.median:.2g} s"
        failed = f"; {counted(self.failures, 'failure')}, the last one: {self.error}" if self.failures else ""
        return f"{self.address}: {counted(self.requests, 'request')}{took}{failed}"

    def plus(self, other: ReplicaUse) -> ReplicaUse:
        return ReplicaUse(
            self.address,
            self.requests + other.requests,
            self.failures + other.failures,
            other.error or self.error,
            self.steps + other.steps,
        )


def called(address: str) -> str:
    """What messages call the replica at `address`; a copy in a process has its name for an address."""
    return f"replica {address}" if "://" in address else address


def replica_uses(store: Store) -> list[ReplicaUse]:
    """The replicas that a run has had, in the order of their first use; empty for one endpoint."""
    return [_of(entry) for entry in store.manifest.get(ENTRY, ())]


def set_replica_uses(store: Store, uses: Iterable[ReplicaUse]) -> None:
    """Stores the sums of `uses` by address, in the order of their first mention. The caller commits."""
    found: dict[str, ReplicaUse] = {}
    for use in uses:
        found[use.address] = found.get(use.address, ReplicaUse(use.address)).plus(use)
    store.set_entry(ENTRY, [_entry(use) for use in found.values()])


def _entry(use: ReplicaUse) -> dict[str, Any]:
    return {
        "endpoint": use.address,
        "requests": use.requests,
        "failures": use.failures,
        "error": use.error,
        "latencies": [[step, count] for step, count in sorted(use.steps.items())],
    }


def _of(entry: dict[str, Any]) -> ReplicaUse:
    steps = Counter({int(step): int(count) for step, count in entry["latencies"]})
    return ReplicaUse(entry["endpoint"], entry["requests"], entry["failures"], entry["error"], steps)
