"""From an answer to verdicts, statistics and an outcome."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import ModelScorer, Scorer, Task, Verdict
from evalkit.engine.faults import FAULTS, fault
from evalkit.engine.judging import Judging
from evalkit.errors import BoundaryError, ScorerError
from evalkit.metrics.base import Metric, Scored, is_prepared
from evalkit.metrics.macro import measured
from evalkit.runfile.store import ANSWERED
from evalkit.samples import JSON, Answer, Final, Sample, plain_text

_NONE: Mapping[str, Answer] = {}


@dataclass(frozen=True, slots=True)
class Graded:
    """The answers of one way of reading a sample's responses, and the verdict on each."""

    finals: tuple[Final, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def correct(self) -> tuple[bool, ...]:
        return tuple(verdict.correct for verdict in self.verdicts)

    @property
    def credit(self) -> tuple[float, ...]:
        return tuple(verdict.worth for verdict in self.verdicts)

    @property
    def values(self) -> tuple[Mapping[str, float] | None, ...]:
        """None where there was no answer to be judged."""
        pairs = zip(self.finals, self.verdicts, strict=True)
        return tuple(None if final.value is None else verdict.values for final, verdict in pairs)

    @property
    def outcome(self) -> str:
        """One word for a sample: `correct` when at least half of its answers are right.

        Otherwise what most of the others are: cut at max_tokens (`truncated`), without an answer
        (`unparsable`), or `wrong`; that order breaks ties.
        """
        if 2 * sum(self.correct) >= len(self.correct):
            return "correct"
        kinds = [_kind(f) for f, v in zip(self.finals, self.verdicts, strict=True) if not v.correct]
        return max(("truncated", "unparsable", "wrong"), key=kinds.count)

    def as_json(self) -> list[JSON]:
        return [
            {
                "value": f.value,
                "correct": v.correct,
                **({} if v.credit is None else {"credit": v.credit}),
                **({"values": dict(v.values)} if v.values else {}),
                "truncated": f.truncated,
                "reason": v.reason,
            }
            for f, v in zip(self.finals, self.verdicts, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Score:
    """`statistics`: the columns of every metric, one after the other."""

    scored: Scored
    outcome: str
    statistics: tuple[float, ...]
    headline: Graded
    variants: Mapping[str, Graded]
    branches: Mapping[str, Graded]

    def as_json(self) -> JSON:
        """What the run file keeps of an answer."""
        return {
            "finals": self.headline.as_json(),
            "variants": {name: judged.as_json() for name, judged in self.variants.items()},
            "branches": {name: judged.as_json() for name, judged in self.branches.items()},
            "outcomes": {name: judged.outcome for name, judged in {**self.variants, **self.branches}.items()},
            "detail": self.scored.answer.detail,
        }


@dataclass(frozen=True, slots=True)
class Ungraded:
    """An answer to a sample whose references are not public; it can be exported."""

    answer: Answer
    statistics: tuple[float, ...] = ()

    @property
    def outcome(self) -> str:
        if any(final.value is not None for final in self.answer.finals):
            return ANSWERED
        return max(("truncated", "unparsable"), key=list(map(_kind, self.answer.finals)).count)

    def as_json(self) -> JSON:
        """What the run file keeps of an answer."""
        finals: list[JSON] = [
            {"value": final.value, "correct": None, "truncated": final.truncated, "reason": ""}
            for final in self.answer.finals
        ]
        return {
            "finals": finals,
            "variants": {},
            "branches": {},
            "outcomes": {},
            "detail": self.answer.detail,
        }


def metrics_for(task: Task, protocol: Protocol) -> tuple[Metric, ...]:
    """The task's metrics that `protocol` has enough draws and the branches for."""
    known = {"", *(variant.name for variant in task.variants), *protocol.branches}
    return tuple(m for m in task.metrics if m.least_draws <= protocol.draws and m.variant in known)


async def score(
    task: Task,
    metrics: tuple[Metric, ...],
    sample: Sample,
    answer: Answer,
    read_otherwise: Mapping[str, Answer] = _NONE,
    judging: Judging | None = None,
) -> Score:
    """Judges every answer in every variant, and takes every metric's statistics.

    `read_otherwise`: the answers of variants that read in their own way. `judging`: for scorers that ask judge
    models. Raises `BoundaryError` when it could not be judged: a `ScorerError` for a judge or metric that
    raised or returned what is no verdict and no number. A `UsageError` of theirs, such as a missing package,
    ends the run.
    """
    headline = await _grade_all(task.scorer, answer.finals, sample, judging)
    variants = {}
    for variant in task.variants:
        finals = read_otherwise.get(variant.name, answer).finals
        variants[variant.name] = await _grade_all(variant.scorer or task.scorer, finals, sample, judging)
    branches = {
        name: await _grade_all(task.scorer, finals, sample, judging)
        for name, finals in answer.branches.items()
    }
    others = {**variants, **branches}
    scored = Scored(
        answer,
        headline.correct,
        tuple(verdict.reason for verdict in headline.verdicts),
        {name: judged.correct for name, judged in others.items()},
        {name: judged.credit for name, judged in {"": headline, **others}.items()},
        {name: judged.values for name, judged in {"": headline, **others}.items()},
    )
    found: dict[int, tuple[float, ...]] = {}
    statistics: tuple[float, ...] = ()
    for inner in map(measured, metrics):  # a mean over groups has its metric's
        if id(inner) not in found:
            found[id(inner)] = _at_once(inner, sample, scored)
        statistics += found[id(inner)]
    return Score(scored, headline.outcome, statistics, headline, variants, branches)


def _at_once(metric: Metric, sample: Sample, scored: Scored) -> tuple[float, ...]:
    """The metric's statistics; NaN where they depend on all samples (`engine.corpus`)."""
    if is_prepared(metric):
        return (math.nan,) * len(metric.columns)
    return statistics_of(metric, sample, scored)


def statistics_of(metric: Metric, sample: Sample, scored: Scored, *corpus: object) -> tuple[float, ...]:
    """A finite number for each of the metric's columns. Raises `ScorerError`.

    `corpus`: what the metric's `prepare` returned, if it has one.
    """
    try:
        found = tuple(float(number) for number in metric.statistics(sample, scored, *corpus))
    except BoundaryError:
        raise
    except FAULTS as error:
        raise fault(error, f"metric {metric.name}") from error
    if len(found) != len(metric.columns) or not all(map(math.isfinite, found)):
        raise ScorerError(f"metric {metric.name}: {found} for the columns {', '.join(metric.columns)}")
    return found


async def score_of(
    task: Task,
    metrics: tuple[Metric, ...],
    sample: Sample,
    answer: Answer,
    read_otherwise: Mapping[str, Answer] = _NONE,
    judging: Judging | None = None,
) -> Score | Ungraded:
    """`score`, for a sample that there are references for or that needs none."""
    if not sample.target and not task.reference_free:
        return Ungraded(answer)
    return await score(task, metrics, sample, answer, read_otherwise, judging)


async def _grade_all(
    scorer: Scorer, finals: tuple[Final, ...], sample: Sample, judging: Judging | None
) -> Graded:
    if len(finals) == 1:  # nearly always
        return Graded(finals, (await _verdict(scorer, finals[0], sample, judging),))
    work = (_verdict(scorer, final, sample, judging) for final in finals)
    return Graded(finals, tuple(await asyncio.gather(*work)))


async def _verdict(scorer: Scorer, final: Final, sample: Sample, judging: Judging | None) -> Verdict:
    if final.value is None:
        return Verdict(False, "no answer found in the response")
    try:
        found: Verdict | Awaitable[Verdict]
        if isinstance(scorer, ModelScorer) and judging is not None:
            found = scorer.score(final.value, sample, judging)
        else:
            found = scorer(final.value, sample)
        return _plain(await found if inspect.isawaitable(found) else found)
    except BoundaryError:
        raise
    except FAULTS as error:
        raise fault(error, "scorer") from error


def _plain(verdict: Verdict) -> Verdict:
    """With Python's own bool and float, of which NumPy's are no kin. Raises `ScorerError`."""
    if not isinstance(verdict, Verdict):
        raise ScorerError(f"scorer: it returned {type(verdict).__name__}, not a Verdict")
    known = type(verdict.correct) is bool and type(verdict.reason) is str
    if known and verdict.credit is None and not verdict.values:
        return verdict  # nearly always
    correct: object = verdict.correct
    if callable(listed := getattr(correct, "tolist", None)):
        correct = listed()
    if correct not in (True, False):
        raise ScorerError(f"scorer: its verdict's correct is {correct!r:.80}, neither True nor False")
    credit = None if verdict.credit is None else float(verdict.credit)
    if credit is not None and not 0 <= credit <= 1:
        raise ScorerError(f"scorer: its verdict's credit is {credit}, not between 0 and 1")
    return Verdict(bool(correct), plain_text(str(verdict.reason)), credit, _plain_values(verdict.values))


def _plain_values(values: object) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ScorerError(f"scorer: its verdict's values are a {type(values).__name__}, not numbers by name")
    found: dict[str, float] = {}
    for name, value in values.items():
        if not isinstance(name, str) or plain_text(name) != name:
            raise ScorerError(f"scorer: its verdict's values have the name {name!r:.80}, which is no text")
        number = math.nan if isinstance(value, str) else float(value)
        if not math.isfinite(number):
            raise ScorerError(f"scorer: its verdict's value {name!r:.80} is {value!r:.80}, no finite number")
        found[name] = number
    return found


def _kind(final: Final) -> str:
    if final.truncated:
        return "truncated"
    return "unparsable" if final.value is None else "wrong"
