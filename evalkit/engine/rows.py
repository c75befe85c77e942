"""The row of a sample in the run file, from how it ended."""

from __future__ import annotations

from evalkit.engine.score import Score, Ungraded
from evalkit.errors import BoundaryError
from evalkit.runfile.encoding import question_digest
from evalkit.runfile.records import FAILED, Link, Row
from evalkit.samples import Sample


def row_of(
    position: int,
    sample: Sample,
    asked: bytes,
    result: Score | Ungraded | BoundaryError,
    links: tuple[Link, ...],
) -> Row:
    """Returns the row of the sample at `position`. `asked`: as `SampleContext.asked`."""
    known = sample, position, question_digest(sample), asked
    if isinstance(result, BoundaryError):
        return Row(*known, FAILED, boundary=result.boundary, error=str(result), links=links)
    return Row(*known, result.outcome, result.statistics, result.as_json(), links=links)
