"""What a comparison says: a verdict for each benchmark, and whether a job should fail. Pure functions.

The difference d is head less base on the samples that both judged, turned so that more is better, and m is
the margin, the points that head may lose. With an interval of 1 - alpha (two-sided) around d:

- **worse**: the interval lies wholly below -m: head has lost more than it may. The p behind it is of the
  hypothesis d = -m. This is what fails a job.
- **better**: the interval lies wholly above 0; its p is of d = 0.
- **no worse**: not the above, and the interval lies wholly above -m, which has to be more than 0:
  non-inferiority as in clinical trials (Piaggio et al. 2012, CONSORT).
- **not enough samples**: none of these can be said. A small sample never passes for a good one: the words
  say which difference so many samples would show 4 times of 5, and how many would settle this one.

Over several benchmarks the p values of "worse", and for themselves those of "better", are adjusted after
Holm, so that of a change that changes nothing at most alpha of all comparisons say "worse" of anything.
With m = 0 and zeros and ones the p is McNemar's, exact; else it is Student's with the bootstrap's standard
error (`evalkit.statistics.paired`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from evalkit.paired import MCNEMAR, Paired
from evalkit.samples import JSON
from evalkit.statistics import holm
from evalkit.statistics.power import effect_seen, samples_needed

Key: TypeAlias = tuple[str, str]
"""Task and protocol, without overrides."""
Verdict = Literal["worse", "better", "no worse", "not enough samples"]


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample that head answers worse or better: outcomes, and answers; None of a slim run file."""

    sample: str
    gain: float
    outcomes: tuple[str, str]
    answers: tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark of both runs. `p`: adjusted, of the verdict's own hypothesis.

    `sees`: the difference that so many samples show with a power of 0.8; `enough`: samples that would
    settle the difference seen, None where none would. `differences`: what was not asked alike.
    """

    task: str
    protocol: str
    metric: str
    unit: str
    higher_is_better: bool
    margin: float
    blocking: bool
    paired: Paired
    differences: tuple[str, ...]
    verdict: Verdict = "not enough samples"
    p: float = 1.0
    sees: float = math.inf
    enough: int | None = None
    flips: tuple[Flip, ...] = ()

    @property
    def key(self) -> Key:
        return self.task, self.protocol

    @property
    def name(self) -> str:
        return f"{self.task}:{self.protocol}"

    @property
    def sign(self) -> int:
        return 1 if self.higher_is_better else -1

    @property
    def gain(self) -> float:
        """The difference, positive where head is better."""
        return self.sign * self.paired.difference.value

    @property
    def regression(self) -> bool:
        return self.blocking and self.verdict == "worse"

    def words(self) -> str:
        """`worse, p = 0.003`."""
        if self.verdict in ("worse", "better"):
            return f"{self.verdict}, p {p_text(self.p)}"
        return f"no worse by {self.margin:g}" if self.verdict == "no worse" else self.verdict

    def shortage(self) -> str:
        """What the samples would have shown, and how many would settle it; "" unless they are too few."""
        if self.verdict != "not enough samples" or not self.sees or math.isinf(self.sees):
            return ""
        enough = f"; about {self.enough:,} would settle the difference seen" if self.enough else ""
        return f"{self.name}: {self.paired.n:,} samples show a difference of {self.sees:.2g} or more{enough}"

    def as_json(self) -> dict[str, JSON]:
        difference = self.paired.difference
        finite = math.isfinite(difference.error)
        return {
            "task": self.task,
            "protocol": self.protocol,
            "metric": self.metric,
            "unit": self.unit,
            "base": difference.base,
            "head": difference.head,
            "difference": difference.value,
            "low": difference.low if finite else None,
            "high": difference.high if finite else None,
            "n": self.paired.n,
            "wins": self.paired.wins,
            "losses": self.paired.losses,
            "ties": self.paired.ties,
            "test": self.paired.test,
            "p": self.p,
            "margin": self.margin,
            "blocking": self.blocking,
            "verdict": self.verdict,
            "words": self.words(),
            "shortage": self.shortage(),
            "sees": self.sees if math.isfinite(self.sees) else None,
            "enough": self.enough,
            "differences": list(self.differences),
            "flips": [
                {"sample": f.sample, "gain": f.gain, "outcomes": list(f.outcomes), "answers": list(f.answers)}
                for f in self.flips
            ],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """`notes`: what a reader has to know besides; `incomplete`: samples that are missing or failed."""

    base: str
    head: str
    alpha: float
    benchmarks: tuple[Benchmark, ...]
    notes: tuple[str, ...] = field(default=())
    incomplete: tuple[str, ...] = field(default=())

    @property
    def regressions(self) -> tuple[Benchmark, ...]:
        return tuple(one for one in self.benchmarks if one.regression)

    @property
    def exit_code(self) -> int:
        """1: a blocking benchmark is worse; 3: none is, but a run is incomplete; else 0."""
        return 1 if self.regressions else 3 if self.incomplete else 0

    def as_json(self) -> dict[str, JSON]:
        return {
            "base": self.base,
            "head": self.head,
            "alpha": self.alpha,
            "regression": bool(self.regressions),
            "benchmarks": [one.as_json() for one in self.benchmarks],
            "notes": list(self.notes),
            "incomplete": list(self.incomplete),
        }


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"


def verdicts(measured: Sequence[Benchmark], alpha: float) -> list[Benchmark]:
    """The benchmarks with their verdicts, p values adjusted over all of them."""
    worse, better = [], []
    for one in measured:
        gain, difference = one.gain, one.paired.difference
        bound = -one.margin if one.higher_is_better else one.margin
        against = difference.p if one.margin == 0 else difference.p_against(bound)
        worse.append(against if gain < -one.margin else 1.0)
        better.append(difference.p if gain > 0 else 1.0)
    judged = []
    for one, p_worse, p_better in zip(measured, holm(worse), holm(better), strict=True):
        error, n = one.paired.difference.error, one.paired.n
        low = min(one.sign * one.paired.difference.low, one.sign * one.paired.difference.high)
        verdict: Verdict
        if p_worse < alpha:
            verdict, p = "worse", p_worse
        elif p_better < alpha:
            verdict, p = "better", p_better
        elif one.margin > 0 and low > -one.margin:
            verdict, p = "no worse", p_better
        else:
            verdict, p = "not enough samples", min(p_worse, p_better)
        sees = effect_seen(n, error * math.sqrt(n), alpha=alpha, exact=_is_exact(one))
        judged.append(dataclasses.replace(one, verdict=verdict, p=p, sees=sees, enough=_enough(one, alpha)))
    return judged


def _enough(one: Benchmark, alpha: float) -> int | None:
    """Samples with which the difference seen, were it the true one, would be told from -margin."""
    distance, error, n = one.gain + one.margin, one.paired.difference.error, one.paired.n
    if not distance or not error or math.isinf(error):
        return None
    sd = error * math.sqrt(n)
    return max(n + 1, samples_needed(abs(distance), sd, alpha=alpha, exact=_is_exact(one)))


def _is_exact(one: Benchmark) -> bool:
    """Whether McNemar's test decides; against a margin the interval does."""
    return one.paired.test == MCNEMAR and one.margin == 0
