"""A sheet that charts are set on: rows from top to bottom, one axis from left to right.

Down the page, places are pixels; across, they are values of the axis. Altair lays out axis, grid and legend.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.report.charts.svg import LIGHT, SERIES, SHAPES
from evalkit.report.render import printable

if TYPE_CHECKING:
    import altair as alt

WIDTH = 376
"""Of the plot, in pixels: on a phone a chart shrinks by a tenth."""
TALL = 500
"""A sheet higher than this has its axis on top."""
NAME = 48
"""Letters of a name that are shown."""


def shown(text: str, limit: int = NAME) -> str:
    """A text in one line of at most `limit` letters, cut in the middle, without control characters.

    A letter as wide as two, such as Chinese ones, counts for two.
    """
    if len(text) > 8 * limit:
        text = f"{text[: 4 * limit]}…{text[-4 * limit :]}"
    words = " ".join(printable(text).split()) or "—"
    if _wide(words) <= limit:
        return words
    tail = _first(words[::-1], limit // 3)[::-1]
    return f"{_first(words, limit - 1 - limit // 3).rstrip()}…{tail.lstrip()}"


def _first(text: str, limit: int) -> str:
    """The first letters, `limit` wide at most."""
    widths = itertools.accumulate(map(_wide, text))
    return "".join(letter for letter, width in zip(text, widths, strict=True) if width <= limit)


def _wide(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def room(texts: Iterable[str], pixels: int) -> int:
    """`pixels` to which Vega may cut `texts`, or 0 for no limit.

    It cuts between UTF-16 units, and vl-convert cannot draw one half of a letter that has two.
    """
    return 0 if any(letter > "\uffff" for text in texts for letter in text) else pixels


def distinct(texts: Sequence[str], limit: int = NAME) -> list[str]:
    """`texts` fit to be shown, and no two the same."""
    found: list[str] = []
    for text in texts:
        name = shown(text, limit)
        count = 2
        while name in found:
            name = f"{shown(text, limit - 5)} ({count})"
            count += 1
        found.append(name)
    return found


@dataclass(frozen=True, slots=True)
class Look:
    """How a series is drawn; `name` is what the legend says."""

    name: str
    colour: str
    shape: str = "square"


def looks(names: Sequence[str]) -> list[Look]:
    """A colour and a shape for each of `names`, which must be distinct."""
    return [Look(name, SERIES[i % len(SERIES)], SHAPES[i % len(SHAPES)]) for i, name in enumerate(names)]


@dataclass
class Sheet:
    """Marks in the order in which they are laid. `low`, `high`: the ends of the axis across."""

    low: float
    high: float
    axis: str = ""
    width: int = WIDTH
    """Pixels between the ends."""
    left: int = 0
    """Pixels left of them, for names."""
    y: float = 0.0
    """How far down the next row begins; whoever draws a row moves it on."""
    marks: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    """(kind, style, datum): those of one kind and style become one layer, laid where the first is."""

    def pixels(self, value: float) -> float:
        return self.width * (value - self.low) / (self.high - self.low)

    def rule(self, x: float, x2: float, y: float, colour: str, width: float = 2, opacity: float = 1) -> None:
        """A line across, such as an interval."""
        self.marks.append(("rule", (width, opacity), {"x": x, "x2": x2, "y": y, "y2": y, "colour": colour}))

    def down(self, x: float, y: float, y2: float, colour: str = LIGHT["muted"]) -> None:
        """A line down, such as that of a yardstick."""
        self.marks.append(("rule", (1.2, 1), {"x": x, "x2": x, "y": y, "y2": y2, "colour": colour}))

    def bar(self, x: float, x2: float, y: float, height: float, look: Look) -> None:
        self.marks.append(("bar", (), {"x": x, "x2": x2, "y": y, "y2": y + height, "series": look.name}))

    def point(self, x: float, y: float, look: Look, *, small: bool = False) -> None:
        self.marks.append(("point", (30 if small else 62,), {"x": x, "y": y, "series": look.name}))

    def hole(self, x: float, y: float, look: Look) -> None:
        """A hole in a point of `look`, which makes it hollow."""
        self.marks.append(("hole", (16,), {"x": x, "y": y, "series": look.name, "colour": LIGHT["paper"]}))

    def disc(self, x: float, y: float, letter: str, *, filled: bool) -> None:
        """A lettered disc, of a printed figure; hollow where it may not be compared."""
        fill = LIGHT["muted"] if filled else LIGHT["paper"]
        self.marks.append(("disc", (), {"x": x, "y": y, "colour": fill}))
        ink = LIGHT["paper"] if filled else LIGHT["ink"]
        self.text(x, y, letter, colour=ink, align="center", size=10, weight=600)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        colour: str = LIGHT["ink"],
        align: str = "left",
        size: int = 12,
        weight: int = 400,
        dx: float = 0,
        limit: int = WIDTH,
    ) -> None:
        style = (align, size, weight, dx, room([text], limit))
        self.marks.append(("text", style, {"x": x, "y": y, "text": text, "colour": colour}))

    def beside(self, low: float, high: float, y: float, text: str) -> None:
        """`text` to the right of what goes from `low` to `high`, or to the left where there is no room."""
        room = self.width - self.pixels(high) > 7 * len(text) + 12
        x, dx, align = (high, 9, "left") if room else (low, -9, "right")
        self.text(x, y, text, size=11, dx=dx, align=align)

    def chart(self, series: Sequence[Look] = (), *, key: Sequence[str] = ()) -> alt.TopLevelMixin:
        """The drawing. `key`: lines under it."""
        import altair as alt

        layers: dict[tuple[str, tuple[Any, ...]], list[dict[str, Any]]] = {}
        for kind, style, datum in self.marks:
            layers.setdefault((kind, style), []).append(datum)
        data = {f"data-{number}": rows for number, rows in enumerate(layers.values())}
        title = alt.TitleParams(
            text=list(key),
            orient="bottom",
            anchor="start",
            frame="group",
            offset=10,
            limit=room(key, WIDTH + 60),
        )
        return layered(
            [self._layer(*layer, name, series) for layer, name in zip(layers, data, strict=True)],
            data,
            width=self.width,
            height=max(self.y, 1),
            **({"title": title} if key else {}),
        )

    def _layer(self, kind: str, style: tuple[Any, ...], data: str, series: Sequence[Look]) -> alt.Chart:
        import altair as alt

        across = alt.Scale(domain=[self.low, self.high], nice=False, zero=False)
        axis = alt.Axis(title=self.axis or None, orient="top" if self.y > TALL else "bottom", tickCount=6)
        down = alt.Scale(domain=[max(self.y, 1), 0], nice=False, zero=False)
        encoded: dict[str, Any] = {
            "x": alt.X("x", type="quantitative", scale=across, axis=axis),
            "y": alt.Y("y", type="quantitative", scale=down, axis=None),
        }
        width, where = self.left + self.width, self._over(series)
        if kind in ("rule", "bar"):
            encoded |= {"x2": "x2", "y2": "y2"}
        if kind in ("bar", "point"):
            square = {"symbolType": "square"} if kind == "bar" else {}
            encoded["color"] = by_series(alt.Color, "colour", series, width, **where, **square)
        elif kind == "disc":
            encoded["fill"] = alt.Fill("colour", type="nominal", scale=None)
        else:
            encoded["color"] = alt.Color("colour", type="nominal", scale=None)
        if kind in ("point", "hole"):
            encoded["shape"] = by_series(alt.Shape, "shape", series, width, **where)
        if kind == "text":
            encoded["text"] = alt.Text("text", type="nominal")
        chart: alt.Chart = _marked(alt.Chart(alt.NamedData(data)), kind, style).encode(**encoded)
        return chart

    def _over(self, series: Sequence[Look]) -> dict[str, Any]:
        """Where a legend stands that begins at the left of the names, above an axis on top."""
        rows = -(-len(series) // _columns(series))
        axis = 40 if self.y > TALL else 0
        return {"orient": "none", "legendX": -self.left, "legendY": -16 * rows - 14 - axis}


def _marked(chart: alt.Chart, kind: str, style: tuple[Any, ...]) -> alt.Chart:
    marked: alt.Chart
    if kind == "bar":
        marked = chart.mark_bar(stroke=LIGHT["paper"], strokeWidth=1)
    elif kind == "rule":
        marked = chart.mark_rule(strokeWidth=style[0], strokeOpacity=style[1])
    elif kind == "disc":
        marked = chart.mark_point(size=190, stroke=LIGHT["muted"], strokeWidth=1.3, opacity=1)
    elif kind in ("point", "hole"):
        marked = chart.mark_point(filled=True, size=style[0], opacity=1)
    else:
        align, size, weight, dx, limit = style
        marked = chart.mark_text(
            align=align, baseline="middle", fontSize=size, fontWeight=weight, dx=dx, limit=limit
        )
    return marked


def by_series(channel: type[Any], what: str, series: Sequence[Look], width: int, **legend: Any) -> Any:
    """`channel` with each series' colour or shape. `legend`: what its legend has besides."""
    import altair as alt

    names = [look.name for look in series]
    columns = _columns(series)
    common: dict[str, Any] = {"title": None, "columns": columns, "symbolOpacity": 1}
    common |= {"orient": "top", "labelLimit": room(names, width // columns - 24)}
    scale = alt.Scale(domain=names, range=[getattr(look, what) for look in series])
    return channel("series", type="nominal", scale=scale, legend=alt.Legend(**common | legend))


def _columns(series: Sequence[Look]) -> int:
    """Of a legend."""
    return 1 if max((len(look.name) for look in series), default=0) > 22 else 2 if len(series) < 5 else 3


def layered(
    layers: Sequence[alt.Chart], data: dict[str, list[dict[str, Any]]], **properties: Any
) -> alt.TopLevelMixin:
    """A chart in the colours and sizes that all have. `data`: what `layers` call by name.

    Made at once: every `configure_…` would copy all layers.
    """
    import altair as alt

    ink, muted, line = LIGHT["ink"], LIGHT["muted"], LIGHT["line"]
    config = alt.Config(
        font="sans-serif",
        padding={"left": 4, "top": 4, "right": 14, "bottom": 4},
        variant=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelColor=muted, titleColor=muted, gridColor=line, tickColor=line, domain=False,
            labelFontSize=11, titleFontSize=12, titleFontWeight=400, labelFlush=False,
        ),
        legend=alt.LegendConfig(
            labelColor=ink, labelFontSize=12, symbolSize=80, rowPadding=3, columnPadding=14
        ),
        title=alt.TitleConfig(color=muted, fontSize=12, fontWeight=400, lineHeight=17),
    )  # fmt: skip
    return alt.LayerChart(
        layer=list(layers), datasets=data, config=config, background="transparent", **properties
    )
