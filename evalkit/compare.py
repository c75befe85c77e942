"""Two runs → a verdict for each benchmark, and whether a job should fail.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from evalkit.errors import UsageError, unknown
from evalkit.paired import Paired, pair
from evalkit.policy import Policy
from evalkit.report.table import TableCell, cells_of
from evalkit.rows import Cell
from evalkit.samples import JSON
from evalkit.statistics import holm
from evalkit.statistics.power import effect_seen, samples_needed
from evalkit.store import Store

Key: TypeAlias = tuple[str, str]
"""Task and protocol, without overrides."""
Verdict = Literal["worse", "better", "no worse", "not enough samples"]
_FEWEST = 30
"""Samples that all agree say something of a margin only if there are as many: 3 / 30 may still differ."""
_SHORT = 80
"""Characters of an answer in a list of flips."""
_SUBSETS = ("n", "questions", "prompts")
"""Parts of a signature that differ where samples are missing; they are compared sample by sample instead."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample that head answers worse or better: outcomes, and answers where the run files have them."""

    sample: str
    gain: float
    outcomes: tuple[str, str]
    answers: tuple[str, str]


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
            "sees": self.sees if finite else None,
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


def compare(base: Store, head: Store, policy: Policy | None = None, *, flips: int = 10) -> Comparison:
    """Head against base on every benchmark that both hold. `flips`: samples listed of each, worst first.

    Raises `UsageError` where they have no benchmark in common, a benchmark was not asked the same way (unless
    the policy allows it), or the policy names what neither holds.
    """
    policy = policy or Policy()
    before, after = _Run(base), _Run(head)
    notes = _check_names(policy, [*before.cells, *after.cells])
    common = [key for key in before.cells if key in after.cells]
    if not common:
        held = " and ".join(", ".join(map(":".join, run.cells)) or "nothing" for run in (before, after))
        raise UsageError(f"{base.path} and {head.path} have no benchmark in common: {held}")
    notes += [f"{':'.join(key)} is only in base" for key in before.cells if key not in after.cells]
    notes += [f"{':'.join(key)} is only in head" for key in after.cells if key not in before.cells]
    measured = []
    for key in common:
        one = _measure(before, after, key, policy)
        if one is None:
            notes.append(f"{':'.join(key)}: no sample was judged in both")
        else:
            measured.append(one)
    judged = verdicts(measured, policy.alpha)
    return Comparison(
        base=before.label,
        head=after.label,
        alpha=policy.alpha,
        benchmarks=tuple(
            dataclasses.replace(
                one, flips=_flips(one, before.cells[one.key], base, after.cells[one.key], head, flips)
            )
            for one in judged
        ),
        notes=(*notes, *_subset_notes(before, after, judged)),
        incomplete=tuple(
            f"{side} {words}"
            for side, run in (("base:", before), ("head:", after))
            for words in run.incomplete
        ),
    )


