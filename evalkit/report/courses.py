"""Courses of a log-loss over positions, of each run that measured one, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import compress
from typing import TYPE_CHECKING

from evalkit.report.charts.marks import NamedCell, named_cells
from evalkit.report.digits import figure_text, interval_text
from evalkit.report.tabular import Column, Tabular, TabularCell, TabularRow

if TYPE_CHECKING:
    from evalkit.report.grid import Grid
    from evalkit.report.table import Table
    from evalkit.runfile.cells import TableCell
    from evalkit.samples import JSON
    from evalkit.stats.by_position import Course, Estimate

KIND = "log_loss"
"""The kind of the metrics whose statistics have a course."""
ASKED = "asked"
"""The note of a task that says how texts are asked: each in one request, or in windows."""
_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class NamedCourse:
    """A course, the figure that it belongs to, and the name of its run."""

    run: NamedCell
    course: Course

    @property
    def cell(self) -> TableCell:
        return self.run.cell

    @property
    def asked(self) -> str:
        """How the texts were asked; "" if it is not known."""
        return str(self.cell.spec.notes.get(ASKED, ""))

    @property
    def law(self) -> str:
        """A sentence about the power law, or about why there is none."""
        law = self.course.law
        if isinstance(law, str):
            return f"No power law αx^β + γ is determined: {law}."
        each = (("α", law.alpha), ("β", law.beta), ("γ", law.gamma))
        intervals = ", ".join(f"{name} {_interval(part)}" for name, part in each)
        return (
            f"Power law: {law.alpha.value:.3g}·x^{law.beta.value:.3g} {law.gamma.value:+.3g}, with 95 % "
            f"intervals {intervals}; fitted to the positions {law.first:,} to {law.last:,}, in whose octaves "
            f"every document has {self.cell.counted}."
        )

    def as_json(self) -> dict[str, JSON]:
        cell, law = self.cell, self.course.law
        return {
            "task": cell.task,
            "protocol": cell.protocol,
            "model": self.run.name,
            "metric": cell.metric,
            "unit": cell.unit,
            "counted": cell.counted,
            "asked": self.asked,
            "octaves": [asdict(octave) for octave in self.course.octaves],
            "power_law": None if isinstance(law, str) else asdict(law),
            "undetermined": law if isinstance(law, str) else None,
        }


def courses(table: Table, grids: Sequence[Grid] = ()) -> tuple[NamedCourse, ...]:
    """The courses of a table's figures that have one. The run files must still be open."""
    return tuple(NamedCourse(run, found) for run in named_cells(table, grids) if (found := _course(run.cell)))


def course_tables(found: Sequence[NamedCourse]) -> Iterator[Tabular]:
    """Yields a table of the octaves for each course, with its power law as a remark."""
    for one in found:
        cell = one.cell
        columns = ("positions", f"{cell.unit} per {cell.counted[:-1]}", "95 % interval", "documents")
        rows = (
            (
                f"{octave.first:,}–{octave.last:,}" if octave.first < octave.last else str(octave.first),
                figure_text(octave.mean.value, octave.mean.low, octave.mean.high, _DECIMALS),
                interval_text(octave.mean.low, octave.mean.high, _DECIMALS) or "—",
                f"{octave.documents:,}",
                f"{octave.units:,}",
            )
            for octave in one.course.octaves
        )
        first, *others = (*columns, cell.counted)
        yield Tabular(
            f"{one.run.name} on {cell.task}:{cell.protocol}, {cell.metric} by position in {cell.counted}",
            (Column(first, unbroken=True), *(Column(other, "number", unbroken=True) for other in others)),
            tuple(TabularRow(tuple(map(TabularCell, row))) for row in rows),
            remarks=tuple(filter(None, (one.law, f"Asked: {one.asked}." if one.asked else ""))),
        )


def _course(cell: TableCell) -> Course | None:
    """The course of a figure; None if its statistics have none, or are those of other code."""
    if cell.measured.kind != KIND or cell.stale:
        return None
    from evalkit.metrics.log_loss import LogLoss
    from evalkit.stats.by_position import course

    start = 0
    for spec in cell.spec.metrics:
        if spec == cell.measured:
            break
        start += len(spec.columns)
    data = cell.samples()[0]
    matrix = data.matrix[:, start : start + len(cell.measured.columns)]
    there = matrix[:, 0] > 0
    if not there.any():
        return None
    clusters = list(compress(compress(data.clusters, data.scored), there))
    metric = LogLoss(**cell.measured.parameters)  # type: ignore[arg-type]
    return course(matrix[there], clusters, scale=metric.scale)


def _interval(part: Estimate) -> str:
    if part.low is None or part.high is None:
        return "—"
    return f"{part.low:.3g} to {part.high:.3g}"
