"""Vega-Lite to one inline SVG: themed by CSS custom properties, named for screen readers, nothing active.

vl-convert draws a specification (Vega's own layout and fonts, no browser, no network). What it returns is
parsed and written anew from an allow-list, so that no script, link, style or event handler can be in it,
whatever a model is called. Texts of runs only ever are data values of a specification, never expressions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from evalkit.errors import UsageError

if TYPE_CHECKING:
    import altair as alt

LIGHT = {
    "paper": "#ffffff",
    "ink": "#1c2128",
    "muted": "#59636e",
    "line": "#d5dae0",
    "series-1": "#0072b2",
    "series-2": "#c44900",
    "series-3": "#007a5a",
    "series-4": "#a8457f",
    "series-5": "#8a6500",
    "series-6": "#4a4fb5",
    "outcome-correct": "#00745a",
    "outcome-wrong": "#c94f04",
    "outcome-answered": "#2f6db0",
    "outcome-unparsable": "#8f5fa8",
    "outcome-truncated": "#96700a",
    "outcome-failed": "#3f4751",
}
"""Colours by custom property. A specification uses these; they become `var(--name, colour)`.

After Okabe and Ito's palette, darkened and lightened until each has 3:1 against its paper.
"""

DARK = {
    "paper": "#14181d",
    "ink": "#e8ebee",
    "muted": "#a3adb8",
    "line": "#39424c",
    "series-1": "#56b4e9",
    "series-2": "#ff9152",
    "series-3": "#2fc9a0",
    "series-4": "#e893c4",
    "series-5": "#e9c13b",
    "series-6": "#a7a9f5",
    "outcome-correct": "#2bb894",
    "outcome-wrong": "#f28c4e",
    "outcome-answered": "#6fb0ee",
    "outcome-unparsable": "#c79be0",
    "outcome-truncated": "#dcb53c",
    "outcome-failed": "#c3cad2",
}

SERIES = tuple(LIGHT[f"series-{number}"] for number in range(1, 7))
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right")
"""One more than there are colours, so that a second round of colours has other shapes."""

_PATTERNS = {
    LIGHT["outcome-unparsable"]: "M0,4h8",
    LIGHT["outcome-truncated"]: "M-2,2l4,-4M0,8l8,-8M6,10l4,-4",
    LIGHT["outcome-failed"]: "M-2,2l4,-4M0,8l8,-8M6,10l4,-4M-2,6l4,4M0,0l8,8M6,-2l4,4",
}
"""Lines laid over a fill, so that outcomes differ without their colours too."""

_TAGS = frozenset(("g", "path", "rect", "line", "text", "tspan", "defs", "clipPath"))
_KEPT = frozenset(
    ("d", "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "fill-opacity", "opacity")
    + ("transform", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "dx", "dy", "clip-path", "id")
    + ("text-anchor", "font-size", "font-weight", "font-style")
)
_HIDDEN = frozenset(("background", "foreground"))
_FONTS = "Arial, Helvetica, 'Liberation Sans', Arimo, Roboto, sans-serif"
"""Of the widths that vl-convert measures texts with, so that they end where they should."""
WIDTH = 406
"""Of every picture, so that letters are of one size in all; what a drawing lacks is added on its left."""
_NO_VALUE = {("opacity", "1"), ("transform", "translate(0,0)"), ("stroke", "transparent")}

STYLE = (
    ":root{" + "".join(f"--{name}:{colour};" for name, colour in LIGHT.items()) + "}"
    "@media (prefers-color-scheme:dark){:root:not([data-theme=light]){"
    + "".join(f"--{name}:{colour};" for name, colour in DARK.items())
    + "}}:root[data-theme=dark]{"
    + "".join(f"--{name}:{colour};" for name, colour in DARK.items())
    + "}svg.chart{display:block;width:100%;max-width:32rem;height:auto}"
)
"""CSS that a page of charts needs: the colours of both themes, and how wide a chart may get."""


def require() -> None:
    """Raises `UsageError` where the charting libraries are missing."""
    try:
        import altair
        import vl_convert

        del altair, vl_convert
    except ImportError:
        raise UsageError(
            "charts need altair and vl-convert: pip install 'evalkit[html]', or --no-charts"
        ) from None


def to_svg(chart: alt.TopLevelMixin, identifier: str, title: str, alt_text: str) -> str:
    """`chart` as one `<svg>`; every id in it starts with `identifier`."""
    import altair
    import vl_convert

    version = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    drawn = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), vl_version=version)
    root = ElementTree.fromstring(drawn)  # noqa: S314 — vl-convert's own, which has no entities
    identifiers: dict[str, str] = {}
    for element in root.iter():
        if "id" in element.attrib:
            identifiers[element.attrib["id"]] = f"{identifier}-clip{len(identifiers)}"
    body = "".join(itertools.chain.from_iterable(_written(child, identifiers) for child in root))
    body, patterns = _patterned(body, identifier)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    left = max(0.0, WIDTH - width)
    name, description = f"{identifier}-title", f"{identifier}-desc"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" width="100%" '
        f'viewBox="{-left:g} 0 {width + left:g} {height:g}" overflow="visible" '
        f'font-family="{_FONTS}" aria-labelledby="{name} {description}">'
        f'<title id="{name}">{escape(title)}</title><desc id="{description}">{escape(alt_text)}</desc>'
        f"{patterns}{body}</svg>"
    )


def _written(element: ElementTree.Element, identifiers: dict[str, str]) -> Iterator[str]:
    """`element` and what is in it, without what is not on the list, empty or not to be seen."""
    tag = element.tag.rpartition("}")[2]
    attributes = element.attrib
    empty_path = tag == "path" and not attributes.get("d")
    unseen = (
        attributes.get("display") == "none"
        or attributes.get("fill") == "transparent"
        or (attributes.get("class") in _HIDDEN and "stroke" not in attributes and "fill" not in attributes)
    )
    if tag not in _TAGS or empty_path or unseen:
        return
    inside = "".join(itertools.chain.from_iterable(_written(child, identifiers) for child in element))
    inside = escape(element.text or "", quote=False) * (tag in ("text", "tspan")) + inside
    if not inside and tag in ("g", "text", "tspan", "defs", "clipPath"):
        return
    kept = [
        (key, value) for key, value in attributes.items() if key in _KEPT and (key, value) not in _NO_VALUE
    ]
    if tag == "g" and not kept:
        yield inside
        return
    text = "".join(f' {key}="{escape(_value(key, value, identifiers))}"' for key, value in kept)
    yield f"<{tag}{text}>{inside}</{tag}>" if inside else f"<{tag}{text}/>"


_VARIABLES = {colour: f"var(--{name}, {colour})" for name, colour in LIGHT.items()}


def _value(key: str, value: str, identifiers: dict[str, str]) -> str:
    if key == "id":
        return identifiers[value]
    if key == "clip-path":
        return f"url(#{identifiers.get(value.removeprefix('url(#').removesuffix(')'), '')})"
    return _VARIABLES.get(value, value) if key in ("fill", "stroke") else value


def _patterned(body: str, identifier: str) -> tuple[str, str]:
    """`body` with the outcomes' fills as patterns, and the patterns' definitions."""
    found = []
    for number, (colour, lines) in enumerate(_PATTERNS.items()):
        fill = f'fill="{_VARIABLES[colour]}"'
        if fill not in body:
            continue
        name = f"{identifier}-pattern{number}"
        body = body.replace(fill, f'fill="url(#{name})"')
        found.append(
            f'<pattern id="{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
            f'<rect width="8" height="8" {fill}/>'
            f'<path d="{lines}" fill="none" stroke="{_VARIABLES[LIGHT["paper"]]}" stroke-width="1.2"/>'
            "</pattern>"
        )
    return body, f"<defs>{''.join(found)}</defs>" if found else ""
