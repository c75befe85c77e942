"""Draws costs: those of whole runs as bars, and each benchmark's figures over their costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.report.charts.canvas import Canvas, Chart
from evalkit.report.charts.marks import Mark, Strip, directed, named
from evalkit.report.charts.plane import SMALL, beside, headed, plane
from evalkit.report.charts.strips import StripChart
from evalkit.report.charts.style import styles
from evalkit.report.charts.texts import several, shown
from evalkit.report.costs import PER, compared, money
from evalkit.report.digits import with_interval

if TYPE_CHECKING:
    from evalkit.report.costs import Costs, NamedCost

CHARTS = 8
"""The highest number of benchmarks that are drawn; the tables have all."""


def cost_charts(found: Costs, names: Sequence[str]) -> Iterator[Chart]:
    """Yields the cost of each run, and a chart for each benchmark that two or more runs have costs of."""
    if found.whole:
        marks = tuple(Mark(name, found.whole[name]) for name in names if name in found.whole)
        drawn = StripChart(
            [Strip("Cost", "", "", "", True, marks)],
            names,
            f"cost, in {found.currency}",
            origin=0.0,
            form=lambda mark: money(mark.value),
        )
        yield drawn.chart("chart-cost", "Cost per run", drawn.summary, shown(found.source, 600))
    drawable = compared(found)
    rest = several([named(picture[0].run.cell) for picture in drawable[CHARTS:]], 5)
    for number, picture in enumerate(drawable[:CHARTS], 1):
        cell = picture[0].run.cell
        there = {one.run.name for one in picture}
        left = several([name for name in names if name not in there], 5)
        words = (
            "Vertical lines are 95 % intervals; the cheapest runs are at the left, on a logarithmic axis.",
            shown(found.source, 600),
            f"Not drawn, because not comparable or of unknown cost: {left}." if left else "",
            f"Further benchmarks, which are not drawn: {rest}." if rest and number == CHARTS else "",
        )
        title = directed(f"{named(cell)} and cost", cell.traits.best, higher_is_better=cell.higher_is_better)
        yield _drawn(picture, found.currency, names, f"chart-cost-{number}").chart(
            title, f"{'; '.join(map(_words, picture[:8]))}.", " ".join(filter(None, words))
        )


def _drawn(picture: Sequence[NamedCost], currency: str, names: Sequence[str], identifier: str) -> Canvas:
    powers = [math.log10(one.each) for one in picture]
    air = 0.08 * (max(powers) - min(powers)) or 0.2
    spreads = [[x for x in (one.run.cell.value, one.run.cell.low, one.run.cell.high) if x is not None]
               for one in picture]  # fmt: skip
    canvas, down = plane(
        identifier, (min(powers) - air, max(powers) + air), [x for spread in spreads for x in spread]
    )
    series, places = styles(names), []
    for one, power, spread in zip(picture, powers, spreads, strict=True):
        style, x = series[one.run.name], canvas.across(power)
        if len(spread) > 1:
            canvas.line(x, down(min(spread)), x, down(max(spread)), style.colour, 2, 0.6)
        canvas.point(x, down(spread[0]), style, told=_words(one))
        places.append((x, down(max(spread)), down(min(spread))))
    for text, x, y in beside([one.run.name for one in picture], places, canvas):
        canvas.text(x, y, text, colour="muted", anchor="middle", size=SMALL)
    canvas.axis(f"cost of {PER:,} samples, in {currency}", _ticks(canvas.across.low, canvas.across.high))
    headed(canvas, picture[0].run.cell.unit, [series[one.run.name] for one in picture])
    return canvas


def _ticks(low: float, high: float) -> dict[float, str]:
    """Round amounts by their logarithms: powers of ten, with 2 and 5 between them if these are few."""
    for steps in ((1, 2, 5), (1, 3), (1,)):
        amounts = [
            times * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for times in steps
        ]
        found = {math.log10(amount): f"{amount:,.10g}" for amount in amounts}
        found = {place: label for place, label in found.items() if low <= place <= high}
        if len(found) <= 6:
            break
    return found


def _words(one: NamedCost) -> str:
    """`openai/gpt-4o: 54.2 (50.1–58.3) for 1.25`."""
    cell = one.run.cell
    text = with_interval(cell.value, cell.low, cell.high, cell.measured.decimals)
    return f"{shown(one.run.name)}: {text} for {money(one.each)}"
