"""Draws the course of a log-loss over positions: a curve for each run, with the band of its intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.report.charts.canvas import Canvas, Chart, Scale
from evalkit.report.charts.marks import pictures
from evalkit.report.charts.plane import headed, plane
from evalkit.report.charts.style import styles
from evalkit.report.charts.texts import pixels, shown

if TYPE_CHECKING:
    from evalkit.report.courses import NamedCourse
    from evalkit.stats.by_position import Octave

HEIGHT = 260
"""The height of the curves, in pixels."""
_Point = tuple[float, float]


def course_charts(found: Sequence[NamedCourse], names: Sequence[str]) -> Iterator[Chart]:
    """Yields a chart for each benchmark and metric, with all runs that are comparable with each other."""
    of_metric = pictures(
        found, lambda one: (one.cell.task, one.cell.protocol, one.cell.metric), lambda one: one.run
    )
    for number, picture in enumerate(of_metric, 1):
        cell = picture[0].cell
        yield _drawn(picture, names, f"chart-course-{number}").chart(
            f"{shown(f'{cell.task}:{cell.protocol}', 60)}: {cell.metric} by position in {cell.counted}",
            " ".join(map(_summary, picture[:8])),
            _caption(picture),
        )


def _summary(one: NamedCourse) -> str:
    """The first and the last mean of a run as a sentence, for readers who cannot see the chart."""
    first, last = one.course.octaves[0], one.course.octaves[-1]
    return (
        f"{shown(one.run.name)}: {first.mean.value:.3f} {one.cell.unit} at position {first.first:,}, "
        f"{last.mean.value:.3f} from {last.first:,} on."
    )


def _caption(picture: Sequence[NamedCourse]) -> str:
    cell = picture[0].cell
    laws = [f"{shown(one.run.name)}: {one.law}" for one in picture]
    words = [
        f"Mean over the {cell.counted} of each octave of positions, counted from the beginning of a request.",
        "Bands are 95 % intervals over documents.",
        f"Asked: {picture[0].asked}." if picture[0].asked else "",
        *laws[:8],
    ]
    return " ".join(filter(None, words))


def _drawn(picture: Sequence[NamedCourse], names: Sequence[str], identifier: str) -> Canvas:
    octaves = [octave for one in picture for octave in one.course.octaves]
    ends = [x for octave in octaves for x in (octave.mean.value, octave.mean.low, octave.mean.high)]
    places = [math.log2(octave.middle) for octave in octaves]
    sides = min(places) - 0.2, max(max(places), min(places) + 1) + 0.2
    canvas, down = plane(identifier, sides, ends, height=HEIGHT)
    across = canvas.across
    series = styles(names)
    for one in picture:
        style, mine = series[one.run.name], one.course.octaves
        xs = [across(math.log2(octave.middle)) for octave in mine]
        for band in _bands(xs, mine, down):
            if len(band) == 2:  # of a single octave, which has no area
                canvas.line(*band[0], *band[1], style.colour, 6, 0.18)
            else:
                canvas.band(band, style.colour)
        points = [(x, down(octave.mean.value)) for x, octave in zip(xs, mine, strict=True)]
        canvas.curve(points, style.colour)
        for x, y in points:
            canvas.point(x, y, style, 3)
    cell = picture[0].cell
    canvas.axis(f"position in {cell.counted}", _ticks(across))
    used = {one.run.name for one in picture}
    headed(canvas, f"{cell.unit} per {cell.counted[:-1]}", [series[name] for name in names if name in used])
    return canvas


def _bands(xs: Sequence[float], octaves: Sequence[Octave], down: Scale) -> Iterator[list[_Point]]:
    """Yields the outline of each run of octaves that have intervals."""
    lows, highs = list[_Point](), list[_Point]()
    for x, octave in zip(xs, octaves, strict=True):
        if octave.mean.low is not None and octave.mean.high is not None:
            lows.append((x, down(octave.mean.low)))
            highs.append((x, down(octave.mean.high)))
        elif lows:
            yield [*lows, *reversed(highs)]
            lows, highs = [], []
    if lows:
        yield [*lows, *reversed(highs)]


def _ticks(across: Scale) -> dict[float, str]:
    """Powers of two with their labels, as many as there is room for."""
    for step in range(1, 8):
        powers = range(0, math.floor(across.high) + 1, step)
        ticks = {float(power): _label(2**power) for power in powers if power >= across.low}
        apart = step * (across.end - across.start) / (across.high - across.low)
        if all(pixels(label, 11) + 6 <= apart for label in ticks.values()):
            break
    return ticks


def _label(position: int) -> str:
    for size, letter in ((1 << 20, "M"), (1 << 10, "k")):
        if position >= size:
            return f"{position // size}{letter}"
    return str(position)
