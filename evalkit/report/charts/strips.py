"""Draws benchmarks one below the other, with a lane for every run and lettered discs for printed figures."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalkit.report.charts.canvas import WIDTH, Canvas, Chart, Scale
from evalkit.report.charts.marks import Mark, Strip, columns_of
from evalkit.report.charts.style import Style, styles
from evalkit.report.charts.texts import distinct, pixels, several, shown, wrapped
from evalkit.report.digits import figure_text

LEFT, LANE, DISCS, LABEL, GAP = 8, 15, 19, 20, 11
LETTERS = string.ascii_uppercase + string.ascii_lowercase


def figure(mark: Mark) -> str:
    """The value with the digits that its interval supports."""
    return figure_text(mark.value, mark.low, mark.high)


@dataclass(frozen=True, slots=True)
class StripChart:
    """A chart of strips. `runs`: all runs of the report, in the order of their colours.

    `axis`: the title of the axis. `origin`: the value at which bars begin; None for points with intervals.
    `yardstick`: whether to draw a vertical line at the origin.
    """

    strips: Sequence[Strip]
    runs: Sequence[str]
    axis: str = ""
    origin: float | None = None
    yardstick: bool = False
    form: Callable[[Mark], str] = figure

    def chart(self, identifier: str, title: str, alt: str, caption: str) -> Chart:
        figures = (self.form(m) for strip in self.strips for m in strip.marks if not m.printed)
        beside = min(max((pixels(text, 11) for text in figures), default=0) + 10, WIDTH / 3)
        canvas = Canvas(identifier, Scale(*self._ends(), LEFT, WIDTH - beside))
        series = styles(self.runs)
        printed = columns_of(self.strips, printed=True)[: len(LETTERS)]
        letters = dict(zip(printed, LETTERS, strict=False))
        for strip in self.strips:
            self._strip(canvas, strip, series, letters)
        used = set(columns_of(self.strips, printed=False))
        canvas.axis(self.axis)
        canvas.legend([style for run, style in series.items() if run in used])
        keys = [f"{letter} = {name}" for letter, name in zip(LETTERS, distinct(printed), strict=False)]
        canvas.key(wrapped(keys, " · ", 12, WIDTH))
        return canvas.chart(title, alt, caption)

    def _strip(self, canvas: Canvas, strip: Strip, series: dict[str, Style], letters: dict[str, str]) -> None:
        canvas.text(0, canvas.y + LABEL / 2, strip.words, bold=True)
        canvas.y += LABEL
        for line in wrapped(strip.about.split(" "), " ", 11, WIDTH) if strip.about else ():
            canvas.text(0, canvas.y + 4, line, colour="muted", size=11)
            canvas.y += 14
        top = canvas.y
        for mark in strip.marks:
            if not mark.printed:
                self._mark(canvas, mark, series[mark.column])
        lanes: list[float] = []
        for mark in sorted((m for m in strip.marks if m.printed), key=lambda mark: mark.value):
            if mark.column in letters:
                x = canvas.across(mark.value)
                y = canvas.y + DISCS * (_lane(lanes, x) + 0.5)
                canvas.disc(x, y, letters[mark.column], filled=mark.comparable)
        canvas.y += DISCS * len(lanes)
        if self.yardstick and self.origin is not None:
            x = canvas.across(self.origin)
            canvas.line(x, top, x, canvas.y, "muted", 1.2)
        canvas.y += GAP

    def _mark(self, canvas: Canvas, mark: Mark, style: Style) -> None:
        x, y = canvas.across(mark.value), canvas.y + LANE / 2
        ends = [x]
        if self.origin is not None:
            ends.append(canvas.across(self.origin))
            canvas.line(ends[1], y, x, y, style.colour, 9, 0.4)
        if mark.low is not None and mark.high is not None:
            ends += [canvas.across(mark.low), canvas.across(mark.high)]
            canvas.line(ends[-2], y, ends[-1], y, style.colour)
        canvas.point(x, y, style, hollow=not mark.comparable)
        beside = max(ends) + 9
        canvas.text(beside, y, self.form(mark), size=11, room=WIDTH - beside)
        canvas.y += LANE

    def _ends(self) -> tuple[float, float]:
        """The ends of the axis: a little beyond all values and intervals; below 0 only if one of them is."""
        marks = [mark for strip in self.strips for mark in strip.marks]
        values = [x for m in marks for x in (m.value, m.low, m.high, self.origin) if x is not None]
        low, high = min(values), max(values)
        air = 0.04 * (high - low) or max(1.0, 0.1 * abs(high))
        return (max(0.0, low - air) if low >= 0 else low - air), high + air

    @property
    def caption(self) -> str:
        """The meaning of the signs that occur."""
        marks = [mark for strip in self.strips for mark in strip.marks]
        parts = []
        if any(mark.low is not None for mark in marks):
            parts.append("Lines are 95 % intervals.")
        if any(mark.printed for mark in marks):
            parts.append("Lettered discs are printed figures.")
        if any(mark.printed and not mark.comparable for mark in marks):
            parts.append("Hollow discs have other protocols than the runs and are not comparable with them.")
        if any(not mark.printed and not mark.comparable for mark in marks):
            parts.append(
                "Hollow marks of runs have other samples or another protocol than the first run of their row."
            )
        return " ".join(parts)

    @property
    def summary(self) -> str:
        """The first figures as a text, for readers who cannot see the chart."""
        strips = [strip for strip in self.strips if any(not mark.printed for mark in strip.marks)]
        figures = [f"{strip.label}: {self._figures(strip.marks)}" for strip in strips[:8]]
        rest = f" {len(strips) - 8} more." if len(strips) > 8 else ""
        return "; ".join(figures) + "." + rest

    def _figures(self, marks: Sequence[Mark]) -> str:
        return several([f"{shown(m.column, 24)} {self.form(m)}" for m in marks if not m.printed])


def _lane(lanes: list[float], x: float) -> int:
    """The first lane that has room at pixel `x`. `lanes`: the last position that is used in each."""
    for i, last in enumerate(lanes):
        if x - last >= DISCS:
            lanes[i] = x
            return i
    lanes.append(x)
    return len(lanes) - 1
