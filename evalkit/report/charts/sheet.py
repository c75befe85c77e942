"""A sheet that charts are set on: rows from top to bottom, one axis from left to right.

Down the page, places are pixels; across, they are values of the axis. Altair lays out axis, grid and legend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.report.charts.svg import LIGHT, SERIES, SHAPES
from evalkit.report.render import printable

if TYPE_CHECKING:
    import altair as alt

WIDTH = 440
"""Of the plot, in pixels: on a phone a chart shrinks to three quarters and stays readable."""
TALL = 500
"""A sheet higher than this has its axis on top."""
NAME = 48
"""Letters of a name that are shown."""


def shown(text: str, limit: int = NAME) -> str:
    """A text of a run, fit to be shown: no control characters, one line, cut to `limit` letters."""
    words = " ".join(printable(text[: 4 * limit]).split()) or "—"
    return words if len(words) <= limit and len(text) <= 4 * limit else words[: limit - 1].rstrip() + "…"


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
    y: float = 0.0
    """How far down the next row begins; whoever draws a row moves it on."""
    marks: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    """(kind, style, datum): those of one kind and style that follow each other become one layer."""

    def pixels(self, value: float) -> float:
        return self.width * (value - self.low) / (self.high - self.low)

    def rule(self, x: float, x2: float, y: float, look: str = LIGHT["muted"], width: float = 2) -> None:
        """A line across, such as an interval."""
        self.marks.append(("rule", (width,), {"x": x, "x2": x2, "y": y, "y2": y, "colour": look}))

    def down(self, x: float, y: float, y2: float, colour: str = LIGHT["muted"]) -> None:
        """A line down, such as that of a yardstick."""
        self.marks.append(("rule", (1.2,), {"x": x, "x2": x, "y": y, "y2": y2, "colour": colour}))

    def bar(self, x: float, x2: float, y: float, height: float, look: Look) -> None:
        self.marks.append(("bar", (), {"x": x, "x2": x2, "y": y, "y2": y + height, "series": look.name}))

    def point(self, x: float, y: float, look: Look, *, small: bool = False) -> None:
        self.marks.append(("point", (30 if small else 62,), {"x": x, "y": y, "series": look.name}))

    def hole(self, x: float, y: float, look: Look) -> None:
        """A hole in a point of `look`, which makes it hollow."""
        self.marks.append(("hole", (), {"x": x, "y": y, "series": look.name, "colour": LIGHT["paper"]}))

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
        style = (align, size, weight, dx, limit)
        self.marks.append(("text", style, {"x": x, "y": y, "text": text, "colour": colour}))

    def beside(self, low: float, high: float, y: float, text: str) -> None:
        """`text` to the right of what goes from `low` to `high`, or to the left where there is no room."""
        room = self.width - self.pixels(high) > 7 * len(text) + 12
        where = {"x": high, "dx": 9, "align": "left"} if room else {"x": low, "dx": -9, "align": "right"}
        self.text(y=y, text=text, size=11, colour=LIGHT["ink"], **where)  # type: ignore[arg-type]

    def chart(self, series: Sequence[Look] = (), *, key: Sequence[str] = ()) -> alt.LayerChart:
        """The drawing. `key`: lines under it."""
        import altair as alt

        layers: list[tuple[str, tuple[Any, ...], list[dict[str, Any]]]] = []
        for kind, style, datum in self.marks:
            for layer in reversed(layers):
                if layer[:2] == (kind, style):
                    layer[2].append(datum)
                    break
            else:
                layers.append((kind, style, [datum]))
        drawn = alt.layer(*(self._layer(*layer, series) for layer in layers))
        height = max(self.y, 1)
        title = alt.TitleParams(
            text=list(key), orient="bottom", anchor="start", frame="group", offset=10, limit=WIDTH + 60
        )
        drawn = drawn.properties(
            width=self.width, height=height, background="transparent", **({"title": title} if key else {})
        )
        return configured(drawn)

    def _layer(
        self,
        kind: str,
        style: tuple[Any, ...],
        data: list[dict[str, Any]],
        series: Sequence[Look],
    ) -> alt.Chart:
        import altair as alt

        chart = alt.Chart(alt.Data(values=data))
        across = alt.Scale(domain=[self.low, self.high], nice=False, zero=False)
        axis = alt.Axis(title=self.axis or None, orient="top" if self.y > TALL else "bottom", tickCount=6)
        down = alt.Scale(domain=[max(self.y, 1), 0], nice=False, zero=False)
        places: dict[str, Any] = {
            "x": alt.X("x", type="quantitative", scale=across, axis=axis),
            "y": alt.Y("y", type="quantitative", scale=down, axis=None),
        }
        if kind in ("rule", "bar"):
            places |= {"x2": "x2", "y2": "y2"}
        names = [look.name for look in series]
        scale = alt.Scale(domain=names, range=[look.colour for look in series])
        shapes = alt.Scale(domain=names, range=[look.shape for look in series])
        plain = alt.Color("colour", type="nominal", scale=None)
        if kind == "bar":
            square = _legend(names, self.width, symbolType="square")
            colour = alt.Color("series", type="nominal", scale=scale, legend=square)
            return chart.mark_bar(stroke=LIGHT["paper"], strokeWidth=1).encode(color=colour, **places)
        if kind == "point":
            colour = alt.Color("series", type="nominal", scale=scale, legend=_legend(names, self.width))
            shape = alt.Shape("series", type="nominal", scale=shapes, legend=_legend(names, self.width))
            return chart.mark_point(filled=True, size=style[0], opacity=1).encode(
                color=colour, shape=shape, **places
            )
        if kind == "hole":
            shape = alt.Shape("series", type="nominal", scale=shapes, legend=_legend(names, self.width))
            return chart.mark_point(filled=True, size=16, opacity=1).encode(
                color=plain, shape=shape, **places
            )
        if kind == "disc":
            fill = alt.Fill("colour", type="nominal", scale=None)
            disc = chart.mark_point(size=190, stroke=LIGHT["muted"], strokeWidth=1.3, opacity=1)
            return disc.encode(fill=fill, **places)
        if kind == "rule":
            return chart.mark_rule(strokeWidth=style[0]).encode(color=plain, **places)
        align, size, weight, dx, limit = style
        written = chart.mark_text(
            align=align, baseline="middle", fontSize=size, fontWeight=weight, dx=dx, limit=limit
        )
        return written.encode(text=alt.Text("text", type="nominal"), color=plain, **places)


def _legend(names: Sequence[str], width: int, **more: Any) -> alt.Legend:
    import altair as alt

    columns = 1 if max(map(len, names), default=0) > 22 else 2 if len(names) < 5 else 3
    return alt.Legend(title=None, orient="top", columns=columns, labelLimit=width // columns - 24, **more)


def configured(chart: alt.LayerChart) -> alt.LayerChart:
    ink, muted, line = LIGHT["ink"], LIGHT["muted"], LIGHT["line"]
    return (
        chart.configure(font="sans-serif", padding={"left": 4, "top": 4, "right": 14, "bottom": 4})
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=muted, titleColor=muted, gridColor=line, tickColor=line, domain=False, labelFontSize=11,
            titleFontSize=12, titleFontWeight=400, labelFlush=False,
        )
        .configure_legend(labelColor=ink, labelFontSize=12, symbolSize=80, rowPadding=3, columnPadding=14)
        .configure_title(color=muted, fontSize=12, fontWeight=400, lineHeight=17)
    )  # fmt: skip
