"""Draws the figures of a benchmark over checkpoints or over time: one line for each model, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from evalkit.errors import counted
from evalkit.report.charts.canvas import Canvas, Chart, Scale
from evalkit.report.charts.marks import directed, named
from evalkit.report.charts.plane import SMALL, beside, headed, plane
from evalkit.report.charts.style import Style, styles
from evalkit.report.charts.texts import pixels, several, shown
from evalkit.report.digits import with_interval

if TYPE_CHECKING:
    from evalkit.report.checkpoints import Progress

CHARTS = 12
"""The highest number of benchmarks that are drawn."""
_HOUR, _DAY = 3600, 86400
_SPANS = tuple(
    [1, 5, 15]
    + [60 * n for n in (1, 5, 15)]
    + [_HOUR * n for n in (1, 2, 6, 12)]
    + [_DAY * n for n in (1, 2, 7, 14, 28, 91, 182, 365, 730, 1825, 3650)]
)
"""The seconds between two ticks of a time."""


@dataclass(frozen=True, slots=True)
class Point:
    """A figure of a run at a checkpoint or at a time.

    `label`: the name of the run. `at`: its step, or a time with a time zone; all points of a chart have the
    same kind. `low`, `high`: the 95 % interval, None if there is none. `series`: the model, whose points are
    joined by a line. `signature`: what was measured; points with different ones are never joined.
    """

    label: str
    at: float | datetime
    value: float
    low: float | None = None
    high: float | None = None
    series: str = ""
    signature: str = ""

    @property
    def x(self) -> float:
        """The step, or the seconds since 1970."""
        return self.at.timestamp() if isinstance(self.at, datetime) else float(self.at)

    @property
    def spread(self) -> list[float]:
        """The value and the ends of its interval."""
        return [x for x in (self.value, self.low, self.high) if x is not None]

    @property
    def words(self) -> str:
        """`step-1000 54.2 (50.1–58.3)`."""
        return f"{shown(self.label)} {with_interval(self.value, self.low, self.high)}"


def progress_charts(found: Sequence[Progress]) -> Iterator[Chart]:
    """Yields a chart for each benchmark, at most `CHARTS`; the last one names those left out."""
    rest = several([named(one.cell) for one in found[CHARTS:]], 5)
    for number, one in enumerate(found[:CHARTS], 1):
        cell = one.cell
        words = (
            f"No checkpoints, and not drawn: {several(one.others, 5)}." if one.others else "",
            f"Further benchmarks, which are not drawn: {rest}." if rest and number == CHARTS else "",
        )
        title = f"{named(cell)} by checkpoint"
        yield progress_chart(
            one.points,
            f"chart-progress-{number}",
            directed(title, cell.traits.best, higher_is_better=cell.higher_is_better),
            unit=cell.unit,
            axis=one.counts,
            more=" ".join(filter(None, words)),
        )


def progress_chart(
    points: Sequence[Point], identifier: str, title: str, *, unit: str, axis: str = "", more: str = ""
) -> Chart:
    """The chart of one benchmark. `points`: at least one, in any order.

    `axis`: what `at` is, such as "training step"; for times it is "date (UTC)" if it is left out. `unit`: of
    the values. `more`: a sentence at the end of the caption. Marks whose signature is not that of most points
    are hollow, and not on the others' line.
    """
    points = sorted(points, key=lambda point: point.x)
    main = usual(points)
    first, last = points[0].x, points[-1].x
    timed = isinstance(points[0].at, datetime)
    air = 0.04 * (last - first) or (_DAY / 2 if timed else max(1.0, 0.1 * abs(first)))
    values = [value for point in points for value in point.spread]
    canvas, down = plane(identifier, (first - air, last + air), values)
    names = list(dict.fromkeys(point.series for point in points))
    series = styles(names)
    for line in lines(points):
        style = series[line[0].series]
        places = [(canvas.across(point.x), down(point.value)) for point in line]
        canvas.curve(places, style.colour)
        for point, place in zip(line, places, strict=True):
            _mark(canvas, down, point, place, style, hollow=point.signature != main)
    steps = _steps(points, canvas.across)
    if not steps:
        ends = [
            (canvas.across(point.x), down(max(point.spread)), down(min(point.spread))) for point in points
        ]
        for text, x, y in beside([point.label for point in points], ends, canvas):
            canvas.text(x, y, text, colour="muted", anchor="middle", size=SMALL)
    ticks = steps or (_dates(canvas.across) if timed else canvas.across.ticks())
    canvas.axis(axis or ("date (UTC)" if timed else ""), ticks)
    headed(canvas, unit, [series[name] for name in names] if any(names) else [])
    return canvas.chart(title, _summary(points), _caption(points, main, more))


def usual(points: Iterable[Point]) -> str:
    """The signature that most points have; of two that as many have, the one that comes first."""
    counts: dict[str, int] = {}
    for point in points:
        counts[point.signature] = counts.get(point.signature, 0) + 1
    return max(counts, key=lambda signature: counts[signature])


def lines(points: Iterable[Point]) -> list[list[Point]]:
    """The points that are joined: those of one series and one signature, in their order."""
    found: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        found.setdefault((point.series, point.signature), []).append(point)
    return list(found.values())


def _mark(
    canvas: Canvas, down: Scale, point: Point, place: tuple[float, float], style: Style, *, hollow: bool
) -> None:
    x, y = place
    if point.low is not None and point.high is not None:
        canvas.line(x, down(point.low), x, down(point.high), style.colour, 2, 0.6)
    canvas.point(x, y, style, hollow=hollow, told=point.words)


def _steps(points: Sequence[Point], across: Scale) -> Mapping[float, str]:
    """A tick for each step, if all labels have room; else nothing."""
    places = list(dict.fromkeys(point.x for point in points))
    if isinstance(points[0].at, datetime):
        return {}
    found = {x: _step_text(x) for x in places}
    ends = [(across(x) - pixels(text, 11) / 2, across(x) + pixels(text, 11) / 2) for x, text in found.items()]
    return found if all(right + 6 <= left for (_, right), (left, _) in pairwise(ends)) else {}


def _step_text(step: float) -> str:
    """`300 k`, `1.5 M`, `750`."""
    for size, letter in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if step >= size:
            return f"{step / size:.6g}{letter}"
    return f"{step:.6g}"


def _dates(across: Scale) -> dict[float, str]:
    """Round dates, or times of a day, as many as there is room for."""
    for span in _SPANS:
        first = -(-across.low // span)
        count = int(across.high // span - first) + 1
        form = "%H:%M:%S" if span < 60 else "%m-%d %H:%M" if span < _DAY else "%Y-%m-%d"
        if count * (pixels("2026-00-00", 11) + 10) <= across.end - across.start:
            break
    ticks = ((first + i) * span for i in range(count))
    return {tick: datetime.fromtimestamp(tick, UTC).strftime(form) for tick in ticks}


def _summary(points: Sequence[Point]) -> str:
    """The first and the last figure of each line, for readers who cannot see the chart."""
    found = [
        f"{f'{shown(line[0].series)}: ' if line[0].series else ''}{counted(len(line), 'point')}, "
        + " to ".join(dict.fromkeys((line[0].words, line[-1].words)))
        for line in lines(points)
    ]  # fmt: skip
    return "; ".join(found[:8]) + ("." if len(found) <= 8 else f"; {len(found) - 8} more.")


def _caption(points: Sequence[Point], main: str, more: str) -> str:
    words = []
    if any(point.low is not None for point in points):
        words.append("Vertical lines are 95 % intervals.")
    others = [point.label for point in points if point.signature != main]
    if others:
        words.append(
            "Hollow marks have other samples or another protocol, and are on no line of the others: "
            f"{several(list(dict.fromkeys(others)), 5)}."
        )
    return " ".join(filter(None, (*words, more)))
