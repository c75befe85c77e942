"""Specs of cells, for tests of what reads run files."""

from __future__ import annotations

from typing import Any

from evalkit.benchmark.protocol import ProtocolSettings
from evalkit.benchmark.spec import CellSpec
from evalkit.metrics.spec import MetricSpec


def metric_spec(
    name: str = "accuracy", columns: tuple[str, ...] = ("right", "all"), **more: Any
) -> MetricSpec:
    """A metric that no code stands behind."""
    given = {"unit": "%", "higher_is_better": True, "identity": f"{name}@1", **more}
    return MetricSpec(name=name, columns=columns, **given)


def cell_spec(task: str = "sums", protocol: str = "once", **more: Any) -> CellSpec:
    """A cell measured by `accuracy` alone, unless `metrics` says otherwise."""
    given = {"source": task, "metrics": (metric_spec(),), "protocol": ProtocolSettings(name=protocol), **more}
    return CellSpec(task=task, **given)
