"""Chooses the threshold of a routed protocol on the validation samples of the same run."""

from __future__ import annotations

import dataclasses
from typing import Any

from evalkit.benchmark.protocol import shown_threshold
from evalkit.benchmark.readers import choose_threshold
from evalkit.engine.cell import CellPlan
from evalkit.engine.client import Stopped
from evalkit.runfile.store import Cell, Store
from evalkit.samples import JSON


def calibrate(planned: CellPlan, cell: Cell, validation: Cell, store: Store) -> CellPlan:
    """Returns `planned` with the threshold that scores best on the scored samples of `validation`.

    The threshold and its curve are written to the run file. Samples of `cell` that were scored under another
    threshold are scored again, from stored responses. Raises `Stopped` if all validation samples failed.
    """
    rows = [answer for _, answer in store.answers(validation)]
    if not rows:
        raise Stopped(f"{planned.name}: every validation sample failed, so no threshold can be chosen")
    threshold, curve = choose_threshold(
        planned.protocol.draws,
        [row["detail"]["agreement"] for row in rows],
        [_right(row, "majority") for row in rows],
        [_right(row, "greedy") for row in rows],
    )
    found: dict[str, JSON] = {
        "threshold": shown_threshold(threshold),
        "validation_samples": len(rows),
        "validation_curve": [
            {"threshold": shown_threshold(t), "accuracy": accuracy} for t, accuracy in curve
        ],
    }
    store.set_found(cell, found)
    store.commit()
    return dataclasses.replace(planned, protocol=dataclasses.replace(planned.protocol, threshold=threshold))


def _right(row: dict[str, Any], branch: str) -> bool:
    return all(final["correct"] for final in row["branches"][branch])
