"""Charts with a vertical axis: its levels, the unit and the legend above it, and names beside points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from evalkit.report.charts.canvas import WIDTH, Canvas, Scale
from evalkit.report.charts.style import Style
from evalkit.report.charts.texts import pixels, shown

HEIGHT = 220
"""The default height between the axes, in pixels."""
NAME, SMALL = 22, 10
"""The number of letters of a name beside a point, and their size."""
_RIGHT = 20
"""The room right of the points, in pixels."""
_AIR = 0.14
"""The empty part above and below the values, which names need."""
_Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


def plane(
    identifier: str,
    ends: tuple[float, float],
    values: Iterable[float | None],
    *,
    height: float = HEIGHT,
    above: float = 0,
) -> tuple[Canvas, Scale]:
    """The canvas, with the levels of the values, and the vertical scale, whose pixels grow downwards.

    `ends`: the least and the greatest value of the horizontal axis. `values`: all that are drawn, and the
    ends of their intervals. The axis begins below 0 only if one of them is. `above`: pixels that are kept
    free above the highest value.
    """
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    air = _AIR * (high - low) or max(1.0, 0.1 * abs(low))
    down = Scale(max(0.0, low - air) if low >= 0 else low - air, high + air, height, above)
    levels = down.ticks()
    left = max(pixels(label, 11) for label in levels.values()) + 8
    canvas = Canvas(identifier, Scale(*ends, left, WIDTH - _RIGHT), y=height)
    canvas.levels(levels, down)
    return canvas, down


def headed(canvas: Canvas, unit: str, series: Sequence[Style]) -> None:
    """Writes the unit of the values above their axis, and the legend above that, after everything else."""
    canvas.top -= 22
    canvas.text(0, canvas.top + 8, unit, colour="muted")
    if series:
        canvas.legend(series)


def beside(
    names: Sequence[str], places: Sequence[tuple[float, float, float]], canvas: Canvas, height: float = HEIGHT
) -> Iterator[tuple[str, float, float]]:
    """Yields each name that has room above or below its point, with its middle.

    `places`: (x, top and bottom of the interval) of every point, in pixels. The last point is named first,
    and no name stands on a point, an interval or another name.
    """
    taken: list[_Box] = [(x - 5, top - 5, x + 5, bottom + 5) for x, top, bottom in places]
    for name, (left, top, right, bottom) in reversed(list(zip(names, list(taken), strict=True))):
        text = shown(name, NAME)
        half = pixels(text, SMALL) / 2
        x = min(max((left + right) / 2, canvas.across.start + half), WIDTH - half)
        for y in (top - 6, bottom + 6):
            box = (x - half, y - 6, x + half, y + 6)
            if box[1] >= 0 and box[3] <= height and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                yield text, x, y
                break


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
