"""Charts: nothing acts in them, nobody needs to see colours, and they can be read on a phone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalkit.errors import UsageError
from evalkit.report.charts import STYLE, Chart, charts, require, types, waited
from evalkit.report.charts.svg import DARK, LIGHT, SERIES, SHAPES
from evalkit.report.grids import build_grids
from evalkit.report.table import build_table
from tests import needs
from tests.charted import LAZY, SVG, Report, counting, evaluated, made_report, texts
from tests.engine.test_routed import student
from tests.quiz import quiz
from tests.report.pages import CHROMIUM

ATTRIBUTES = {
    *("d", "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "fill-opacity", "opacity"),
    *("transform", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "dx", "dy", "clip-path", "id"),
    *("text-anchor", "font-size", "font-weight", "font-style", "font-family", "patternUnits"),
    *("class", "role", "viewBox", "overflow", "aria-labelledby"),
}
TAGS = {
    "svg", "title", "desc", "g", "path", "rect", "line", "text", "tspan", "defs", "clipPath", "pattern"
}  # fmt: skip
TEXT = ("ink", "muted", "paper")
"""Colours of texts."""
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
    return report.charts(prices={LAZY: (0.7, 1.9)})


def checked(found: Sequence[Chart]) -> None:
    """Everything that must hold of charts in one page, whatever runs are called."""
    identifiers: list[str] = []
    for chart in found:
        root = ElementTree.fromstring(chart.svg)
        mine = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        identifiers += mine
        assert all(identifier.startswith(chart.id) for identifier in mine)
        assert root.attrib["role"] == "img"
        name, description = root.attrib["aria-labelledby"].split()
        assert [(e.tag, e.attrib, e.text) for e in root[:2]] == [
            (f"{SVG}title", {"id": name}, chart.title), (f"{SVG}desc", {"id": description}, chart.alt)
        ]  # fmt: skip
        assert {element.tag.removeprefix(SVG) for element in root.iter()} <= TAGS
        assert {key for element in root.iter() for key in element.attrib} <= ATTRIBUTES
        for element in root.iter():
            for key in ("fill", "stroke", "clip-path"):
                _is_themed(element.attrib.get(key, "none"), mine)
        for text in (chart.title, chart.alt, chart.caption, *texts(chart)):
            assert text.isprintable()
            assert len(text) < 2000
    assert len(set(identifiers)) == len(identifiers)
    assert len({chart.id for chart in found}) == len(found)


def _is_themed(value: str, identifiers: Sequence[str]) -> None:
    variable = re.fullmatch(r"var\(--([a-z0-9-]+), (#[0-9a-f]{6})\)", value)
    if variable:
        assert LIGHT[variable[1]] == variable[2]
        assert f"--{variable[1]}:" in STYLE
    elif value.startswith("url(#"):
        assert value[5:-1] in identifiers
    else:
        assert value == "none"


@pytest.mark.slow
def test_they_are_pictures_with_words_and_themed(drawn: dict[str, Chart]) -> None:
    checked(list(drawn.values()))


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require()
    for name in ("altair", "vl_convert"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(UsageError, match=r"pip install 'evalkit\[html\]'"):
                require()


def test_specifications_are_vega_lite_s(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing leaves this check out, for it takes longer than the drawing."""
    valid = []

    def to_svg(drawing: Any, *words: str) -> str:
        valid.append(drawing.to_dict(validate=True)["$schema"])
        return "<svg/>"

    monkeypatch.setattr(types, "to_svg", to_svg)
    assert len(report.charts()) == len(valid) == 10


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
            page.set_content(f"<!doctype html><html data-theme={theme}><style>{STYLE}</style>{found}")
            seen = page.evaluate(SEEN)
            assert len(seen["heights"]) == sum(len(texts(chart)) for chart in drawn.values())
            assert min(seen["heights"]) >= 10
            assert seen["outside"] == seen["overlaps"] == []
            assert seen["width"] == 390
            inks.append(seen["inks"])
        browser.close()
    rgb = [
        {f"rgb({', '.join(str(int(theme[name][i : i + 2], 16)) for i in (1, 3, 5))})" for name in TEXT}
        for theme in (LIGHT, DARK)
    ]
    assert [set(colours) for colours in inks] == rgb


def test_series_differ_without_their_colours(drawn: dict[str, Chart]) -> None:
    for name in ("chart-values-1-1", "chart-rules-1", "chart-routing-1", "chart-breakdown-1", "chart-tokens"):
        root = ElementTree.fromstring(drawn[name].svg)
        shapes = {colour: set() for colour in SERIES[:2]}  # type: dict[str, set[str]]
        for path in root.iter(f"{SVG}path"):
            colour = path.attrib.get("fill", "none")[-8:-1]
            if colour in shapes:
                shapes[colour].add("".join(re.findall("[A-Za-z]", path.attrib["d"])))
        first, second = shapes.values()
        assert first
        assert second
        assert not first & second
    assert len({(i % len(SERIES), i % len(SHAPES)) for i in range(42)}) == 42
    patterns = re.findall(r'<pattern .*?<path d="(.*?)"', drawn["chart-outcomes-1"].svg)
    assert len(patterns) == 1  # of unparsable answers, which the lazy model gives
    assert "unparsable" in texts(drawn["chart-outcomes-1"])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_colours_stand_out_from_the_paper(theme: dict[str, str]) -> None:
    """At least 3:1 for graphics and 4.5:1 for text (WCAG 2.2, 1.4.11 and 1.4.3)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    assert theme.keys() == LIGHT.keys()
    for name, colour in theme.items():
        if name not in ("paper", "line"):
            least = 4.5 if name in ("ink", "muted", "outcome-correct") else 3
            assert contrast(colour, theme["paper"]) >= least, name


@pytest.mark.slow
def test_nothing_from_outside_acts(tmp_path: Path) -> None:
    task = f"{quiz(tmp_path, test=8, validation=4)}:quiz:routed"
    stores = [
        evaluated(tmp_path / f"{i}.db", counting(student, name), [task]) for i, name in enumerate(HOSTILE)
    ]
    table = build_table(stores)
    grids = build_grids(stores, table)
    prices = dict.fromkeys(HOSTILE, (1.0, 2.0))
    found = charts(table, grids, papers=("gemini-1.0",), seconds=waited(stores, table), prices=prices)
    assert len(found) == 9
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
