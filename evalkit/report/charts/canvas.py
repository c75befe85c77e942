"""Writes charts as SVG: rows from top to bottom, one axis from left to right, a legend above.

No name of a model can inject code: `element` escapes every text and attribute, texts lose their control
characters, and there are no links, styles or handlers. Colours are CSS custom properties, so that a chart
has the theme of its page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from evalkit.report.charts.style import PATTERNS, SHAPES, Style, paint
from evalkit.report.charts.texts import EM, pixels, shown

WIDTH = 406
"""The width of every chart, in pixels, so that all have the same letter size; a phone shrinks it by 10 %."""
TALL = 500
"""If the rows are higher than this, in pixels, the axis is at the top."""
FONTS = "Arial, Helvetica, 'Liberation Sans', Arimo, Roboto, sans-serif"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and its texts. All fields but `svg` are plain text, which the caller must escape.

    `id`: the chart's id in its page; ids inside `svg` begin with it. `svg`: one element, safe to inline, with
    CSS custom properties as colours (`style.CSS`). `alt`: a description for readers who cannot see the chart.
    """

    id: str
    title: str
    alt: str
    svg: str
    caption: str


def element(tag: str, inside: str = "", /, **attributes: str | float) -> str:
    """One element. `inside`: elements, or an escaped text. Numbers are rounded to two decimals."""
    words = [
        f'{key.rstrip("_").replace("_", "-")}="{escape(value) if isinstance(value, str) else _number(value)}"'
        for key, value in attributes.items()
    ]
    start = " ".join((tag, *words))
    return f"<{start}>{inside}</{tag}>" if inside else f"<{start}/>"


def _number(value: float) -> str:
    return f"{round(value, 2):.7g}"


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to pixels: `low` to `start`, `high` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 6) -> dict[float, str]:
        """Round values with their labels: about `most`, and fewer if there is no room for the labels."""
        rough = (self.high - self.low) / most
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(size * times for times in (1, 2, 5, 10) if size * times >= 0.7 * rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [step * i for i in range(first, last + 1)]
        found = {value: _label(value, step, max(map(abs, values))) for value in values}
        apart = step * abs(self.end - self.start) / (self.high - self.low)
        crowded = any(pixels(label, 11) + 6 > apart for label in found.values())
        return self.ticks(most - 1) if crowded and most > 2 else found


def _label(value: float, step: float, largest: float) -> str:
    for least, size, letter in ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if largest >= least:
            return f"{value / size:.6g}{letter}" if value else "0"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{digits}f}" if digits < 5 else f"{value:.6g}"


