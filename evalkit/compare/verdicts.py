"""What a comparison says: a verdict for each benchmark, and whether a job should fail. Pure functions.

The difference d is head less base on the samples that both judged, turned so that more is better, and m is
the margin, the points that head may lose. One interval around d decides, the one that is printed:

- **worse**: it lies wholly below -m: head has lost more than it may. This is what fails a job.
- **better**: it lies wholly above 0.
- **no worse**: not the above, and it lies wholly above -m, which has to be more than 0: non-inferiority as in
  clinical trials (Piaggio et al. 2012, CONSORT).
- **no change seen**: none of these, and no sample differs between the two runs.
- **not enough clusters**: none of these, and the samples are of so few clusters that no outcome at all could
  have been called worse. Where an exact sign test over samples says that head is worse, so do the words, and
  the comparison is incomplete: whether other clusters would fall alike cannot be known from these.
- **not enough samples**: none of these. The words say which difference so many samples would show 4 times of
  5, and how many would settle this one.

Over k benchmarks the interval's confidence is 1 - alpha / k, and p values are k times as large (Bonferroni).
So all k intervals together hold the true differences with probability 1 - alpha, whatever these are; of a
change that changes nothing at most alpha of all comparisons say "worse" of anything; and a verdict never
contradicts the interval beside it. Holm's step-down method would say "worse" of further benchmarks a little
sooner once it has been said of one, which changes no job's outcome if all block, but has no such intervals.

A p is of d = 0 for "better", and else of d = -m. With zeros and ones the interval is Bonett and Price's; it
reaches to 0 where McNemar's exact test does not exclude 0, and p is no less than McNemar's. For everything
else both are Student's, with the bootstrap's standard error (`evalkit.stats.paired`). Where a metric
has bounds, an interval ends at the greatest difference that there can be.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from evalkit.compare.paired import MCNEMAR, Paired
from evalkit.samples import JSON
from evalkit.stats.power import effect_seen, samples_needed

Key: TypeAlias = tuple[str, str]
"""Task and protocol, without overrides."""
Verdict = Literal[
    "worse", "better", "no worse", "no change seen", "not enough clusters", "not enough samples"
]
Status = Literal["not asked alike", "missing", "only in head", "nothing scored"]
"""Why there is no verdict on a benchmark."""
_PAIRS = ("outcomes", "answers", "figures")
"""Fields of a `Flip` with a value for each run."""
WORSE, DIFFERENT, INCOMPLETE = 1, 2, 3
"""Exit codes: a regression; another thing was asked; something is missing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a benchmark may not pass, and the exit code for it. `fix`: what to do about it, as a sentence."""

    code: int
    words: str
    fix: str = ""

    def text(self) -> str:
        return f"{self.words}. {self.fix}." if self.fix else self.words


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample that head answers worse or better: outcomes, figures, answers; None of a slim run file.

    `outcomes`: as tables tell them, so `answered` of a graded one. `figures`: its own, in `unit`.
    `occurrence`: samples before it with the same id.
    """

    sample: str
    gain: float
    outcomes: tuple[str, str]
    answers: tuple[str | None, str | None]
    figures: tuple[float, float]
    unit: str
    occurrence: int = 0

    @property
    def name(self) -> str:
        return f"{self.sample} #{self.occurrence + 1}" if self.occurrence else self.sample


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """A benchmark that was not compared. `protocol` "": any, of a task that only the policy names.

    `problems`: none where nothing is amiss, such as with a benchmark that is new in head; `words` then say
    what there is to know.
    """

    task: str
    protocol: str
    status: Status
    blocking: bool
    problems: tuple[Problem, ...] = ()
    words: str = ""

    @property
    def name(self) -> str:
        return f"{self.task}:{self.protocol}" if self.protocol else self.task

    def as_json(self) -> dict[str, JSON]:
        return {
            "task": self.task,
            "protocol": self.protocol,
            "status": self.status,
            "blocking": self.blocking,
            "words": self.words or "; ".join(problem.words for problem in self.problems),
            "problems": [dataclasses.asdict(problem) for problem in self.problems],
        }


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark of both runs. `p`: adjusted, of the verdict's own hypothesis.

    `low`, `high`: the interval of head less base that decided, of `confidence`. `sees`: the difference that
    so many samples show with a power of 0.8, beyond the margin; `enough`: samples that would settle the
    difference seen, None where none would. `differences`: what was not asked alike, and is compared all the
    same. `problems`: what is incomplete.
    """

    task: str
    protocol: str
    metric: str
    unit: str
    higher_is_better: bool
    margin: float
    blocking: bool
    paired: Paired
    differences: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    verdict: Verdict = "not enough samples"
    p: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    confidence: float = 0.95
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
        said: str = self.verdict
        if self.verdict == "no worse":
            said = f"no worse by {self.margin:g}"
        elif self.verdict == "no change seen":
            said = "no change seen (0:0)"
        return f"{said}, p {p_text(self.p)}"

    def limit(self) -> str:
        """Why no outcome whatever could have been called worse, of these samples; "" where one could."""
        few, what = self.paired.clusters, "cluster" if self.paired.clusters < self.paired.n else "sample"
        if math.isinf(self.paired.difference.error) and self.paired.n > 1:
            return f"of a single {what}" if few == 1 else f"in groups of which one is a single {what}"
        return f"of {few} clusters" if self.verdict == "not enough clusters" else ""

    def shortage(self) -> str:
        """What the samples would have shown, and how many would settle it; "" unless they are too few."""
        if not self.verdict.startswith("not enough") or not self.sees:
            return ""
        samples = f"{self.name}: {self.paired.n:,} sample{'' if self.paired.n == 1 else 's'}"
        if limit := self.limit():
            return f"{samples} {limit} can show no difference, however large"
        if math.isinf(self.sees):
            return f"{samples} can show no difference, however large"
        beyond = f" beyond the margin of {self.margin:g}" if self.margin else ""
        enough = f"; about {self.enough:,} would settle the difference seen" if self.enough else ""
        return f"{samples} show a difference of {self.sees:.2g} or more{beyond}{enough}"

    def samples_say(self, alpha: float, benchmarks: int) -> str:
        """What an exact sign test over samples says where the figure says nothing; "" if it says nothing."""
        paired, p = self.paired, min(1.0, benchmarks * self.paired.sign_p)
        if not self.verdict.startswith("not enough") or p >= alpha:
            return ""
        counts = sorted([(paired.losses, "worse"), (paired.wins, "better")], reverse=True)
        (many, way), (few, other) = counts
        found = (
            f"{many:,} of {paired.n:,} samples are {way} and {few or 'none'} {other} "
            f"(sign test over samples, p {p_text(p)})"
        )
        if limit := self.limit():
            return f"{found}, but they are {limit}, too few to tell whether others would fall alike"
        over = f" over {paired.clusters:,} clusters" if paired.clusters < paired.n else ""
        against = f"a loss of {self.margin:g}" if self.margin else "no difference"
        return f"{found}, but the {self.metric}{over} does not rule out {against} (p {p_text(self.p)})"

    def as_json(self) -> dict[str, JSON]:
        difference = self.paired.difference
        return {
            "task": self.task,
            "protocol": self.protocol,
            "metric": self.metric,
            "unit": self.unit,
            "base": difference.base,
            "head": difference.head,
            "difference": difference.value,
            "low": self.low if math.isfinite(difference.error) else None,
            "high": self.high if math.isfinite(difference.error) else None,
            "confidence": self.confidence,
            "n": self.paired.n,
            "clusters": self.paired.clusters,
            "wins": self.paired.wins,
            "losses": self.paired.losses,
            "ties": self.paired.ties,
            "test": self.paired.test,
            "p": self.p,
            "sign_p": self.paired.sign_p,
            "margin": self.margin,
            "blocking": self.blocking,
            "verdict": self.verdict,
            "words": self.words(),
            "shortage": self.shortage(),
            "sees": self.sees if math.isfinite(self.sees) else None,
            "enough": self.enough,
            "differences": list(self.differences),
            "problems": [dataclasses.asdict(problem) for problem in self.problems],
            "flips": [
                {**dataclasses.asdict(f), **{key: list(getattr(f, key)) for key in _PAIRS}}
                for f in self.flips
            ],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every benchmark that either run has or the policy names is in `benchmarks` or in `unmeasured`.

    `notes`: what a reader has to know besides.
    """

    base: str
    head: str
    alpha: float
    benchmarks: tuple[Benchmark, ...]
    unmeasured: tuple[Unmeasured, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def regressions(self) -> tuple[Benchmark, ...]:
        return tuple(one for one in self.benchmarks if one.regression)

    @property
    def problems(self) -> tuple[tuple[str, Problem], ...]:
        """(benchmark, problem) of all that block; a benchmark that does not block has none that count."""
        rows: list[Benchmark | Unmeasured] = [*self.benchmarks, *self.unmeasured]
        found = [(one.name, problem) for one in rows if one.blocking for problem in one.problems]
        if not self.benchmarks and not found:
            found.append(("", Problem(INCOMPLETE, "no benchmark was compared")))
        return tuple(found)

    @property
    def exit_code(self) -> int:
        """The gravest of what there is to say: 1, then 2, then 3; 0 where there is nothing."""
        codes = {problem.code for _, problem in self.problems}
        return WORSE if self.regressions else min(codes, default=0)

    def as_json(self) -> dict[str, JSON]:
        return {
            "base": self.base,
            "head": self.head,
            "alpha": self.alpha,
            "exit_code": self.exit_code,
            "regression": bool(self.regressions),
            "benchmarks": [one.as_json() for one in self.benchmarks],
            "unmeasured": [one.as_json() for one in self.unmeasured],
            "notes": list(self.notes),
            "problems": [
                {"benchmark": name, **dataclasses.asdict(problem)} for name, problem in self.problems
            ],
        }


def p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"


def verdicts(measured: Sequence[Benchmark], alpha: float) -> list[Benchmark]:
    """The benchmarks with their verdicts, intervals and p values adjusted for their number."""
    return [_judged(one, alpha, len(measured)) for one in measured]


def _judged(one: Benchmark, alpha: float, benchmarks: int) -> Benchmark:
    paired, difference, level = one.paired, one.paired.difference, alpha / benchmarks
    low, high = difference.interval(1 - level)
    exact = difference.p if paired.test == MCNEMAR else 0.0
    if exact >= level:
        low, high = min(low, 0.0), max(high, 0.0)
    low, high = max(low, -paired.span), min(high, paired.span)
    worst, best = sorted((one.sign * low, one.sign * high))
    p = difference.p_against(-one.sign * one.margin)
    if one.gain < -one.margin or not one.margin:
        p = max(p, exact)
    few = paired.clusters < paired.n and 2 * 0.5**paired.clusters >= level  # the least p that they can have
    verdict: Verdict
    if best < -one.margin:
        verdict = "worse"
    elif worst > 0:
        verdict, p = "better", max(difference.p_against(0), exact)
    elif one.margin > 0 and worst > -one.margin:
        verdict = "no worse"
    elif paired.wins == paired.losses == 0 and not difference.value:
        verdict, p = "no change seen", 1.0
    else:
        verdict = "not enough clusters" if few else "not enough samples"
    found = dataclasses.replace(
        one,
        verdict=verdict,
        p=min(1.0, benchmarks * p),
        low=low,
        high=high,
        confidence=1 - level,
        sees=effect_seen(paired.n, difference.error * math.sqrt(paired.n), alpha=level, exact=_is_exact(one)),
        enough=_enough(one, level),
    )
    said = found.samples_say(alpha, benchmarks)
    if said and found.limit() and paired.losses > paired.wins and one.gain < -one.margin:
        problem = Problem(INCOMPLETE, said, "It takes more clusters to call it worse or not")
        found = dataclasses.replace(found, problems=(*one.problems, problem))
    return found


def _enough(one: Benchmark, level: float) -> int | None:
    """Samples with which the difference seen, were it the true one, would be told from -margin."""
    distance, error, n = one.gain + one.margin, one.paired.difference.error, one.paired.n
    if not distance or not error or math.isinf(error):
        return None
    sd = error * math.sqrt(n)
    return max(n + 1, samples_needed(abs(distance), sd, alpha=level, exact=_is_exact(one)))


def _is_exact(one: Benchmark) -> bool:
    """Whether McNemar's test decides; against a margin the interval does."""
    return one.paired.test == MCNEMAR and one.margin == 0
