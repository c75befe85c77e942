"""Charts: nothing acts in them, nobody needs to see colours, and they can be read on a phone."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evalkit.report.charts import CSS, Chart, charts, waited
from evalkit.report.charts.canvas import Canvas, Scale, element
from evalkit.report.charts.progress import Point, progress_chart
from evalkit.report.charts.style import DARK, LIGHT, SERIES, SHAPES, Style, styles
from evalkit.report.costs import costs
from evalkit.report.grids import build_grids
from evalkit.report.table import build_table
from tests import needs
from tests.charted import GOOD, LAZY, SVG, Report, counting, evaluated, made_report, texts
from tests.engine.test_routed import student
from tests.quiz import quiz
from tests.report.pages import CHROMIUM

ATTRIBUTES = {
    *("d", "points", "id", "patternUnits"),
    *("fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity"),
    *("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"),
    *("text-anchor", "font-size", "font-weight", "font-family"),
    *("class", "role", "viewBox", "aria-labelledby"),
}
TAGS = {
    *("svg", "title", "desc", "line", "polyline", "polygon", "circle", "rect", "text"),
    *("defs", "pattern", "path"),
}
TEXT = ("ink", "muted", "paper")
"""Colours of texts."""
ROUNDING = 0.01
"""Pixels that a browser's floats may be off by."""
SEEN = """() => {
  const seen = {heights: [], outside: [], overlaps: [], inks: [], width: document.documentElement.scrollWidth}
  for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect()
    const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()])
    seen.inks.push(...[...svg.querySelectorAll('text')].map(t => getComputedStyle(t).fill))
    texts.forEach(([text, a], i) => {
      seen.heights.push(a.height)
      if (a.left < frame.left - 2 || a.right > frame.right + 2 || a.bottom > frame.bottom + 2
          || a.top < frame.top - 2) seen.outside.push(text)
      for (const [other, b] of texts.slice(i + 1)) {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left)
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
        if (across > 1 && down > 3) seen.overlaps.push([text, other])
      }
    })
  }
  return seen
}"""
HOSTILE = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "\u202eevil\u2066\x1b[31m",
    "\" onload='alert(1)' x=\"",
    "x" * 5_000_000,
    "🧮" * 60,
    "模型" * 60,
    "\ud800\uffff",
    "datum.value",
    "__proto__",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    with made_report(tmp_path_factory.mktemp("charts")) as made:
        yield made


@pytest.fixture(scope="module")
def drawn(report: Report) -> dict[str, Chart]:
    found = report.charts(prices={LAZY: (0.7, 1.9), GOOD: (2.5, 10.0)})
    progress = progress_of([f"{GOOD} step {i}" for i in range(40)]), progress_of(HOSTILE[:5], timed=True)
    return {**found, **{chart.id: chart for chart in progress}}


