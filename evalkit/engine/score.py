"""Scores an answer: verdicts, statistics and an outcome."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

import orjson

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import ModelScorer, Scorer, Task, Verdict
from evalkit.engine.faults import FAULTS, fault
from evalkit.engine.judging import Judging
from evalkit.errors import BoundaryError, ScorerError
from evalkit.metrics.base import Metric, Scored, is_prepared
from evalkit.metrics.macro import measured
from evalkit.runfile.records import ANSWERED, REFUSED
from evalkit.samples import JSON, Answer, Final, Sample, plain_text

_NONE: Mapping[str, Answer] = {}
_KINDS = (REFUSED, "truncated", "unparsable")
"""Outcomes of responses without an answer, in the order that breaks ties."""


@dataclass(frozen=True, slots=True)
class Graded:
    """The answers that one way of reading found in a sample's responses, with the verdict on each."""

    finals: tuple[Final, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def correct(self) -> tuple[bool, ...]:
        return tuple([verdict.correct for verdict in self.verdicts])

    @property
    def credit(self) -> tuple[float, ...]:
        return tuple([verdict.worth for verdict in self.verdicts])

    @property
    def values(self) -> tuple[Mapping[str, float] | None, ...]:
        """The verdicts' values; None for a response without an answer."""
        pairs = zip(self.finals, self.verdicts, strict=True)
        return tuple(None if final.value is None else verdict.values for final, verdict in pairs)

    @property
    def outcome(self) -> str:
        """The sample's outcome: `correct` if at least half of its answers are right.

        Otherwise it is the most frequent kind among the other answers: `refused` by the endpoint, cut at
        max_tokens (`truncated`), without an answer (`unparsable`), or `wrong`; that order breaks ties.
        """
        if 2 * sum(self.correct) >= len(self.verdicts):
            return "correct"
        kinds = [_kind(f) for f, v in zip(self.finals, self.verdicts, strict=True) if not v.correct]
        return max((*_KINDS, "wrong"), key=kinds.count)

    def as_json(self) -> list[JSON]:
        return [
            {
                "value": f.value,
                "correct": v.correct,
                **({} if v.credit is None else {"credit": v.credit}),
                **({"values": dict(v.values)} if v.values else {}),
                **_ended(f),
                "reason": v.reason,
                **({"detail": dict(v.detail)} if v.detail else {}),
            }
            for f, v in zip(self.finals, self.verdicts, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Score:
    """The result of scoring one sample. `statistics`: the columns of all metrics, one after the other."""

    scored: Scored
    outcome: str
    statistics: tuple[float, ...]
    headline: Graded
    variants: Mapping[str, Graded]
    branches: Mapping[str, Graded]

    def as_json(self) -> JSON:
        """Returns what the run file stores of an answer."""
        return {
            "finals": self.headline.as_json(),
            "variants": {name: graded.as_json() for name, graded in self.variants.items()},
            "branches": {name: graded.as_json() for name, graded in self.branches.items()},
            "outcomes": {name: graded.outcome for name, graded in {**self.variants, **self.branches}.items()},
            "detail": self.scored.answer.detail,
        }


@dataclass(frozen=True, slots=True)
class Ungraded:
    """An answer to a sample whose references are not public. It can be exported."""

    answer: Answer
    statistics: tuple[float, ...] = ()

    @property
    def outcome(self) -> str:
        if any(final.value is not None for final in self.answer.finals):
            return ANSWERED
        return max(_KINDS, key=list(map(_kind, self.answer.finals)).count)

    def as_json(self) -> JSON:
        """Returns what the run file stores of an answer."""
        finals: list[JSON] = [
            {"value": final.value, "correct": None, **_ended(final), "reason": ""}
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
    """Returns the task's metrics for which `protocol` has enough draws and the right branches."""
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
    """Scores every answer in every variant and computes every metric's statistics.

    `read_otherwise`: the answers of variants with their own extractor or reader. `judging`: for scorers that
    use judge models. Raises `BoundaryError` if the sample could not be scored: a `ScorerError` if a scorer
    or metric raised, or returned something other than a verdict or a number. A `UsageError` from them, such
    as a missing package, ends the run.
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
    every = {"": headline, **others}
    scored = Scored(
        answer,
        headline.correct,
        tuple([verdict.reason for verdict in headline.verdicts]),
        {name: graded.correct for name, graded in others.items()},
        {name: graded.credit for name, graded in every.items()},
        {name: graded.values for name, graded in every.items()},
    )
    found: dict[int, tuple[float, ...]] = {}
    statistics: tuple[float, ...] = ()
    for inner in map(measured, metrics):  # a mean over groups has the statistics of its inner metric
        if id(inner) not in found:
            found[id(inner)] = _at_once(inner, sample, scored)
        statistics += found[id(inner)]
    return Score(scored, headline.outcome, statistics, headline, variants, branches)


def _at_once(metric: Metric, sample: Sample, scored: Scored) -> tuple[float, ...]:
    """Returns the metric's statistics; NaN if they depend on all samples (`engine.corpus`)."""
    if is_prepared(metric):
        return (math.nan,) * len(metric.columns)
    return statistics_of(metric, sample, scored)


def statistics_of(metric: Metric, sample: Sample, scored: Scored, *corpus: object) -> tuple[float, ...]:
    """Returns a finite number for each of the metric's columns. Raises `ScorerError`.

    `corpus`: what the metric's `prepare` returned, if it has one.
    """
    try:
        found = tuple(float(number) for number in metric.statistics(sample, scored, *corpus))
    except BoundaryError:
        raise
    except FAULTS as error:
        raise fault(error, f"metric {metric.name}") from error
    if len(found) != len(metric.columns) or not all(map(math.isfinite, found)):
        raise ScorerError(
            f"metric {metric.name}: must return a finite number for each of the columns "
            f"{', '.join(metric.columns)}, not {found}"
        )
    return found


async def score_of(
    task: Task,
    metrics: tuple[Metric, ...],
    sample: Sample,
    answer: Answer,
    read_otherwise: Mapping[str, Answer] = _NONE,
    judging: Judging | None = None,
) -> Score | Ungraded:
    """Calls `score`, or returns `Ungraded` for a sample without references, unless the task needs none."""
    if not sample.target and not task.reference_free:
        return Ungraded(answer)
    return await score(task, metrics, sample, answer, read_otherwise, judging)


async def _grade_all(
    scorer: Scorer, finals: tuple[Final, ...], sample: Sample, judging: Judging | None
) -> Graded:
    if len(finals) == 1:  # the usual case
        return Graded(finals, (await _verdict(scorer, finals[0], sample, judging),))
    work = (_verdict(scorer, final, sample, judging) for final in finals)
    return Graded(finals, tuple(await asyncio.gather(*work)))


async def _verdict(scorer: Scorer, final: Final, sample: Sample, judging: Judging | None) -> Verdict:
    if final.value is None:
        return Verdict(False, "refused to answer" if final.refused else "no answer found in the response")
    try:
        found: Verdict | Awaitable[Verdict]
        if isinstance(scorer, ModelScorer) and judging is not None:
            found = scorer.score(final.value, sample, judging)
        else:
            found = scorer(final.value, sample)
        if not isinstance(found, Verdict) and inspect.isawaitable(found):
            found = await found
        return _plain(found)
    except BoundaryError:
        raise
    except FAULTS as error:
        raise fault(error, "scorer") from error


def _plain(verdict: Verdict) -> Verdict:
    """Returns the verdict with Python's bool and float instead of NumPy's. Raises `ScorerError`."""
    if not isinstance(verdict, Verdict):
        raise ScorerError(f"scorer: must return a Verdict, not {type(verdict).__name__}")
    known = type(verdict.correct) is bool and type(verdict.reason) is str
    if known and verdict.credit is None and not verdict.values and not verdict.detail:
        return verdict  # the usual case
    correct: object = verdict.correct
    if callable(listed := getattr(correct, "tolist", None)):
        correct = listed()
    if correct not in (True, False):
        raise ScorerError(f"scorer: the verdict's correct must be True or False, not {correct!r:.80}")
    credit = None if verdict.credit is None else float(verdict.credit)
    if credit is not None and not 0 <= credit <= 1:
        raise ScorerError(f"scorer: the verdict's credit must be between 0 and 1, not {credit}")
    reason = plain_text(str(verdict.reason))
    values, detail = _plain_values(verdict.values), _plain_detail(verdict.detail)
    return Verdict(bool(correct), reason, credit, values, detail)


def _plain_detail(detail: object) -> dict[str, JSON]:
    try:
        if not isinstance(detail, Mapping):
            raise TypeError(f"not {type(detail).__name__}")
        return orjson.loads(orjson.dumps(dict(detail)))  # type: ignore[no-any-return]
    except (TypeError, orjson.JSONEncodeError) as error:
        raise ScorerError(f"scorer: the verdict's detail must be a mapping of plain JSON: {error}") from None


def _plain_values(values: object) -> dict[str, float]:
    if not isinstance(values, Mapping):
        raise ScorerError(
            f"scorer: the verdict's values must be a mapping of names to numbers, not {type(values).__name__}"
        )
    found: dict[str, float] = {}
    for name, value in values.items():
        if not isinstance(name, str) or plain_text(name) != name:
            raise ScorerError(f"scorer: a name in the verdict's values must be text, not {name!r:.80}")
        number = math.nan if isinstance(value, str) else float(value)
        if not math.isfinite(number):
            raise ScorerError(
                f"scorer: the verdict's value {name!r:.80} must be a finite number, not {value!r:.80}"
            )
        found[name] = number
    return found


def _ended(final: Final) -> dict[str, JSON]:
    """Returns how the response ended; `refused` is there only if it is so."""
    return {"truncated": final.truncated, **({"refused": True} if final.refused else {})}


def _kind(final: Final) -> str:
    if final.refused:
        return REFUSED
    if final.truncated:
        return "truncated"
    return "unparsable" if final.value is None else "wrong"
