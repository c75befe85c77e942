"""Benchmarks one below the other, each with a lane for every run and lettered discs for printed figures."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.report.charts.lines import Line, Mark, columns_of, several
from evalkit.report.charts.sheet import NAME, Look, Sheet, distinct, looks, shown
from evalkit.report.digits import figure_text

if TYPE_CHECKING:
    import altair as alt

LANE, DISCS, LABEL, GAP = 15, 19, 18, 11
LETTERS = string.ascii_uppercase + string.ascii_lowercase


def figure(mark: Mark) -> str:
    """The value with the digits that its interval supports."""
    return figure_text(mark.value, mark.low, mark.high)


@dataclass(frozen=True, slots=True)
class Strips:
    """`runs`: every run of the report, in the order of their colours. `axis`: the axis' title.

    `origin`: where bars begin, None for points with intervals. `yardstick`: lines down at the origin.
    """

    lines: Sequence[Line]
    runs: Sequence[str]
    axis: str = ""
    origin: float | None = None
    yardstick: bool = False
    form: Callable[[Mark], str] = figure

    def chart(self) -> alt.TopLevelMixin:
        sheet = Sheet(*self._ends(), axis=self.axis, y=2)
        series = dict(zip(self.runs, looks(distinct(self.runs)), strict=True))
        printed = columns_of(self.lines, printed=True)[: len(LETTERS)]
        letters = dict(zip(printed, LETTERS, strict=False))
        for line in self.lines:
            self._line(sheet, line, series, letters)
        used = set(columns_of(self.lines, printed=False))
        key = [f"{letter} = {name}" for letter, name in zip(LETTERS, distinct(printed, NAME), strict=False)]
        return sheet.chart([look for run, look in series.items() if run in used], key=_wrapped(key))

    def _line(self, sheet: Sheet, line: Line, series: dict[str, Look], letters: dict[str, str]) -> None:
        sheet.text(sheet.low, sheet.y + LABEL / 2, line.words, weight=600)
        sheet.y += LABEL
        top = sheet.y
        for mark in line.marks:
            if not mark.printed:
                self._mark(sheet, mark, series[mark.column])
        lanes: list[float] = []
        for mark in sorted((m for m in line.marks if m.printed), key=lambda mark: mark.value):
            if mark.column in letters:
                lane = _lane(lanes, sheet.pixels(mark.value))
                y = sheet.y + DISCS * (lane + 0.5)
                sheet.disc(mark.value, y, letters[mark.column], filled=mark.comparable)
        sheet.y += DISCS * len(lanes)
        if self.yardstick and self.origin is not None:
            sheet.down(self.origin, top, sheet.y)
        sheet.y += GAP

    def _mark(self, sheet: Sheet, mark: Mark, look: Look) -> None:
        y = sheet.y + LANE / 2
        ends = [mark.value]
        if self.origin is not None:
            sheet.rule(self.origin, mark.value, y, look.colour, width=9, opacity=0.4)
            ends.append(self.origin)
        if mark.low is not None and mark.high is not None:
            sheet.rule(mark.low, mark.high, y, look.colour)
            ends += [mark.low, mark.high]
        sheet.point(mark.value, y, look)
        if not mark.comparable:
            sheet.hole(mark.value, y, look)
        sheet.beside(min(ends), max(ends), y, self.form(mark))
        sheet.y += LANE

    def _ends(self) -> tuple[float, float]:
        """Ends of the axis: all values and intervals with a little air; none below 0 that has no figure."""
        marks = [mark for line in self.lines for mark in line.marks]
        values = [x for m in marks for x in (m.value, m.low, m.high, self.origin) if x is not None]
        low, high = min(values), max(values)
        air = 0.04 * (high - low) or max(1.0, 0.1 * abs(high))
        room = air if self.origin is None else 4 * air  # for what is written beside bars
        return (max(0.0, low - air) if low >= 0 else low - air), high + room

    @property
    def caption(self) -> str:
        """What the signs mean that occur."""
        marks = [mark for line in self.lines for mark in line.marks]
        parts = []
        if any(mark.low is not None for mark in marks):
            parts.append("Lines are 95 % intervals.")
        if any(mark.printed for mark in marks):
            parts.append("Lettered discs are printed figures.")
        if any(mark.printed and not mark.comparable for mark in marks):
            parts.append(
                "Hollow ones were obtained otherwise than the runs and may not be compared with them."
            )
        if any(not mark.printed and not mark.comparable for mark in marks):
            parts.append(
                "Hollow marks of runs are of other samples, or asked otherwise than their row's first run."
            )
        return " ".join(parts)

    @property
    def summary(self) -> str:
        """The first figures, for those who do not see the picture."""
        lines = [line for line in self.lines if any(not mark.printed for mark in line.marks)]
        figures = [f"{line.label}: {self._figures(line.marks)}" for line in lines[:8]]
        rest = f" {len(lines) - 8} more." if len(lines) > 8 else ""
        return "; ".join(figures) + "." + rest

    def _figures(self, marks: Sequence[Mark]) -> str:
        return several([f"{shown(m.column, 24)} {self.form(m)}" for m in marks if not m.printed])


def _lane(lanes: list[float], x: float) -> int:
    """The first lane that has room at pixel `x`; `lanes` holds where each is full to."""
    for i, full in enumerate(lanes):
        if x - full >= DISCS:
            lanes[i] = x
            return i
    lanes.append(x)
    return len(lanes) - 1


def _wrapped(entries: Sequence[str], width: int = 56) -> list[str]:
    """`entries` in lines of about `width` letters."""
    lines: list[str] = []
    for entry in entries:
        if lines and len(lines[-1]) + len(entry) + 3 <= width:
            lines[-1] += f" · {entry}"
        else:
            lines.append(entry)
    return lines