def progress_of(names: Sequence[str], *, timed: bool = False) -> Chart:
    """A chart of points of these names, in three series."""
    points = [
        Point(
            name, datetime(2026, 1, 1 + i, tzinfo=UTC) if timed else i * 1000, 50.0 + i % 7, 48.0 + i % 7,
            55.0 + i % 7, series=names[i % 3], signature="" if i % 5 else "other",
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    number = 2 if timed else 1
    return progress_chart(points, f"chart-progress-{number}", "Progress", unit="%")


def checked(found: Sequence[Chart]) -> None:
    """Everything that must hold of charts in one page, whatever runs are called."""
    identifiers: list[str] = []
    for chart in found:
        root = ElementTree.fromstring(chart.svg)
        mine = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
        identifiers += mine
        assert all(identifier.startswith(chart.id) for identifier in mine)
        assert root.attrib["role"] == "img"
        name, description = root.attrib["aria-labelledby"].split()
        assert [(e.tag, e.attrib, e.text) for e in root[:2]] == [
            (f"{SVG}title", {"id": name}, chart.title), (f"{SVG}desc", {"id": description}, chart.alt)
        ]  # fmt: skip
        assert {e.tag.removeprefix(SVG) for e in root.iter()} <= TAGS
        assert {key for e in root.iter() for key in e.attrib} <= ATTRIBUTES
        for attributes in (e.attrib for e in root.iter()):
            for key in ("fill", "stroke"):
                _is_themed(attributes.get(key, "none"), mine)
        for text in (chart.title, chart.alt, chart.caption, *texts(chart)):
            assert text.isprintable()
            assert len(text) < 2000
    assert len(set(identifiers)) == len(identifiers)
    assert len({chart.id for chart in found}) == len(found)


def _is_themed(value: str, identifiers: Sequence[str]) -> None:
    variable = re.fullmatch(r"var\(--([a-z0-9-]+), (#[0-9a-f]{6})\)", value)
    if variable:
        assert LIGHT[variable[1]] == variable[2]
        assert f"--{variable[1]}:" in CSS
    elif value.startswith("url(#"):
        assert value[5:-1] in identifiers
    else:
        assert value == "none"


@pytest.mark.slow
def test_they_are_pictures_with_words_and_themed(drawn: dict[str, Chart]) -> None:
    checked(list(drawn.values()))


@pytest.mark.slow
@needs.chromium
def test_texts_can_be_read_on_a_phone(drawn: dict[str, Chart]) -> None:
    """As Chromium draws them in both themes: letters large enough, on no other text, within the picture."""
    from playwright.sync_api import sync_playwright

    found = "".join(chart.svg for chart in drawn.values())
    inks = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        for theme in ("light", "dark"):
            page.set_content(f"<!doctype html><html data-theme={theme}><style>{CSS}</style>{found}")
            seen = page.evaluate(SEEN)
            assert len(seen["heights"]) == sum(len(texts(chart)) for chart in drawn.values())
            assert min(seen["heights"]) >= 10 - ROUNDING
            assert seen["outside"] == seen["overlaps"] == []
            assert seen["width"] == 390
            inks.append(seen["inks"])
        browser.close()
    rgb = [
        {f"rgb({', '.join(str(int(theme[name][i : i + 2], 16)) for i in (1, 3, 5))})" for name in TEXT}
        for theme in (LIGHT, DARK)
    ]
    assert [set(colours) for colours in inks] == rgb


@pytest.mark.slow
def test_series_differ_without_their_colours(drawn: dict[str, Chart]) -> None:
    for name in ("chart-values-1-1", "chart-rules-1", "chart-routing-1", "chart-breakdown-1", "chart-tokens"):
        root = ElementTree.fromstring(drawn[name].svg)
        shapes = {colour: set() for colour in SERIES[:2]}  # type: dict[str, set[tuple[str, int]]]
        for shape in (e for e in root.iter() if e.tag in (f"{SVG}circle", f"{SVG}polygon")):
            colour = shape.attrib["fill"].removeprefix("var(--").partition(",")[0]
            if colour in shapes:
                shapes[colour].add((shape.tag, shape.attrib.get("points", "").count(",")))
        first, second = shapes.values()
        assert first
        assert second
        assert not first & second
    assert len({(i % len(SERIES), i % len(SHAPES)) for i in range(72)}) == 72
    patterns = re.findall(r'<pattern .*?<path d="(.*?)"', drawn["chart-outcomes-1"].svg)
    assert len(patterns) == 1  # of unparsable answers, which the lazy model gives
    assert "unparsable" in texts(drawn["chart-outcomes-1"])


@pytest.mark.parametrize(
    ("low", "high", "width", "labels"),
    [
        (0, 100, 220, ["0", "20", "40", "60", "80", "100"]),
        (35.2, 97.1, 300, ["40", "50", "60", "70", "80", "90"]),
        (0.5, 1.2, 300, ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0", "1.1", "1.2"]),
        (-7, 7, 300, ["-6", "-4", "-2", "0", "2", "4", "6"]),
        (0, 166_000, 300, ["0", "50 k", "100 k", "150 k"]),
        (0, 3_200_000, 300, ["0", "0.5 M", "1 M", "1.5 M", "2 M", "2.5 M", "3 M"]),
        (0, 8000, 110, ["0", "5,000"]),
        (0, 3e-7, 110, ["0", "2e-07"]),
    ],
)
def test_ticks_are_round_and_have_room(low: float, high: float, width: float, labels: list[str]) -> None:
    scale = Scale(low, high, 10, 10 + width)
    assert (scale(low), scale(high)) == pytest.approx((10, 10 + width))
    found = scale.ticks()
    assert list(found.values()) == labels
    assert all(10 - 1e-6 <= scale(value) <= 10 + width + 1e-6 for value in found)


def test_every_text_and_attribute_is_escaped() -> None:
    hostile = "\" onload='x' <b>&\x1b\u202e"
    words = hostile[:-2]
    root = ElementTree.fromstring(element("g", x=1 / 3, fill_opacity=words))
    assert root.attrib == {"x": "0.33", "fill-opacity": words}
    canvas = Canvas("id", Scale(0, 1, 0, 400))
    canvas.text(0, 0, hostile)
    canvas.axis(hostile)
    canvas.legend([Style(hostile, "series-1")])
    canvas.key([hostile])
    assert texts(canvas.chart("", "", "")).count(words) == 4


def test_a_legend_tells_apart_runs_whose_names_begin_and_end_alike() -> None:
    names = [f"{'a' * 60}{i}{'b' * 60}" for i in range(4)]
    for some in ([f"fake/gold?wrong=0.{i}" for i in range(1, 9)], names):
        canvas = Canvas("id", Scale(0, 1, 0, 100))
        canvas.legend(list(styles(some).values()))
        assert len(set(texts(canvas.chart("", "", "")))) == len(some)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_colours_stand_out_from_the_paper(theme: dict[str, str]) -> None:
    """At least 3:1 for graphics and 4.5:1 for text (WCAG 2.2, 1.4.11 and 1.4.3)."""

    def luminance(colour: str) -> float:
        weights = 0.2126, 0.7152, 0.0722
        return sum(weight * part for weight, part in zip(weights, _linear(colour), strict=True))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    assert theme.keys() == LIGHT.keys()
    for name, colour in theme.items():
        if name not in ("paper", "line"):
            least = 4.5 if name in ("ink", "muted", "outcome-correct") else 3
            assert contrast(colour, theme["paper"]) >= least, name
    assert contrast(theme["ink"], theme["heat"]) >= 4.5  # numbers in the strongest field


CONES = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)
    ),
    "no green": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)
    ),
    "no blue": (
        (1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)
    ),
}  # fmt: skip
"""How linear sRGB is seen with some of the cones: Machado, Oliveira and Fernandes (2009), severity 1.0."""
XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
WHITE = (0.95047, 1.0, 1.08883)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
@pytest.mark.parametrize("cones", CONES)
def test_eight_runs_are_told_apart_by_their_colours(theme: dict[str, str], cones: str) -> None:
    """By everybody: at least 20 apart in CIELAB, where 2 can just be seen."""

    def times(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> list[float]:
        return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]

    def lab(colour: str) -> tuple[float, float, float]:
        seen = (min(max(part, 0.0), 1.0) for part in times(CONES[cones], _linear(colour)))
        parts = [part / white for part, white in zip(times(XYZ, [*seen]), WHITE, strict=True)]
        x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in parts)
        return 116 * y - 16, 500 * (x - y), 200 * (y - z)

    assert len(SERIES) == 8
    for one, other in itertools.combinations(SERIES, 2):
        assert math.dist(lab(theme[one]), lab(theme[other])) >= 20, (one, other)


