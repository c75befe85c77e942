"""A chart, drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.report.charts.svg import to_svg

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with its words; all but `svg` are plain text, to be escaped by whoever shows them.

    `id`: of the chart in its page; ids inside `svg` begin with it. `svg`: one element, safe to inline,
    colours by CSS custom properties (`charts.STYLE`). `alt`: what is to be seen, for those who do not.
    """

    id: str
    title: str
    alt: str
    svg: str
    caption: str


def chart_of(drawing: alt.TopLevelMixin, identifier: str, title: str, alt_text: str, caption: str) -> Chart:
    return Chart(identifier, title, alt_text, to_svg(drawing, identifier, title, alt_text), caption)
