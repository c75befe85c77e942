"""Whether a server gives the same answer twice (`evalkit run --verify-fraction`).

A greedy request has one answer. A server that gives another the second time, because of what else it has in
its batch, or because its hardware computes wrongly, makes two runs of one model differ, and a comparison may
take that for a regression. The report's section on training infrastructure describes the same check for
silent data corruption: replaying computations and comparing what comes out.
"""

from __future__ import annotations

import hashlib

from evalkit.models.base import Request
from evalkit.runfile.records import Cell
from evalkit.runfile.store import Store
from evalkit.runfile.tallies import count_again, set_verification


def is_verified(request: Request, key: bytes, share: float, seed: int) -> bool:
    """Whether this request is among the `share` of the greedy ones: always the same ones for one seed.

    Sampled requests are not, nor those that only read a prompt's likelihoods, whose last digits move.
    """
    if request.temperature or request.echo or request.continuations:
        return False
    drawn = hashlib.sha256(key + seed.to_bytes(8, signed=True)).digest()
    return int.from_bytes(drawn[:7]) < share * 2**56


def note_verification(store: Store, cell: Cell) -> None:
    """Writes into the run file how many answers of a cell were asked for again, and how many changed."""
    asked, changed = count_again(store, cell)
    set_verification(store, cell, {"asked": asked, "changed": changed})
