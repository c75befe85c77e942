"""The description of a metric in a run file, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.metrics.base import Traits
from evalkit.samples import JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """What a run file stores about a metric.

    `identity`: the identity of its code. `variant`: the variant or branch that it measures, "" for the
    headline. `kind`, `parameters`: for one of evalkit's metrics, its declared name and the arguments with
    which it can be made again. `scale`: for a `Ratio`, including a user's own, the factor of the ratio.
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

    @property
    def innermost(self) -> tuple[str, Mapping[str, JSON]]:
        """(kind, parameters) of the metric, or of the one that a mean over groups averages."""
        inner = self.parameters.get("inner")
        if not isinstance(inner, dict):
            return self.kind, self.parameters
        kind, parameters = inner.get("kind"), inner.get("parameters")
        return str(kind or ""), parameters if isinstance(parameters, dict) else {}

    @property
    def decimals(self) -> int:
        """The fewest decimals of its figures: error rates, BLEU and chrF are printed with two.

        So does sacreBLEU's table of systems, and so do the papers that report error rates. A log-loss has
        three, because models differ by hundredths.
        """
        kind = self.innermost[0]
        return 3 if kind == "log_loss" else 2 if kind in ("error_rate", "bleu", "chrf") else 0
