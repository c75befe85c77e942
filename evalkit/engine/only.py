"""`--only`: asks a few samples of a plan. The run stays unfinished; the same command without it goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from evalkit.engine.cell import CellPlan
from evalkit.engine.plan import Plan
from evalkit.errors import UsageError, unknown
from evalkit.samples import Sample

_SHOWN = 5
"""Ids that a message lists."""


def only(plan: Plan, wanted: Sequence[str]) -> Plan:
    """The plan with the samples whose id, or the beginning of whose id, is `wanted`. Reads all samples.

    An id means all samples that have it; the beginning of an id must be that of one id alone. Raises
    `UsageError`.
    """
    if plan.shard is not None:
        raise UsageError("--only and --shard exclude each other: leave --shard out")
    for cell in plan.cells:
        if cell.protocol.calibrated:
            raise UsageError(
                f"--only cannot be used with {cell.name}: its threshold is chosen on all validation samples; "
                "give one with --set threshold=…"
            )
    ids = [_ids(cell) for cell in plan.cells]
    known = dict.fromkeys(name for found in ids for name in found)
    names = {_found(name, known) for name in wanted}
    cells = [
        dataclasses.replace(cell, only=frozenset(at for name in names for at in found.get(name, ())))
        for cell, found in zip(plan.cells, ids, strict=True)
    ]
    return dataclasses.replace(plan, cells=tuple(cells))


def _ids(cell: CellPlan) -> dict[str, list[int]]:
    """The positions of the samples by id."""
    found: dict[str, list[int]] = {}
    for position, sample in cell.tried():
        if isinstance(sample, Sample):
            found.setdefault(sample.id, []).append(position)
    return found


def _found(wanted: str, known: dict[str, None]) -> str:
    if wanted in known:
        return wanted
    begun = [name for name in known if wanted and name.startswith(wanted)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        more = f" and {len(begun) - _SHOWN} more" if len(begun) > _SHOWN else ""
        raise UsageError(f"--only {wanted} may be {', '.join(begun[:_SHOWN])}{more}: give the whole id")
    first = ", ".join([*known][:_SHOWN])
    raise unknown("sample", wanted, known, f"the first of {len(known):,} ids are {first}")
