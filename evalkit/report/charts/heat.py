"""Draws heat maps: figures by two keys, such as the length of a context and the place of a fact in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.report.charts.canvas import WIDTH, Canvas, Chart, Scale
from evalkit.report.charts.marks import NamedCell, named
from evalkit.report.charts.texts import pixels, several, shown
from evalkit.report.digits import figure_text, interval_text

if TYPE_CHECKING:
    from evalkit.runfile.heat import Group, Heat

CHARTS = 12
"""The highest number of heat maps that are drawn; the tables have all of them."""
MOST = 60
"""The highest number of rows, and of columns, of a heat map that is drawn."""
LABELS = 110
"""The greatest width of the names of rows, in pixels."""
NAME = 14
"""The number of letters of a column's name that are shown."""
HEIGHT, SIZE, LEAST = 26, 12, 9
"""The height of a row, and the size of the numbers in it: the usual one and the smallest, in pixels."""
STEPS = 5
"""The number of colours in the key below the chart."""


def heat_charts(runs: Sequence[NamedCell]) -> Iterator[Chart]:
    """Yields a heat map per run and metric, at most `CHARTS`; the last one names those left out."""
    found = [
        (run, heat)
        for run in runs
        if not run.cell.variant and (heat := run.cell.heat) and max(len(heat.rows), len(heat.columns)) <= MOST
    ]
    rest = [f"{named(run.cell)}, {shown(run.name)}" for run, _ in found[CHARTS:]]
    for number, (run, heat) in enumerate(found[:CHARTS], 1):
        last = f" Not drawn: {several(rest, 5)}." if rest and number == CHARTS else ""
        yield _chart(run, heat, f"chart-heat-{number}", last)


def _chart(run: NamedCell, heat: Heat, identifier: str, more: str) -> Chart:
    cell = run.cell
    left = min(LABELS, max(pixels(shown(row), 11) for row in heat.rows) + 8)
    wide = (WIDTH - left) / len(heat.columns)
    scale = _scale(heat, cell.unit)
    numbers = {
        key: figure_text(one.value, one.low, one.high, cell.measured.decimals)
        for key, one in heat.figures.items()
    }
    size = _size(list(numbers.values()), wide)
    canvas = Canvas(identifier, Scale(0, len(heat.columns), left, WIDTH))
    canvas.text(0, 8, f"→ {heat.keys.columns}", colour="muted", size=11)
    canvas.text(0, 23, f"↓ {heat.keys.rows}", colour="muted", size=11)
    canvas.y = 34
    _names(canvas, [shown(column, NAME) for column in heat.columns], wide)
    for row in heat.rows:
        middle = canvas.y + HEIGHT / 2
        canvas.text(left - 8, middle, row, anchor="end", size=11, room=left - 8)
        for i, column in enumerate(heat.columns):
            group = heat.figures.get((row, column))
            x, where = canvas.across(i), f"{shown(row)}, {shown(column)}"
            share = None if group is None else (group.value - scale[0]) / (scale[1] - scale[0])
            canvas.field(
                x, canvas.y, wide, HEIGHT, share, _told(where, group, cell.unit, cell.measured.decimals)
            )
            if size or group is None:
                text = numbers.get((row, column), "—")
                canvas.text(x + wide / 2, middle, text, anchor="middle", size=size or LEAST)
        canvas.y += HEIGHT
    _key(canvas, scale, cell.unit, left)
    values = "" if size else " The fields have no room for the figures."
    return canvas.chart(
        f"{named(cell)}: {shown(run.name)}",
        f"{shown(heat.keys.rows)} by {shown(heat.keys.columns)}: {_extremes(heat, numbers)} "
        "A table in the breakdowns has all figures.",
        f"A stronger colour is a higher value. The table has the 95 % intervals.{values}{more}",
    )


def _scale(heat: Heat, unit: str) -> tuple[float, float]:
    """The values of the weakest and the strongest colour: 0 to 100 for per cent, else those that occur."""
    values = [one.value for one in heat.figures.values()]
    low, high = min(values), max(values)
    if unit == "%":
        return min(0.0, low), max(100.0, high)
    return (low, high) if high > low else (low - 1, high)


def _size(numbers: Sequence[str], wide: float) -> int:
    """The size at which all numbers fit into a field; 0 if there is none."""
    fitting = (
        size for size in range(SIZE, LEAST - 1, -1) if all(pixels(n, size) + 2 <= wide for n in numbers)
    )
    return next(fitting, 0)


def _names(canvas: Canvas, columns: Sequence[str], wide: float) -> None:
    """Draws the names of the columns, in several lines if they are wider than the columns."""
    widest = max(pixels(column, 11) for column in columns)
    inwards = max(0.0, widest - wide) / 2  # what the last name is moved by
    lines = 1 if widest + 4 <= wide else math.ceil((widest + inwards + 4) / wide)
    for i, column in enumerate(columns):
        x, half = canvas.across(i + 0.5), pixels(column, 11) / 2
        x = max(half, min(x, WIDTH - half))
        canvas.text(x, canvas.y + 7 + 13 * (i % lines), column, anchor="middle", size=11)
    canvas.y += 13 * min(lines, len(columns)) + 4


def _told(where: str, group: Group | None, unit: str, least: int) -> str:
    """The text that a pointer over a field shows."""
    if group is None:
        return f"{where}: no samples"
    value = figure_text(group.value, group.low, group.high, least)
    interval = interval_text(group.low, group.high, least)
    between = f" (95 % interval {interval})" if interval else ""
    return f"{where}: {value} {unit}".rstrip() + f"{between}, n {group.n:,}"


def _key(canvas: Canvas, scale: tuple[float, float], unit: str, left: float) -> None:
    """Draws the colours from weak to strong, with the values at both ends."""
    low, high = (f"{end:.3g} {unit}".rstrip() for end in scale)
    canvas.y += 8
    x = left + pixels(low, 11) + 6
    canvas.text(left, canvas.y + 6, low, colour="muted", size=11)
    for i in range(STEPS):
        canvas.field(x + 18 * i, canvas.y, 18, 12, i / (STEPS - 1))
    canvas.text(x + 18 * STEPS + 6, canvas.y + 6, high, colour="muted", size=11)
    canvas.y += 14


def _extremes(heat: Heat, numbers: dict[tuple[str, str], str]) -> str:
    keys = [(row, column) for row in heat.rows for column in heat.columns if (row, column) in numbers]
    lowest, highest = (end(keys, key=lambda key: heat.figures[key].value) for end in (min, max))
    return (
        f"from {numbers[lowest]} ({shown(', '.join(lowest))}) to {numbers[highest]} "
        f"({shown(', '.join(highest))})."
    )