class _Run:
    """A run's cells and figures by what they answer: (task, protocol without overrides)."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.label = f"{store.manifest['model']['name']} ({store.path.name})"
        self.cells: dict[Key, Cell] = {
            (cell.task, _base(cell.protocol)): cell for cell in store.cells() if not cell.role
        }
        self.figures: dict[Key, list[TableCell]] = {}
        for figure in cells_of(store):
            self.figures.setdefault((figure.task, _base(figure.protocol)), []).append(figure)

    @property
    def incomplete(self) -> list[str]:
        found = []
        for key, (figure, *_) in self.figures.items():
            asked = sum(figure.outcomes.values()) + figure.answered
            expected = min(filter(None, (figure.limit, figure.records)), default=asked)
            if asked < expected:
                found.append(f"{':'.join(key)} is unfinished, {asked} of {expected} samples")
            if failed := figure.outcomes["failed"]:
                found.append(f"{':'.join(key)}: {failed} samples failed")
        return found


def _base(protocol: str) -> str:
    return protocol.partition("[")[0]


def _check_names(policy: Policy, held: Sequence[Key]) -> list[str]:
    """Notes on benchmarks that the policy names and neither run holds; unknown ones are refused."""
    from evalkit.tasks import INDEX

    here = {name for task, protocol in held for name in (task, f"{task}:{protocol}")}
    absent = [name for name in policy.benchmarks if name not in here]
    for name in absent:
        if name.partition(":")[0] not in INDEX:
            raise unknown("benchmark in the policy", name, sorted({*here, *INDEX}))
    return [f"the policy names {name}, which neither run holds" for name in absent]


def _measure(before: _Run, after: _Run, key: Key, policy: Policy) -> Benchmark | None:
    """The benchmark without a verdict."""
    margin, blocking, metric = policy.rule(*key)
    names = [figure.metric for figure in before.figures[key]]
    if metric and metric not in names:
        raise unknown(f"metric of {':'.join(key)} in the policy", metric, names)
    old = before.figures[key][names.index(metric) if metric else 0]
    new = next((figure for figure in after.figures[key] if figure.metric == old.metric), None)
    if new is None:
        raise UsageError(f"{after.store.path}: {':'.join(key)} was not measured by {old.metric!r}")
    cells = before.cells[key], after.cells[key]
    confidence = 1 - policy.alpha
    paired = pair(before.store, cells[0], after.store, cells[1], old.metric, confidence=confidence)
    if paired is None:
        return None
    differences = old.signature.without(_SUBSETS).differences(new.signature.without(_SUBSETS))
    if paired.asked_otherwise:
        differences.append(
            f"{paired.asked_otherwise} of {paired.n} common samples: the question or the prompt"
        )
    if differences and not policy.allow_different:
        raise UsageError(
            f"{':'.join(key)} was not asked the same way in base and head: {'; '.join(differences)} "
            "(--allow-different compares them all the same)"
        )
    return Benchmark(
        task=key[0],
        protocol=key[1],
        metric=old.metric,
        unit=old.unit,
        higher_is_better=old.higher_is_better,
        margin=margin,
        blocking=blocking,
        paired=paired,
        differences=tuple(differences),
    )


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
        elif one.margin > 0 and low > -one.margin and (error > 0 or n >= _FEWEST):
            verdict, p = "no worse", p_better
        else:
            verdict, p = "not enough samples", min(p_worse, p_better)
        sees = effect_seen(n, error * math.sqrt(n), alpha=alpha)
        judged.append(dataclasses.replace(one, verdict=verdict, p=p, sees=sees, enough=_enough(one, alpha)))
    return judged


def _enough(one: Benchmark, alpha: float) -> int | None:
    """Samples with which the difference seen, were it the true one, would be told from -margin."""
    distance, error, n = one.gain + one.margin, one.paired.difference.error, one.paired.n
    if not distance or not error or math.isinf(error):
        return None
    return max(n + 1, samples_needed(distance, error * math.sqrt(n), alpha=alpha))


def _flips(
    one: Benchmark, before: Cell, base: Store, after: Cell, head: Store, most: int
) -> tuple[Flip, ...]:
    worst = one.paired.flips[:most]
    wanted = {sample for sample, _ in worst}
    told = [
        {row["id"]: row for row in store.samples(cell) if row["id"] in wanted} if wanted else {}
        for store, cell in ((base, before), (head, after))
    ]
    return tuple(
        Flip(
            sample=sample,
            gain=gain,
            outcomes=(told[0][sample]["outcome"], told[1][sample]["outcome"]),
            answers=(_answer(told[0][sample]), _answer(told[1][sample])),
        )
        for sample, gain in worst
    )


def _answer(row: Mapping[str, Any]) -> str:
    finals = row["finals"]
    return str(finals[0].get("value") or "")[:_SHORT] if finals else ""


def _subset_notes(before: _Run, after: _Run, judged: Sequence[Benchmark]) -> list[str]:
    found = []
    for one in judged:
        sizes = before.figures[one.key][0].n, after.figures[one.key][0].n
        if sizes != (one.paired.n, one.paired.n):
            found.append(
                f"{one.name}: on the {one.paired.n} samples that both judged, of {sizes[0]} and {sizes[1]}"
            )
    return found
