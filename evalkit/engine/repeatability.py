"""Checks whether a server gives the same answer twice (`evalkit run --verify-fraction`).

A greedy request has one answer. A server may give a different one the second time, because its batch holds
other requests or because its hardware computes wrongly. Two runs of one model then differ, and a comparison
may report that as a regression. The report's section on training infrastructure describes the same check for
silent data corruption: computations are replayed and their results compared.
"""

from __future__ import annotations

import hashlib

from evalkit.models.base import Request
from evalkit.runfile.records import Cell
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import count_again, set_verification


def is_verified(request: Request, key: bytes, share: float, seed: int) -> bool:
    """Whether this request is in the verified `share` of the greedy requests, which depends on the seed only.

    Sampled requests are never verified, nor requests for likelihoods, whose last digits vary.
    """
    if request.temperature or request.echo or request.continuations:
        return False
    drawn = hashlib.sha256(key + seed.to_bytes(8, signed=True)).digest()
    return int.from_bytes(drawn[:7]) < share * 2**56


def note_verification(store: Store, cell: Cell) -> None:
    """Stores how many requests of a cell were sent a second time, and how many answers changed."""
    asked, changed = count_again(store, cell)
    set_verification(store, cell, {"asked": asked, "changed": changed})
