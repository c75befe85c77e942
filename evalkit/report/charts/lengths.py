"""Draws figures by the length of prompts: a point with its interval for each part, a line for each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.report.charts.canvas import Canvas, Chart
from evalkit.report.charts.marks import directed, named, pictures
from evalkit.report.charts.plane import SMALL, headed, plane
from evalkit.report.charts.style import styles
from evalkit.report.charts.texts import several, shown
from evalkit.report.digits import with_interval

if TYPE_CHECKING:
    from evalkit.report.lengths import NamedLengths, Part

CHARTS = 8
"""The highest number of charts; the tables have all figures."""
_APART = 6
"""The pixels between two runs in a part, so that their intervals do not cover each other."""


def length_charts(found: Sequence[NamedLengths], names: Sequence[str]) -> Iterator[Chart]:
    """Yields a chart for each benchmark, with all runs that are comparable with each other."""
    drawn = pictures(found, lambda one: one.run.cell.row, lambda one: one.run)
    rest = several([named(picture[0].run.cell) for picture in drawn[CHARTS:]], 5)
    for number, picture in enumerate(drawn[:CHARTS], 1):
        cell = picture[0].run.cell
        words = (
            f"Parts with equal numbers of samples by length, in {shown(picture[0].counts, 90)}.",
            "Vertical lines are 95 % intervals. n: samples of the first run.",
            f"Not drawn: {rest}." if rest and number == CHARTS else "",
        )
        title = directed(f"{named(cell)} by length", cell.traits.best, higher_is_better=cell.higher_is_better)
        yield _drawn(picture, names, f"chart-length-{number}").chart(
            title, " ".join(map(_summary, picture[:8])), " ".join(filter(None, words))
        )


def _drawn(picture: Sequence[NamedLengths], names: Sequence[str], identifier: str) -> Canvas:
    parts = picture[0].parts
    values = [
        x
        for one in picture
        for part in one.parts
        if part.figure
        for x in (part.figure.value, part.figure.low, part.figure.high)
    ]
    canvas, down = plane(identifier, (0, len(parts)), values, above=14)
    series = styles(names)
    for at, one in enumerate(picture):
        style, points = series[one.run.name], []
        for i, part in enumerate(one.parts):
            if (figure := part.figure) is None:
                continue
            x = canvas.across(i + 0.5) + _APART * (at - (len(picture) - 1) / 2)
            if figure.low is not None and figure.high is not None:
                canvas.line(x, down(figure.low), x, down(figure.high), style.colour, 2, 0.6)
            points.append((x, down(figure.value), _words(one, part)))
        canvas.curve([(x, y) for x, y, _ in points], style.colour)
        for x, y, words in points:
            canvas.point(x, y, style, told=words)
    for i, part in enumerate(parts):
        counted = f"n {part.figure.n:,}" if part.figure else "n 0"
        canvas.text(canvas.across(i + 0.5), 6, counted, colour="muted", anchor="middle", size=SMALL)
    edges = [*(part.least for part in parts), parts[-1].most]
    canvas.axis(picture[0].counts, {i: f"{edge:,}" for i, edge in enumerate(edges)})
    headed(canvas, picture[0].run.cell.unit, [series[one.run.name] for one in picture])
    return canvas


def _words(one: NamedLengths, part: Part) -> str:
    """`fake/model, 12–40: 54.2 (50.1–58.3), n 40`."""
    assert part.figure is not None
    least = one.run.cell.measured.decimals
    text = with_interval(part.figure.value, part.figure.low, part.figure.high, least)
    return f"{shown(one.run.name)}, {part.words}: {text}, n {part.figure.n:,}"


def _summary(one: NamedLengths) -> str:
    """The figures of the shortest and the longest part, for readers who cannot see the chart."""
    there = [part for part in one.parts if part.figure]
    return f"{_words(one, there[0])} to {_words(one, there[-1])}."
