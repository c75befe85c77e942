"""The answer of an imported sample, graded as `engine.score` grades one."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.engine.score import Graded, Score
from evalkit.imports.results import Scored
from evalkit.metrics.base import Scored as Measured
from evalkit.samples import Answer, Final, Verdict, plain_text


def score_of(ended: Sequence[Scored], headline: str, failed: int) -> Score:
    """Returns the score; the readings after the first are its variants. It has no statistics."""
    by_name: dict[str, list[Scored]] = {}
    for reading in ended:
        by_name.setdefault(reading.reading, []).append(reading)
    own = next(name for name, found in by_name.items() if any(headline in one.values for one in found))
    graded = _graded(by_name[own], headline)
    answer = Answer(graded.finals, {"draws that failed": failed} if failed else {})
    variants = {name: _graded(found) for name, found in by_name.items() if name != own}
    return Score(Measured(answer, graded.correct), graded.outcome, (), graded, variants, {})


def _graded(found: Sequence[Scored], headline: str = "") -> Graded:
    return Graded(tuple(map(_final, found)), tuple(_verdict(one, headline) for one in found))


def _final(one: Scored) -> Final:
    finish = one.asked[-1].finish if one.asked else "stop"
    value = None if one.answer is None else plain_text(one.answer)
    return Final(value, finish == "length", finish == "filter")


def _verdict(one: Scored, headline: str) -> Verdict:
    value = one.values.get(headline, next(iter(one.values.values()), None))
    credit = value if value is not None and 0 < value < 1 else None
    return Verdict(value is not None and value >= 1, plain_text(one.reason), credit, dict(one.values))