def _linear(colour: str) -> list[float]:
    """A colour's linear red, green and blue, 0 to 1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


@pytest.mark.slow
def test_nothing_from_outside_acts(tmp_path: Path) -> None:
    task = f"{quiz(tmp_path, test=8, validation=4)}:quiz:routed"
    stores = [
        evaluated(tmp_path / f"{i}.db", counting(student, name), [task]) for i, name in enumerate(HOSTILE)
    ]
    table = build_table(stores)
    grids = build_grids(stores, table)
    paid = costs(stores, table, grids, dict.fromkeys(HOSTILE, (1.0, 2.0)))
    found = charts(table, grids, papers=("gemini-1.0",), seconds=waited(stores, table), costs=paid)
    assert len(found) == 10
    found += [progress_of(HOSTILE)]
    checked(found)
    for chart in found:
        assert len(chart.svg) < 200_000
        assert not re.search(r"<(script|style|img|a|foreignObject|image|use)\b", chart.svg)
        assert not re.search(r"<[^>]*\s(on\w+|style|href|xlink:href)\s*=", chart.svg)
    # As written, and what is no sign that can be read is left out.
    legend = texts(next(chart for chart in found if chart.id == "chart-tokens"))
    assert {HOSTILE[0], HOSTILE[1], HOSTILE[2], "evil [31m", HOSTILE[4], "datum.value", "__proto__"} <= set(
        legend
    )
    for letters in ("x", "🧮", "[模型]"):
        assert any(re.fullmatch(f"{letters}+…{letters}+", text) for text in legend)
    for store in stores:
        store.close()
