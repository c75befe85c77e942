"""Draws the history of benchmarks: the figures of one signature over time, a line for each model."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.report.charts.canvas import Chart
from evalkit.report.charts.marks import directed
from evalkit.report.charts.progress import CHARTS, Point, progress_chart
from evalkit.report.charts.texts import shown
from evalkit.site.history import Line

_MODELS = 8
"""The most models in a chart: those with the newest runs."""


def history_charts(lines: Sequence[Line], first: int = 1) -> list[Chart]:
    """The charts of the lines that have figures of different times, those with the newest runs first.

    `first`: the number of the first one in its page.
    """
    newest = sorted(lines, key=lambda line: line.points[-1].run.began, reverse=True)
    drawn = [
        (line, points)
        for line, points in zip(newest, map(_points, newest), strict=True)
        if _over_time(points)
    ]
    return [_chart(number, *one) for number, one in enumerate(drawn[:CHARTS], first)]


def _over_time(points: Sequence[Point]) -> bool:
    return len({point.at for point in points}) > 1


def _points(line: Line) -> list[Point]:
    return [
        Point(
            label=shown(one.run.file),
            at=one.run.began,
            value=figure.value,
            low=figure.low,
            high=figure.high,
            series=one.run.contents.model,
            signature=one.headline.signature,
        )
        for one in line.points
        if one.run.contents.started and (figure := one.headline.figure) and figure.value is not None
    ]


def _chart(number: int, line: Line, points: Sequence[Point]) -> Chart:
    last = line.last
    models = list(dict.fromkeys(point.series for point in reversed(points)))
    kept = [point for point in points if point.series in models[:_MODELS]]
    more = f"{len(models) - _MODELS} further models are not drawn." if len(models) > _MODELS else ""
    title = f"{shown(f'{last.name}: {last.metric}', 60)}, sig {last.signature}"
    return progress_chart(
        kept,
        f"chart-history-{number}",
        directed(title, last.best, higher_is_better=last.higher_is_better),
        unit=last.unit,
        more=more,
    )
