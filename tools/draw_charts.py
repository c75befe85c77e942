"""Draws charts of invented figures, with ChartQA's columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tools.drawing import COLOURS, GREY, Page, gif, jpeg, palette_png, png, webp

Record = dict[str, Any]
Named = tuple[str, Sequence[float]]
WIDTH, HEIGHT = 460, 320
LEFT, TOP, RIGHT, BOTTOM = 56, 58, 440, 270


def _frame(title: str, ticks: Sequence[float], unit: str = "") -> Page:
    """Draws the title, the axes and a line at each tick; the ticks start at zero."""
    page = Page(WIDTH, HEIGHT)
    page.text(WIDTH / 2, 24, title, 18, anchor="mm", bold=True)
    for tick in ticks:
        y = _height(tick, ticks)
        page.line([(LEFT, y), (RIGHT, y)], "#dfe3e8" if tick else GREY)
        page.text(LEFT - 8, y, f"{tick:g}{unit}", 12, GREY, "rm")
    return page


def _height(value: float, ticks: Sequence[float]) -> float:
    return BOTTOM - (BOTTOM - TOP) * value / ticks[-1]


def _key(page: Page, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        x = LEFT + 120 * number
        page.box(x, 300, 12, 12, COLOURS[number])
        page.text(x + 18, 306, name, 12, anchor="lm")


def bars(
    title: str, names: Sequence[str], series: Sequence[Named], ticks: Sequence[float], figures: bool = True
) -> Page:
    """Draws vertical bars; several series are side by side."""
    page = _frame(title, ticks)
    step = (RIGHT - LEFT) / len(names)
    wide = step * 0.7 / len(series)
    for place, name in enumerate(names):
        start = LEFT + step * (place + 0.15)
        page.text(start + step * 0.35, BOTTOM + 14, name, 12, anchor="mm")
        for number, (_, values) in enumerate(series):
            y = _height(values[place], ticks)
            page.box(start + wide * number, y, wide - 2, BOTTOM - y, COLOURS[number])
            if figures:
                page.text(start + wide * (number + 0.5) - 1, y - 8, f"{values[place]:g}", 12, anchor="mm")
    if len(series) > 1:
        _key(page, [name for name, _ in series])
    return page


def lines(title: str, names: Sequence[str], series: Sequence[Named], ticks: Sequence[float]) -> Page:
    page = _frame(title, ticks)
    step = (RIGHT - LEFT - 40) / (len(names) - 1)
    for place, name in enumerate(names):
        page.text(LEFT + 20 + step * place, BOTTOM + 14, name, 12, anchor="mm")
    for number, (_, values) in enumerate(series):
        points = [(LEFT + 20 + step * place, _height(value, ticks)) for place, value in enumerate(values)]
        page.line(points, COLOURS[number], 3)
        for (x, y), value in zip(points, values, strict=True):
            page.disc(x, y, 4, COLOURS[number])
            page.text(x, y - 12, f"{value:g}", 11, anchor="mm")
    _key(page, [name for name, _ in series])
    return page


def pie(title: str, parts: Sequence[tuple[str, float]]) -> Page:
    """Draws a pie chart. The parts are percentages that add up to 100."""
    page = Page(WIDTH, HEIGHT)
    page.text(WIDTH / 2, 24, title, 18, anchor="mm", bold=True)
    start = 0.0
    for number, (name, share) in enumerate(parts):
        page.slice(150, 180, 112, start, start + 3.6 * share, COLOURS[number])
        start += 3.6 * share
        y = 96 + 40 * number
        page.box(296, y - 8, 16, 16, COLOURS[number])
        page.text(322, y, f"{name}  {share:g}%", 15, anchor="lm")
    return page


def lying_bars(title: str, named: Sequence[tuple[str, float]], most: float) -> Page:
    page = Page(WIDTH, HEIGHT)
    page.text(WIDTH / 2, 24, title, 18, anchor="mm", bold=True)
    step = 250 / len(named)
    for number, (name, value) in enumerate(named):
        y = 50 + step * number
        page.text(122, y + step / 2, name, 14, anchor="rm")
        page.box(130, y + 6, 280 * value / most, step - 12, COLOURS[4])
        page.text(136 + 280 * value / most, y + step / 2, f"{value:g}", 14, anchor="lm")
    return page


def charts() -> dict[str, list[Record]]:
    drawn = [
        png(bars("Visitors of the museum, thousands", ["2014", "2015", "2016", "2017", "2018"],
                 [("Visitors", [32, 41, 38, 55, 60])], [0, 20, 40, 60, 80]).done()),
        jpeg(bars("Books lent by branch", ["North", "South", "East"],
                  [("Novels", [420, 310, 280]), ("Comics", [150, 240, 200])], [0, 150, 300, 450]).done()),
        palette_png(lines("Mean temperature, °C", ["Jan", "Mar", "May", "Jul", "Sep", "Nov"],
                          [("Arvik", [2, 6, 13, 19, 15, 7]), ("Sollas", [9, 12, 17, 24, 21, 14])],
                          [0, 10, 20, 30]).done()),
        gif(pie("How pupils come to school",
                [("Bus", 40), ("On foot", 25), ("Bicycle", 20), ("Car", 10), ("Train", 5)]).done()),
        webp(lying_bars("Length of rivers in Torland, km",
                        [("Ash", 212), ("Birle", 348), ("Cam", 96), ("Doune", 174)], 360).done()),
        png(bars("Rain by week, mm", ["1", "2", "3", "4"], [("Rain", [12, 30, 24, 6])],
                 [0, 10, 20, 30, 40], figures=False).done()),
    ]  # fmt: skip
    asked = [
        (0, "human", "In which year did the museum have the most visitors?", "2018"),
        (0, "human", "By how many thousands did visitors fall from 2015 to 2016?", "3"),
        (0, "augmented", "How many thousand visitors did the museum have in 2017?", "55"),
        (1, "human", "What is the sum of comics lent by all branches?", "590"),
        (1, "augmented", "How many novels did the South branch lend?", "310"),
        (2, "human", "Is Sollas always warmer than Arvik?", "Yes"),
        (2, "augmented", "What was the mean temperature in Arvik in July?", "19"),
        (3, "human", "What is the colour of the smallest slice?", "purple"),
        (3, "augmented", "What percentage of pupils come by bicycle?", "20"),
        (4, "augmented", "How long is the river Birle, in km?", "348"),
        (4, "human", "How many rivers are longer than 200 km?", "2"),
        (5, "human", "In which week did it rain twice as much as in week 1?", "3"),
    ]
    return {
        "test": [
            {"type": f"{kind}_test", "question": question, "answer": answer, "image": drawn[place]}
            for place, kind, question, answer in asked
        ]
    }
