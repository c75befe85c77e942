"""The log-loss of texts per token or per byte, with its course over the positions of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from evalkit.errors import ScorerError
from evalkit.identity.declared import versioned
from evalkit.metrics.base import MetricBase, Scored
from evalkit.samples import Sample

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats

OCTAVES = 26
"""The number of octaves of positions: 1, 2 to 3, 4 to 7 and so on, up to 67 million."""
PARTS = ("nats", "units", "logs", "squares")
"""What is summed in each octave: the negative log-probabilities in nats; the tokens, or their bytes; the
natural logarithms of their positions; the squares of these."""
DETAIL = "by position"
"""The key of `Answer.detail` with the sums: unit → octaves → `PARTS`, up to the last octave with a token."""


@versioned("log_loss", 1)
@dataclass(frozen=True, slots=True)
class LogLoss(MetricBase):
    """The log-loss of all texts together: in bits per byte of UTF-8, or in nats per token.

    It is the sum over all tokens of minus their log-probabilities, over the number of bytes or tokens, so a
    text counts as much as it is long. Bits per byte do not depend on the tokeniser. The statistics hold the
    sums of each octave of positions (`PARTS`), from which `evalkit.stats.by_position` makes a curve.
    `evalkit.benchmark.prompt_tokens.by_position` computes them.
    """

    per: Literal["byte", "token"] = "byte"
    variant: str = ""
    higher_is_better: bool = False
    least_draws: int = 1
    any_range: ClassVar[bool] = True
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def name(self) -> str:
        return "bits per byte" if self.per == "byte" else "NLL per token"

    @property
    def unit(self) -> str:
        return "bits" if self.per == "byte" else "nats"

    @property
    def denominator(self) -> str:
        return f"{self.per}s"

    @property
    def own_units(self) -> bool:
        return self.per == "token"

    @property
    def columns(self) -> tuple[str, ...]:
        starts = (2**octave for octave in range(OCTAVES))
        return (self.denominator, *(f"{part} from {start}" for start in starts for part in PARTS))

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        found: Any = scored.answer.detail.get(DETAIL)
        if not isinstance(found, dict):
            raise ScorerError(f"{self.name}: the answer has no log-probabilities of a text's own tokens")
        octaves: list[list[float]] = found[self.per]
        sums = [float(number) for octave in octaves for number in octave]
        return [sum(sums[1 :: len(PARTS)]), *sums, *[0.0] * (OCTAVES * len(PARTS) - len(sums))]

    def finish(self, totals: Floats) -> Floats:
        import numpy as np

        with np.errstate(invalid="ignore", divide="ignore"):
            figures: Floats = self.scale * totals[..., 1 :: len(PARTS)].sum(axis=-1) / totals[..., 0]
        return figures

    @property
    def scale(self) -> float:
        """What a nat is in the figure's unit."""
        return 1 / math.log(2) if self.per == "byte" else 1.0
