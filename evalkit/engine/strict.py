"""The check of `--strict`: whether a cell's figure may be compared with the report's."""

from __future__ import annotations

from evalkit.data.base import DataOptions
from evalkit.engine.cell import CellPlan
from evalkit.errors import UsageError


def check_comparable(cell: CellPlan, data: DataOptions) -> None:
    """Raises `UsageError`, with the reasons, if a cell's figure cannot be compared with the report's."""
    reasons = []
    if cell.protocol.name != cell.task.protocols[0].name:
        reasons.append(f"the report's protocol is {cell.task.protocols[0].name}")
    branches = cell.protocol.fallback
    if branches and branches != cell.task.protocols[0].fallback[:1]:
        reasons.append(f"the report falls back to {cell.task.protocols[0].fallback[0]}, not to {branches[0]}")
    if cell.limit is not None:
        reasons.append("--limit uses only a part of the questions")
    if cell.mismatch:
        reasons.append(cell.mismatch)
    if cell.task.model_extractor is not None and not cell.model_extractor:
        reasons.append("in the report a model reads what the rules cannot read: add --judge MODEL")
    if data.small_sets:
        reasons.append("--data builtin does not have the benchmark's questions")
    if reasons:
        raise UsageError(
            f"--strict: {cell.task.name}:{cell.protocol.name} would not be comparable with the report: "
            + "; ".join(reasons)
        )
