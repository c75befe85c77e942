"""The look of charts: the colours of both themes, shapes, patterns, and the CSS that a page needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.report.charts.texts import distinct

COLOURS = {
    "paper": ("#ffffff", "#14181d"),
    "ink": ("#1c2128", "#e8ebee"),
    "muted": ("#59636e", "#a3adb8"),
    "line": ("#d5dae0", "#39424c"),
    "heat": ("#4795c8", "#276d9b"),
    "series-1": ("#0072b2", "#56b4e9"),
    "series-2": ("#950b00", "#e4460a"),
    "series-3": ("#1d4632", "#68f7ac"),
    "series-4": ("#8b1270", "#bd73a4"),
    "series-5": ("#af7517", "#eec132"),
    "series-6": ("#4437b7", "#5570c0"),
    "series-7": ("#848d9d", "#e9ecec"),
    "series-8": ("#c32361", "#e2635d"),
    "outcome-correct": ("#00745a", "#2bb894"),
    "outcome-wrong": ("#c94f04", "#f28c4e"),
    "outcome-answered": ("#2f6db0", "#6fb0ee"),
    "outcome-unparsable": ("#8f5fa8", "#c79be0"),
    "outcome-truncated": ("#96700a", "#dcb53c"),
    "outcome-refused": ("#b03060", "#f08cae"),
    "outcome-failed": ("#3f4751", "#c3cad2"),
}
"""The colours of the light and of the dark theme, by CSS custom property.

The contrast to the background is at least 3:1. Any two series are at least 20 apart in CIELAB, also as people
without red, green or blue cones see them (Machado et al. 2009, IEEE TVCG 15, 1291); the colours were found by
a search for that, from Okabe and Ito's palette, which those of outcomes follow.
"""
LIGHT = {name: light for name, (light, _) in COLOURS.items()}
DARK = {name: dark for name, (_, dark) in COLOURS.items()}
SERIES = tuple(name for name in COLOURS if name.startswith("series-"))

SHAPES: dict[str, tuple[tuple[float, float], ...]] = {
    "circle": (),
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "diamond": ((0, -1.25), (1.05, 0), (0, 1.25), (-1.05, 0)),
    "triangle-up": ((0, -1.1), (1.15, 0.9), (-1.15, 0.9)),
    "cross": (
        *((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)),
        *((0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
    ),
    "triangle-down": ((0, 1.1), (1.15, -0.9), (-1.15, -0.9)),
    "triangle-right": ((1.1, 0), (-0.9, 1.15), (-0.9, -1.15)),
    "saltire": (
        *((0.57, -1.13), (1.13, -0.57), (0.57, 0), (1.13, 0.57), (0.57, 1.13), (0, 0.57)),
        *((-0.57, 1.13), (-1.13, 0.57), (-0.57, 0), (-1.13, -0.57), (-0.57, -1.13), (0, -0.57)),
    ),
    "triangle-left": ((-1.1, 0), (0.9, 1.15), (0.9, -1.15)),
}
"""The corners of shapes, in units of a radius; a circle has none. There is one shape more than there are
colours, so that the shapes differ when the colours repeat."""
PATTERNS = {
    "outcome-unparsable": "M0,4h8",
    "outcome-truncated": "M-2,2l4,-4M0,8l8,-8M6,10l4,-4",
    "outcome-refused": "M4,0v8M0,4h8",
    "outcome-failed": "M-2,2l4,-4M0,8l8,-8M6,10l4,-4M-2,6l4,4M0,0l8,8M6,-2l4,4",
}
"""Patterns over a colour, in a square of 8 pixels, so that outcomes differ by more than their colours."""


def _properties(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


CSS = (
    f":root{{{_properties(LIGHT)}}}"
    f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{_properties(DARK)}}}}}"
    f":root[data-theme=dark]{{{_properties(DARK)}}}"
    "svg.chart{display:block;width:100%;max-width:32rem;height:auto}"
)
"""The style sheet of a page with charts: the colours of both themes, and the greatest width of a chart."""


@dataclass(frozen=True, slots=True)
class Style:
    """The look of a series. `name`: its name in the legend. `colour`: one of `COLOURS`."""

    name: str
    colour: str
    shape: str = "square"


def styles(names: Sequence[str]) -> dict[str, Style]:
    """A colour, a shape and a unique name in the legend for each of `names`."""
    return {
        name: Style(label, SERIES[i % len(SERIES)], [*SHAPES][i % len(SHAPES)])
        for i, (name, label) in enumerate(zip(names, distinct(names), strict=True))
    }


def paint(colour: str) -> str:
    """The value of `fill` or `stroke`: the page's custom property, or else the light theme's colour."""
    return f"var(--{colour}, {LIGHT[colour]})"
