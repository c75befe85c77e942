"""Draws reliability diagrams: accuracy against confidence, a curve for each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.report.charts.canvas import WIDTH, Canvas, Chart, Scale
from evalkit.report.charts.marks import pictures
from evalkit.report.charts.plane import headed
from evalkit.report.charts.style import styles
from evalkit.report.charts.texts import pixels, shown

if TYPE_CHECKING:
    from evalkit.report.calibration import NamedReliability

HEIGHT = 260
"""The height of the curves, in pixels."""
_SHARES = {share / 100: f"{share} %" for share in range(0, 101, 20)}


def calibration_charts(found: Sequence[NamedReliability], names: Sequence[str]) -> Iterator[Chart]:
    """Yields a diagram for each benchmark, with all runs that are comparable with each other."""
    for number, picture in enumerate(pictures(found, lambda one: one.name, lambda one: one.run), 1):
        errors = [f"{shown(one.run.name)} {100 * one.found.error:.1f} %" for one in picture[:8]]
        yield _drawn(picture, names, f"chart-calibration-{number}").chart(
            f"{shown(picture[0].name, 60)}: accuracy by confidence",
            f"Expected calibration error: {'; '.join(errors)}.",
            "Confidence is the probability of the chosen letter among the letters of the choices. On the "
            "diagonal a model is as often right as it says. Lines are 95 % intervals. Expected calibration "
            f"error over ten bins of equal width (Guo et al. 2017): {'; '.join(errors)}.",
        )


def _drawn(picture: Sequence[NamedReliability], names: Sequence[str], identifier: str) -> Canvas:
    down = Scale(0, 1, HEIGHT, 0)
    left = max(pixels(label, 11) for label in _SHARES.values()) + 8
    canvas = Canvas(identifier, Scale(0, 1, left, WIDTH - 24), y=HEIGHT)
    canvas.levels(_SHARES, down)
    canvas.line(canvas.across(0), down(0), canvas.across(1), down(1), "muted", 1.5, 0.8)
    series = styles(names)
    for one in picture:
        style = series[one.run.name]
        points = [(canvas.across(part.confidence), down(part.accuracy)) for part in one.found.bins]
        for part, (x, _) in zip(one.found.bins, points, strict=True):
            canvas.line(x, down(part.low), x, down(part.high), style.colour, 2, 0.6)
        canvas.curve(points, style.colour)
        for x, y in points:
            canvas.point(x, y, style, 4)
    canvas.axis("confidence", _SHARES)
    used = {one.run.name for one in picture}
    headed(canvas, "accuracy", [series[name] for name in names if name in used])
    return canvas
