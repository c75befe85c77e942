"""What a run file says of a metric: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.metrics.base import Traits
from evalkit.samples import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """`identity`: of the code that measured. `variant`: the variant or branch it measures, "" for the headline.

    `kind`, `parameters`: for a metric of evalkit's, its declared name and what makes another of the same.
    `scale`: for a `Ratio`, also a user's own, what its two sums are multiplied by.
    """

    name: str
    unit: str
    higher_is_better: bool
    columns: tuple[str, ...]
    identity: str
    variant: str = ""
    traits: Traits = field(default_factory=Traits)
    kind: str = ""
    parameters: Mapping[str, JSON] = field(default_factory=dict)
    scale: float | None = None
