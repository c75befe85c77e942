"""From a solver's answer to verdicts, statistics and an outcome."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from evalkit.errors import BoundaryError, ScorerError
from evalkit.metrics.base import Metric, Scored
from evalkit.protocol import Protocol
from evalkit.samples import JSON, Answer, Final, Sample
from evalkit.task import Task, Verdict


@dataclass(frozen=True, slots=True)
class Score:
    """`statistics`: the columns of every metric, one after the other."""

    scored: Scored
    outcome: str
    statistics: tuple[float, ...]

    def as_json(self) -> JSON:
        """What the run file keeps of an answer."""
        finals: list[JSON] = [
            {"value": final.value, "correct": right, "truncated": final.truncated, "reason": reason}
            for final, right, reason in zip(
                self.scored.answer.finals, self.scored.correct, self.scored.reasons, strict=True
            )
        ]
        return {"finals": finals, "detail": self.scored.answer.detail}


def metrics_for(task: Task, protocol: Protocol) -> tuple[Metric, ...]:
    """The task's metrics that have enough draws under `protocol`."""
    return tuple(metric for metric in task.metrics if metric.least_draws <= protocol.draws)


async def score(task: Task, metrics: tuple[Metric, ...], sample: Sample, answer: Answer) -> Score:
    """Judges every final answer and takes every metric's statistics.

    Raises `BoundaryError` when it could not be judged: a `ScorerError` for a judge or metric that raised.
    """
    verdicts = [await _judge(task, final, sample) for final in answer.finals]
    scored = Scored(
        answer, tuple(verdict.correct for verdict in verdicts), tuple(verdict.reason for verdict in verdicts)
    )
    try:
        statistics = tuple(
            float(number) for metric in metrics for number in metric.statistics(sample, scored)
        )
    except Exception as error:
        raise ScorerError(f"metric: {type(error).__name__}: {error}") from error
    return Score(scored, outcome(scored), statistics)


async def _judge(task: Task, final: Final, sample: Sample) -> Verdict:
    if final.value is None:
        return Verdict(False, "no answer found in the response")
    try:
        found = task.judge(final.value, sample)
        return await found if inspect.isawaitable(found) else found
    except BoundaryError:
        raise
    except Exception as error:
        raise ScorerError(f"judge: {type(error).__name__}: {error}") from error


def outcome(scored: Scored) -> str:
    """One word for a sample: `correct` when at least half of its answers are right.

    Otherwise what most of the others are: cut at max_tokens (`truncated`), without an answer
    (`unparsable`), or `wrong`; that order breaks ties.
    """
    if 2 * sum(scored.correct) >= len(scored.correct):
        return "correct"
    pairs = zip(scored.answer.finals, scored.correct, strict=True)
    kinds = [_kind(final) for final, right in pairs if not right]
    return max(("truncated", "unparsable", "wrong"), key=kinds.count)


def _kind(final: Final) -> str:
    if final.truncated:
        return "truncated"
    return "unparsable" if final.value is None else "wrong"
