"""Word and character error rate, in percent.

Alignments are jiwer's, with the fewest edits. NIST's sclite weighs a substitution 4, deletions and insertions
3: where little is right it may count more edits (in 33 of 3,000 pairs of unrelated texts), and where several
alignments are as short it may take another one. `tests/conformance/speech_sclite.json` has its counts on
evalkit's small sets, which are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from evalkit.identity.declared import versioned
from evalkit.metrics.base import Mean, Scored
from evalkit.samples import Sample
from evalkit.scoring.speech import Edits, sample_edits

if TYPE_CHECKING:
    from evalkit.metrics.base import Floats


@versioned("error_rate", 1, packages=("jiwer", "whisper-normalizer"))
@dataclass(frozen=True, slots=True)
class ErrorRate:
    """Edits over units of the references, all samples together: never a mean of rates.

    `normaliser` and `units` are the rules of `evalkit.scoring.speech`; units are words or characters by
    the language in `sample.meta["language"]`. An answer of None is an empty one. A sample with several
    answers counts by the mean of their edits. `only`: one kind of edit, such as the insertions that a model
    which makes things up has too many of. A reference with nothing left after normalisation adds no units,
    and what was answered to it adds insertions. The rate over no units at all is NaN.
    """

    label: str = "WER"
    only: Literal["", "substitutions", "deletions", "insertions"] = ""
    normaliser: str = "auto"
    units: str = "report"
    variant: str = field(default="", init=False)
    unit: str = "%"
    higher_is_better: bool = False
    columns: tuple[str, ...] = ("substitutions", "deletions", "insertions", "hits")
    least_draws: int = 1
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def name(self) -> str:
        return f"{self.label} ({self.only})" if self.only else self.label

    @property
    def unbounded(self) -> bool:
        """More words than there are can be inserted, and no more be substituted or left out."""
        return self.only in ("", "insertions")

    def statistics(self, sample: Sample, scored: Scored) -> Sequence[float]:
        found = _edits(sample, scored, self.normaliser, self.units)
        return [sum(getattr(one, kind) for one in found) / len(found) for kind in self.columns]

    def finish(self, totals: Floats) -> Floats:
        import numpy as np

        edits = totals[..., self.columns.index(self.only)] if self.only else totals[..., :3].sum(axis=-1)
        units = totals[..., [0, 1, 3]].sum(axis=-1)
        return 100.0 * edits / np.where(units > 0, units, np.nan)


@versioned("over_100", 1, packages=("jiwer", "whisper-normalizer"))
@dataclass(frozen=True, slots=True)
class Over100(Mean):
    """Samples with more edits than units over samples, in percent: answers that are mostly made up.

    The rules are those of `ErrorRate`. Anything said to an empty reference is over 100 %.
    """

    label: str = "over 100 %"
    normaliser: str = "auto"
    units: str = "report"
    variant: str = field(default="", init=False)
    unit: str = "%"
    higher_is_better: bool = False
    columns: tuple[str, ...] = ("over", "samples")
    least_draws: int = 1
    outcome: ClassVar[Literal["answered"]] = "answered"

    @property
    def name(self) -> str:
        return self.label

    def value(self, sample: Sample, scored: Scored) -> float:
        found = _edits(sample, scored, self.normaliser, self.units)
        return sum(one.total > one.units for one in found) / len(found)


def _edits(sample: Sample, scored: Scored, normaliser: str, units: str) -> list[Edits]:
    return [sample_edits(final.value or "", sample, normaliser, units) for final in scored.answer.finals]
