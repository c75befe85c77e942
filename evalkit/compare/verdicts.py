"""The result of a comparison: a verdict on each benchmark, and whether a job should fail. Pure functions.

The difference d is head minus base on the samples scored in both runs, with the sign set so that more is
better. The margin m is the number of points that head may lose. The interval of d, which is also printed,
decides:

- **worse**: the interval lies entirely below -m: head has lost more than the margin. Only this fails a job.
- **better**: the interval lies entirely above 0.
- **no worse**: neither of these, m is more than 0, and the interval lies entirely above -m: non-inferiority
  as in clinical trials (Piaggio et al. 2012, CONSORT).
- **no change seen**: none of these, and no sample differs between the two runs.
- **not enough clusters**: none of these, and the samples belong to so few clusters that no result at all
  could have been "worse". If an exact sign test over samples finds head worse, the text says so, and the
  comparison is incomplete, because these clusters do not show how other clusters would behave.
- **not enough samples**: none of these. The text says which difference this number of samples would detect
  with a power of 0.8, and how many samples would be needed to decide this one.

For k benchmarks the interval's confidence is 1 - alpha / k, and p values are multiplied by k (Bonferroni).
So all k intervals together contain the true differences with a probability of 1 - alpha, whatever these are.
If nothing changed, at most a share alpha of all comparisons says "worse" of any benchmark. And a verdict
never contradicts the interval beside it. Once one benchmark is "worse", Holm's step-down method would find
others "worse" a little sooner, but this changes no job's outcome if all benchmarks are blocking, and the
method has no such intervals.

The p of "better" tests d = 0, and every other p tests d = -m. For zeros and ones the interval is Bonett and
Price's; it is extended to 0 if McNemar's exact test does not exclude 0, and p is at least McNemar's. For
everything else, interval and p are Student's with the bootstrap's standard error (`evalkit.stats.paired`). If
a metric has bounds, an interval ends at the greatest possible difference.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from evalkit.compare.paired import MCNEMAR, Paired
from evalkit.errors import counted
from evalkit.samples import JSON
from evalkit.stats.power import effect_seen, samples_needed

Key: TypeAlias = tuple[str, str]
"""Task and protocol, without overrides."""
Verdict = Literal[
    "worse", "better", "no worse", "no change seen", "not enough clusters", "not enough samples"
]
Status = Literal["not asked alike", "missing", "only in head", "nothing scored"]
"""The reason why a benchmark has no verdict."""
_PAIRS = ("outcomes", "answers", "figures")
"""The fields of a `Flip` with one value for each run."""
WORSE, DIFFERENT, INCOMPLETE = 1, 2, 3
"""Exit codes: a regression; the runs differ in what was asked; something is missing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why a benchmark does not pass, and its exit code. `fix`: a sentence about what to do."""

    code: int
    words: str
    fix: str = ""

    def text(self) -> str:
        return f"{self.words}. {self.fix}." if self.fix else self.words


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample that head answers worse or better. The pairs are (base, head).

    `outcomes`: as in tables, so `answered` if the metric grades answers. `answers`: None for a slim run file.
    `figures`: the sample's own figures, in `unit`. `occurrence`: how many earlier samples have the same id.
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
    """A benchmark that was not compared. `protocol`: "" for a task that only the policy names.

    `problems`: empty if nothing is wrong, such as for a benchmark that is new in head; `words` then explains
    the status.
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
    """One benchmark that both runs have. `p`: the adjusted p value of the verdict's own hypothesis.

    `low`, `high`: the interval of head minus base that decided, with the confidence `confidence`. `sees`: the
    difference beyond the margin that this number of samples detects with a power of 0.8. `enough`: how many
    samples would decide the difference that was seen; None if no number would. `differences`: differences in
    what was asked, which the policy allows. `problems`: what is incomplete.
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
    decimals: int = 1
    """Decimals of the figures in texts."""

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
        """The difference; positive if head is better."""
        return self.sign * self.paired.difference.value

    @property
    def regression(self) -> bool:
        return self.blocking and self.verdict == "worse"

    def words(self) -> str:
        """Returns a text such as `worse, p = 0.003`."""
        text: str = self.verdict
        if self.verdict == "no worse":
            text = f"no worse by {self.margin:g}"
        elif self.verdict == "no change seen":
            text = "no change seen (0:0)"
        return f"{text}, p {p_text(self.p)}"

    def limit(self) -> str:
        """Returns why no result on these samples could have been "worse"; "" if one could."""
        few, what = self.paired.clusters, "cluster" if self.paired.clusters < self.paired.n else "sample"
        if math.isinf(self.paired.difference.error) and self.paired.n > 1:
            return f"of a single {what}" if few == 1 else f"in groups of which one is a single {what}"
        return f"of {few} clusters" if self.verdict == "not enough clusters" else ""

    def shortage(self) -> str:
        """Returns which difference the samples could show, and how many are needed; "" if they suffice."""
        if not self.verdict.startswith("not enough") or not self.sees:
            return ""
        samples = f"{self.name}: {counted(self.paired.n, 'sample')}"
        if limit := self.limit():
            return f"{samples} {limit} can show no difference, however large"
        if math.isinf(self.sees):
            return f"{samples} can show no difference, however large"
        beyond = f" beyond the margin of {self.margin:g}" if self.margin else ""
        enough = f"; about {self.enough:,} would settle the difference seen" if self.enough else ""
        return f"{samples} show a difference of {self.sees:.2g} or more{beyond}{enough}"

    def samples_say(self, alpha: float, benchmarks: int) -> str:
        """Returns the result of an exact sign test over samples if only that test is significant, else ""."""
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
            return f"{found}, but they are {limit}, too few to know how other clusters would behave"
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
    """A comparison of two runs. Every benchmark of either run or the policy is in one of the two lists.

    `benchmarks`: those that were compared. `unmeasured`: those that were not. `notes`: further remarks for
    the reader.
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
        """The (benchmark, problem) pairs of blocking benchmarks. Problems of others do not count."""
        rows: list[Benchmark | Unmeasured] = [*self.benchmarks, *self.unmeasured]
        found = [(one.name, problem) for one in rows if one.blocking for problem in one.problems]
        if not self.benchmarks and not found:
            found.append(("", Problem(INCOMPLETE, "no benchmark was compared")))
        return tuple(found)

    @property
    def exit_code(self) -> int:
        """The most serious exit code: 1, then 2, then 3; 0 without regressions and problems."""
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
    """Returns the benchmarks with their verdicts, and intervals and p values adjusted for their number."""
    return [_decided(one, alpha, len(measured)) for one in measured]


def _decided(one: Benchmark, alpha: float, benchmarks: int) -> Benchmark:
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
    few = paired.clusters < paired.n and 2 * 0.5**paired.clusters >= level  # the smallest possible p
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
    words = found.samples_say(alpha, benchmarks)
    if words and found.limit() and paired.losses > paired.wins and one.gain < -one.margin:
        problem = Problem(INCOMPLETE, words, "More clusters are needed to decide whether it is worse")
        found = dataclasses.replace(found, problems=(*one.problems, problem))
    return found


def _enough(one: Benchmark, level: float) -> int | None:
    """Returns how many samples would distinguish the difference seen, if it is the true one, from -margin."""
    distance, error, n = one.gain + one.margin, one.paired.difference.error, one.paired.n
    if not distance or not error or math.isinf(error):
        return None
    sd = error * math.sqrt(n)
    return max(n + 1, samples_needed(abs(distance), sd, alpha=level, exact=_is_exact(one)))


def _is_exact(one: Benchmark) -> bool:
    """Whether McNemar's test decides. With a margin, the interval decides."""
    return one.paired.test == MCNEMAR and one.margin == 0