@dataclass
class Canvas:
    """A chart that is being drawn. Later marks cover earlier ones, and all cover the lines of the axis.

    Horizontal positions are the pixels that `across` gives for values; vertical ones are pixels below the top
    of the first row. Texts are cut to the width that is available.
    """

    id: str
    across: Scale
    y: float = 0.0
    """The top of the next row; the code that draws a row increases it."""
    top: float = 0.0
    """The top of the chart, above the rows."""
    _under: list[str] = field(default_factory=list)
    _marks: list[str] = field(default_factory=list)
    _patterns: dict[str, str] = field(default_factory=dict)

    def line(
        self, x: float, y: float, x2: float, y2: float, colour: str, width: float = 2, opacity: float = 1
    ) -> None:
        more = {"stroke_opacity": opacity} if opacity < 1 else {}
        self._marks.append(
            element("line", x1=x, y1=y, x2=x2, y2=y2, stroke=paint(colour), stroke_width=width, **more)
        )

    def levels(self, labels: Mapping[float, str], down: Scale) -> None:
        """A line for each level of a vertical scale, from side to side, with its label left of it."""
        left, right = self.across.start, self.across.end
        for value, label in labels.items():
            self.rule(left, down(value), right, down(value))
            self.text(left - 6, down(value), label, colour="muted", anchor="end", size=11)

    def curve(self, points: Iterable[tuple[float, float]], colour: str) -> None:
        self._marks.append(
            element("polyline", points=_points(points), fill="none", stroke=paint(colour), stroke_width=1.5)
        )

    def band(self, points: Iterable[tuple[float, float]], colour: str) -> None:
        """Fills the area inside `points` thinly, such as the intervals of a curve."""
        self._marks.append(element("polygon", points=_points(points), fill=paint(colour), fill_opacity=0.18))

    def bar(self, x: float, y: float, width: float, height: float, style: Style) -> None:
        self._marks.append(
            element(
                "rect", x=x, y=y, width=width, height=height, fill=self._fill(style), stroke=paint("paper")
            )
        )

    def field(
        self, x: float, y: float, width: float, height: float, share: float | None, told: str = ""
    ) -> None:
        """Draws a field of a heat map in a colour whose strength is `share`, 0 to 1; None leaves it empty.

        All strengths leave black, or in the dark theme white, letters in the field readable. `told`: what a
        pointer over the field shows.
        """
        fill, opacity = (paint("paper"), 1.0) if share is None else (paint("heat"), 0.04 + 0.96 * share)
        place = {"x": x, "y": y, "width": width, "height": height}
        self._marks.append(
            element("rect", _pointed(told), **place, fill=fill, fill_opacity=opacity, stroke=paint("line"))
        )

    def point(
        self, x: float, y: float, style: Style, radius: float = 4, *, hollow: bool = False, told: str = ""
    ) -> None:
        """Draws the shape of a series. `told`: what a pointer over it shows."""
        self._marks.append(_shape(x, y, radius, style.shape, self._fill(style), _pointed(told)))
        if hollow:
            self._marks.append(_shape(x, y, radius / 2, style.shape, paint("paper"), _pointed(told)))

    def ring(self, x: float, y: float, radius: float, colour: str, fill: str = "", width: float = 2) -> None:
        """Draws a circle, around or behind something; `fill` is a colour, or "" for none."""
        inner = paint(fill) if fill else "none"
        self._marks.append(
            element("circle", cx=x, cy=y, r=radius, fill=inner, stroke=paint(colour), stroke_width=width)
        )

    def disc(self, x: float, y: float, letter: str, *, filled: bool) -> None:
        """Draws the lettered disc of a printed figure; it is hollow if the figure is not comparable."""
        self.ring(x, y, 7, "muted", "muted" if filled else "paper", 1.3)
        self.text(x, y, letter, colour="paper" if filled else "ink", anchor="middle", size=10, bold=True)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        colour: str = "ink",
        anchor: str = "start",
        size: float = 12,
        bold: bool = False,
        room: float = WIDTH,
    ) -> None:
        """Draws a text whose middle is at `y`, cut to `room` pixels."""
        letters = room / (size * EM * (1.1 if bold else 1.0))
        more = {"font_weight": 600} if bold else {}
        words = escape(shown(text, letters), quote=False)
        place = {"x": x, "y": y + 0.35 * size, "font_size": size}
        self._marks.append(element("text", words, text_anchor=anchor, fill=paint(colour), **place, **more))

    def axis(self, title: str, ticks: Mapping[float, str] | None = None) -> None:
        """Draws lines down through all rows, with labels below them, or above them if the rows are high."""
        above = self.y > TALL
        y, way = (self.top, -1) if above else (self.y, 1)
        for value, label in (self.across.ticks() if ticks is None else ticks).items():
            x, half = self.across(value), pixels(label, 11) / 2
            self.rule(x, self.top - 4 * above, x, self.y + 4 * (not above))
            x = min(max(x, half), WIDTH - half)
            self.text(x, y + 11 * way, label, colour="muted", anchor="middle", size=11)
        if title:
            x = (self.across.start + self.across.end) / 2
            room = 2 * min(x, WIDTH - x)
            self.text(x, y + 27 * way, title, colour="muted", anchor="middle", room=room)
        height = 36 if title else 20
        self.top, self.y = (self.top - height, self.y) if above else (self.top, self.y + height)

    def rule(self, x: float, y: float, x2: float, y2: float) -> None:
        """Draws a line of the axis, below all marks."""
        self._under.append(element("line", x1=x, y1=y, x2=x2, y2=y2, stroke=paint("line"), stroke_width=1))

    def legend(self, series: Sequence[Style]) -> None:
        """Draws the legend above everything drawn so far, in as many columns as there is room for."""
        wide = max((pixels(style.name) for style in series), default=0) + 30
        columns = max(1, int(WIDTH // wide))
        self.top -= 16 * -(-len(series) // columns) + 14
        for i, style in enumerate(series):
            x, y = wide * (i % columns), self.top + 16 * (i // columns) + 8
            self.point(x + 6, y, style, 4.5)
            self.text(x + 16, y, style.name, room=WIDTH - 16)

    def key(self, lines: Iterable[str]) -> None:
        """Draws lines of text below the chart."""
        for line in lines:
            self.text(0, self.y + 10, line, colour="muted")
            self.y += 17

    def chart(self, title: str, alt: str, caption: str) -> Chart:
        """The finished chart."""
        name, description = f"{self.id}-title", f"{self.id}-desc"
        svg = element(
            "svg",
            element("title", escape(title), id=name)
            + element("desc", escape(alt), id=description)
            + (element("defs", "".join(self._patterns.values())) if self._patterns else "")
            + "".join(self._under + self._marks),
            xmlns="http://www.w3.org/2000/svg",
            class_="chart",
            role="img",
            width="100%",
            viewBox=f"0 {self.top - 4:g} {WIDTH} {self.y - self.top + 8:g}",
            font_family=FONTS,
            aria_labelledby=f"{name} {description}",
        )
        return Chart(self.id, title, alt, svg, caption)

    def _fill(self, style: Style) -> str:
        """The paint of a style: its colour, and the pattern over it if it has one."""
        if style.colour not in PATTERNS:
            return paint(style.colour)
        name = f"{self.id}-{style.colour}"
        self._patterns[name] = element(
            "pattern",
            element("rect", width=8, height=8, fill=paint(style.colour))
            + element("path", d=PATTERNS[style.colour], fill="none", stroke=paint("paper"), stroke_width=1.2),
            id=name,
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
        )
        return f"url(#{name})"


def _shape(x: float, y: float, radius: float, shape: str, fill: str, inside: str = "") -> str:
    if not SHAPES[shape]:
        return element("circle", inside, cx=x, cy=y, r=radius, fill=fill)
    corners = _points((x + radius * a, y + radius * b) for a, b in SHAPES[shape])
    return element("polygon", inside, points=corners, fill=fill)


def _pointed(told: str) -> str:
    """What a pointer over a mark shows, as an element."""
    return element("title", escape(told, quote=False)) if told else ""


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in places)
