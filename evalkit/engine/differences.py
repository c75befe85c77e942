"""How the plans of two runs differ: what a resumed run, and the shards of one run, must have in common."""

from __future__ import annotations

import dataclasses

from evalkit.benchmark.spec import CellSpec
from evalkit.convert import to_json
from evalkit.metrics.base import Traits
from evalkit.samples import JSON


def binding(spec: CellSpec) -> JSON:
    """Returns the part of a cell's spec that a resumed run must have in common with the run file.

    It omits where the data and the code were found, descriptions, and the metrics' traits, which are only
    for tables; the metrics' identities stay.
    """
    data = {key: value for key, value in spec.data.items() if key not in ("kind", "where")}
    protocol = dataclasses.replace(spec.protocol, overrides={}, source="")
    return to_json(
        dataclasses.replace(
            spec,
            source="",
            code="",
            summary="",
            report="",
            notes={},
            data=data,
            protocol=protocol,
            size=None,
            group_sizes={},
            heat_map=None,
            wanted=None,
            metrics=tuple(dataclasses.replace(metric, traits=Traits()) for metric in spec.metrics),
        )
    )


def differences(where: str, theirs: JSON, mine: JSON) -> list[str]:
    """Returns how two JSON values differ, such as `gsm8k:8-shot-cot limit: 10 in the file, None now`."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        return [
            line
            for key in sorted(theirs.keys() | mine.keys())
            for line in differences(f"{where} {key}", theirs.get(key), mine.get(key))
        ]
    return [] if theirs == mine else [f"{where}: {theirs} in the file, {mine} now"]
