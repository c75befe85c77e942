"""Charts: what they show, that nothing acts in them, and that nobody needs to see colours."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalkit.engine.plan import make_plan
from evalkit.engine.run import open_run
from evalkit.errors import UsageError
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel, Script
from evalkit.report.charts import STYLE, Chart, charts, require, types, waited
from evalkit.report.charts.lines import Line, Mark
from evalkit.report.charts.svg import DARK, LIGHT, SERIES, SHAPES
from evalkit.report.charts.values import capability_charts
from evalkit.report.grid import Grid, build_grids, figure_text
from evalkit.report.paper import load_tables
from evalkit.report.table import Table, build_table
from evalkit.session import execute_plan
from evalkit.store import Store
from tests.engine.test_routed import chance, question, student
from tests.made import sums
from tests.quiz import quiz

SVG = "{http://www.w3.org/2000/svg}"
ATTRIBUTES = {
    *("d", "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "fill-opacity", "opacity"),
    *("transform", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "dx", "dy", "clip-path", "id"),
    *("text-anchor", "font-size", "font-weight", "font-style", "font-family", "patternUnits"),
    *("class", "role", "viewBox", "overflow", "aria-labelledby"),
}
TAGS = {
    "svg", "title", "desc", "g", "path", "rect", "line", "text", "tspan", "defs", "clipPath", "pattern"
}  # fmt: skip
GOOD, LAZY = "openai/a-model-with-quite-a-long-name-2026-11", "fake/lazy"
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
    "datum.value",
    "__proto__",
)


class Counting(FakeModel):
    """Says how many tokens it took and how long."""

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        response = await super().generate(request, draw=draw)
        return dataclasses.replace(response, prompt_tokens=100, completion_tokens=7, seconds=0.5)


def lazy(request: Request, draw: int) -> str:
    asked = question(request)
    if chance("silent", asked, draw) < 0.2:
        return "no idea"
    return request.gold if chance("right", asked, draw) < 0.5 else request.spoiled


def evaluated(path: Path, model: FakeModel, tasks: Sequence[str]) -> Store:
    asyncio.run(execute_plan(make_plan(model, tasks), path))
    return Store.open(path)


COLUMNS = {"ultra": "Gemini Ultra", "pro": "Gemini Pro", "gpt": "GPT-4", "ratio": "Ultra / Pro"}


def row(name: str, task: str, measure: str = "", **figures: str) -> str:
    """`figures`: text and protocol by column, and a unit where it is not the row's."""
    lines = [f'[[rows]]\nname = "{name}"\ntask = "{task}"\nmetric = "accuracy"\nmeasure = "{measure}"']
    lines.append('unit = "%"\nhigher_is_better = true')
    for column, words in figures.items():
        text, protocol, *unit = words.split()
        figure = f'text = "{text}", protocol = "as here", match = ["{protocol}"]'
        figure += f', unit = "{unit[0]}"' if unit else ""
        lines.append(f'figures."{COLUMNS[column]}" = {{ {figure} }}')
    return "\n".join(lines) + "\n"


PAPER = {
    "paper": """
title = "A paper"
url = ""
version = "1"
tables = ["table-1", "figure-9"]

[capabilities]
"Letters" = ["quiz"]
"All" = ["quiz", "sums"]
"Video" = ["VATEX"]
""",
    "table-1": 'title = "Table 1"\ncolumns = ["Gemini Ultra", "Gemini Pro", "Ultra / Pro"]\n'
    + row("Quiz", "quiz", ultra="90.0 routed", pro="72.5 routed")
    + row("Sums", "sums", ultra="94.4 once", pro="86.5 other", ratio="1.09 once ratio"),
    "figure-9": 'title = "Figure 9"\ncolumns = ["GPT-4", "Gemini Ultra"]\n'
    + row("greedy letter", "quiz", "accuracy (greedy)", gpt="84.21 routed", ultra="83.96 routed")
    + row("majority", "quiz", "accuracy (majority)", gpt="87.29 routed", ultra="84.99 routed")
    + row("routed", "quiz", "accuracy", gpt="87.29 routed", ultra="90.04 routed"),
}


@dataclasses.dataclass(frozen=True)
class Report:
    stores: Sequence[Store]
    paper: str
    table: Table
    grids: Sequence[Grid]

    def charts(self, **more: Any) -> dict[str, Chart]:
        more = {"papers": (self.paper,), "seconds": waited(self.stores, self.table)} | more
        return {chart.id: chart for chart in charts(self.table, self.grids, **more)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    """Two models on a routed quiz and on sums, beside a paper's printed figures."""
    folder = tmp_path_factory.mktemp("charts")
    tasks = [f"{quiz(folder, test=120, validation=60)}:quiz:routed", f"{sums(folder, 40)}:sums:once"]
    scripts: dict[str, Script] = {GOOD: student, LAZY: lazy}
    stores = [
        evaluated(folder / f"{i}.db", Counting(script, name), tasks)
        for i, (name, script) in enumerate(scripts.items())
    ]
    paper = folder / "paper"
    paper.mkdir()
    for name, text in PAPER.items():
        (paper / f"{name}.toml").write_text(text, encoding="utf-8")
    table = build_table(stores)
    yield Report(stores, str(paper), table, build_grids(stores, table, load_tables(str(paper))))
    for store in stores:
        store.close()


@pytest.fixture(scope="module")
def drawn(report: Report) -> dict[str, Chart]:
    return report.charts(prices={LAZY: (0.7, 1.9)})


def texts(chart: Chart) -> list[str]:
    root = ElementTree.fromstring(chart.svg)
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


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


# -- what there is -------------------------------------------------------------------------------------


def test_a_page_of_charts(drawn: dict[str, Chart]) -> None:
    assert list(drawn) == [
        "chart-values-1-1", "chart-capabilities-1", "chart-rules-1", "chart-routing-1", "chart-breakdown-1",
        "chart-breakdown-2", "chart-outcomes-1", "chart-tokens", "chart-tokens-per-sample", "chart-time",
        "chart-cost",
    ]  # fmt: skip
    checked(list(drawn.values()))


def test_only_what_there_are_figures_for(tmp_path: Path) -> None:
    store = evaluated(tmp_path / "r.db", FakeModel(lambda r, n: r.gold), [f"{sums(tmp_path, 1)}:sums:once"])
    found = charts(build_table([store]))
    assert [chart.id for chart in found] == ["chart-values-1", "chart-outcomes-1"]
    checked(found)
    store.close()


def test_a_run_that_has_just_begun_has_no_charts(tmp_path: Path) -> None:
    store = open_run(tmp_path / "r.db", make_plan(FakeModel(lambda r, n: r.gold), [sums(tmp_path)]))
    table = build_table([store])
    assert charts(table) == charts(table, build_grids([store], table), papers=("gemini-1.0",)) == []
    store.close()


def test_specifications_are_vega_lite_s(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing leaves this check out, for it takes longer than the drawing."""
    valid = []

    def to_svg(drawing: Any, *words: str) -> str:
        valid.append(drawing.to_dict(validate=True)["$schema"])
        return "<svg/>"

    monkeypatch.setattr(types, "to_svg", to_svg)
    assert len(report.charts()) == len(valid) == 10


def test_without_the_libraries_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require()
    for name in ("altair", "vl_convert"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(UsageError, match=r"pip install 'evalkit\[html\]'"):
                require()


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no Chromium")
def test_texts_can_be_read_on_a_phone(drawn: dict[str, Chart]) -> None:
    """As Chromium draws them in both themes: letters large enough, on no other text, within the picture."""
    from playwright.sync_api import sync_playwright

    found = "".join(chart.svg for chart in drawn.values())
    inks = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
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


# -- what they show ------------------------------------------------------------------------------------


def test_values_stand_where_their_axis_says(report: Report, drawn: dict[str, Chart]) -> None:
    chart = drawn["chart-values-1-1"]
    cells = [cell for cell in report.table.cells if not cell.view]
    written = texts(chart)
    for cell in cells:
        assert figure_text(cell.value, cell.low, cell.high) in written
    assert {GOOD, LAZY, "Quiz: routed, accuracy", "Sums: once, accuracy"} <= set(written)
    assert "A = Gemini Ultra · B = Gemini Pro" in written[-1]
    # Intervals are lines from end to end: their pixels are their figures, stretched and moved.
    ends = [(cell.low, cell.high) for cell in cells]
    pixels = _lines(chart, width="2")
    assert len(pixels) == len(ends)
    scale = (pixels[0][1] - pixels[0][0]) / (ends[0][1] - ends[0][0])  # type: ignore[operator]
    for (low, high), (left, right) in zip(ends, pixels, strict=True):
        assert low is not None
        assert high is not None
        assert left == pytest.approx(pixels[0][0] + scale * (low - ends[0][0]), abs=0.1)  # type: ignore[operator]
        assert right == pytest.approx(left + scale * (high - low), abs=0.1)


def _lines(chart: Chart, width: str) -> list[tuple[float, float]]:
    """Left and right ends of the lines of a width."""
    found = []
    for line in ElementTree.fromstring(chart.svg).iter(f"{SVG}line"):
        if line.attrib.get("stroke-width") == width:
            x, _ = map(float, re.findall(r"[-\d.]+", line.attrib["transform"]))
            x2 = x + float(line.attrib.get("x2", 0))
            found.append((min(x, x2), max(x, x2)))
    return found


def test_a_printed_figure_under_another_protocol_is_hollow_and_a_ratio_is_none(
    drawn: dict[str, Chart],
) -> None:
    chart = drawn["chart-values-1-1"]
    discs = [text for text in texts(chart) if text in ("A", "B", "C")]
    assert sorted(discs) == ["A", "A", "B", "B"]
    root = ElementTree.fromstring(chart.svg)
    inks = [text.attrib["fill"] for text in root.iter(f"{SVG}text") if text.text in ("A", "B")]
    # White on a filled disc; one figure, Gemini Pro's of sums, was obtained otherwise.
    assert sorted(ink.partition(",")[0] for ink in inks) == ["var(--ink", *["var(--paper"] * 3]
    assert "Hollow ones were obtained otherwise" in chart.caption


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


def test_decision_rules_beside_figure_9(report: Report, drawn: dict[str, Chart]) -> None:
    chart = drawn["chart-rules-1"]
    written = texts(chart)
    assert [text for text in written if text in ("greedy letter", "majority", "routed")] == [
        "greedy letter", "majority", "routed"
    ]  # fmt: skip
    assert "A = GPT-4 · B = Gemini Ultra" in written
    figures = {
        (c.model, c.view): figure_text(c.value, c.low, c.high) for c in report.table.cells if c.task == "quiz"
    }
    for model in (GOOD, LAZY):
        for view in ("", "greedy", "majority"):
            assert figures[model, view] in written
    plain = {chart.id: chart for chart in charts(report.table)}["chart-rules-1"]
    assert {"Greedy", "Plain majority", "Routed"} <= set(texts(plain))


def test_the_routing_curve_has_every_threshold_and_rings_the_chosen(
    report: Report, drawn: dict[str, Chart]
) -> None:
    chart = drawn["chart-routing-1"]
    curves = [
        cell.found["validation_curve"] for cell in report.table.cells if cell.task == "quiz" and not cell.view
    ]
    assert [len(curve) for curve in curves] == [10, 10]  # of eight draws: 0 to 8 of them, and never
    root = ElementTree.fromstring(chart.svg)
    filled = [path for path in root.iter(f"{SVG}path") if "var" in path.attrib.get("fill", "")]
    assert len(filled) == 20 + 2  # and the legend's
    rings = [
        p for p in root.iter(f"{SVG}path") if "var" in p.attrib.get("stroke", "") and "A" in p.attrib["d"]
    ]
    assert len(rings) == 2
    assert "never" in texts(chart)
    for cell in report.table.cells:
        if cell.task == "quiz" and not cell.view:
            assert f"{cell.found['threshold']:.3g}" in chart.alt


def test_groups_come_best_first_with_tags_apart(report: Report, drawn: dict[str, Chart]) -> None:
    cell = next(cell for cell in report.table.cells if cell.task == "quiz")
    groups = sorted("ab", key=lambda name: -cell.groups[name].value)
    tags = sorted(("high", "low"), key=lambda name: -cell.groups[name].value)
    assert [text for text in texts(drawn["chart-breakdown-1"]) if text in cell.groups] == groups + tags
    assert "4 groups." in drawn["chart-breakdown-1"].alt


def test_outcome_shares(report: Report, drawn: dict[str, Chart]) -> None:
    chart = drawn["chart-outcomes-1"]
    bars = [
        path.attrib for path in ElementTree.fromstring(chart.svg).iter(f"{SVG}path")
        if re.fullmatch(r"M[-\d.,]+h[\d.]+v14h-[\d.]+Z", path.attrib["d"])
    ]  # fmt: skip
    cells = [cell for cell in report.table.cells if not cell.view]
    assert len(bars) == sum(bool(n) for cell in cells for n in cell.outcomes.values())
    for cell in cells:
        share = 100 * cell.outcomes["correct"] / sum(cell.outcomes.values())
        assert f"{share:.0f}" in texts(chart)


def test_usage_is_what_the_run_file_has(report: Report, drawn: dict[str, Chart]) -> None:
    def asked(store: Store, columns: str) -> tuple[float, ...]:
        with closing(sqlite3.connect(store.path)) as db:
            found: tuple[float, ...] = db.execute(f"SELECT {columns} FROM draw").fetchone()
        return found

    (n,) = asked(report.stores[1], "count(*)")
    assert n == 180 * 9 + 40  # test and validation questions, eight draws and the greedy answer; sums
    assert waited(report.stores, report.table)[LAZY] == pytest.approx(n * 0.5)
    assert f"{n * 0.5 / 60:.3g} min" in texts(drawn["chart-time"])
    assert f"{n * 100 / 1000:.3g} k" in texts(drawn["chart-tokens"])
    assert f"{180 * 9 * 7 / 120:.3g}" in texts(drawn["chart-tokens-per-sample"])
    cost = n * (100 * 0.7 + 7 * 1.9) / 1e6
    assert drawn["chart-cost"].alt == f"Cost: {LAZY} {cost:.2f}."
    assert GOOD not in texts(drawn["chart-cost"])  # no price is known
    assert "0.7 and 1.9" in drawn["chart-cost"].caption


# -- capabilities --------------------------------------------------------------------------------------


def test_capabilities_are_mean_ratios_over_comparable_figures(
    report: Report, drawn: dict[str, Chart]
) -> None:
    values = {(cell.task, cell.model): cell.value or 0 for cell in report.table.cells if not cell.view}
    chart = drawn["chart-capabilities-1"]
    assert chart.title == "Capabilities, relative to Gemini Pro"
    assert chart.caption.endswith("Without figures: Video.")
    # Pro's figure of sums is under another protocol, so that quiz is left.
    assert {"Letters (1 benchmark)", "All (1 benchmark)"} <= set(texts(chart))
    for model in (GOOD, LAZY):
        assert f"{values['quiz', model] / 72.5:.2f}" in texts(chart)
    ultra = report.charts(relative_to="Gemini Ultra")["chart-capabilities-1"]
    assert {"Letters (1 benchmark)", "All (1 to 2 benchmarks)"} <= set(texts(ultra))
    for model in (GOOD, LAZY):
        ratios = (values["quiz", model] / 90.0, values["sums", model] / 94.4)
        assert f"{sum(ratios) / 2:.2f}" in texts(ultra)
    own = report.charts(relative_to=GOOD)["chart-capabilities-1"]
    assert f"{values['quiz', LAZY] / values['quiz', GOOD]:.2f}" in texts(own)
    assert GOOD not in texts(own)


def test_lower_is_better_stands_upside_down() -> None:
    line = Line("Errors", "errors", "once", "%", False, (Mark("Pro", 8.0, printed=True), Mark("mine", 4.0)))
    (chart,) = capability_charts([line], [{"Audio": ["errors"]}], ["mine"], "")
    assert "2.00" in texts(chart)
    assert chart.title == "Capabilities, relative to Gemini Pro"  # Pro, as most tables call it


def test_relative_to_a_model_that_is_nowhere(report: Report) -> None:
    with pytest.raises(UsageError, match="Gemini Ultra"):
        report.charts(relative_to="Gemini Ultro")
    with pytest.raises(UsageError, match="need a paper"):
        report.charts(relative_to="Gemini Ultra", papers=())
    with pytest.raises(UsageError, match=r"gemini-1\.0"):
        report.charts(papers=("gemini-1.1",))


# -- what comes from outside ---------------------------------------------------------------------------


def test_nothing_from_outside_acts(tmp_path: Path) -> None:
    task = f"{quiz(tmp_path, test=8, validation=4)}:quiz:routed"
    stores = [
        evaluated(tmp_path / f"{i}.db", Counting(student, name), [task]) for i, name in enumerate(HOSTILE)
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
    assert any(re.fullmatch("x+…x+", text) for text in legend)
    for store in stores:
        store.close()


def test_two_runs_of_one_model_are_two_series(tmp_path: Path) -> None:
    task = f"{sums(tmp_path, 12)}:sums:once"
    stores = [evaluated(tmp_path / f"{name}.db", FakeModel(lambda r, n: r.gold), [task]) for name in "ab"]
    table = build_table(stores)
    (named, *_) = charts(table, build_grids(stores, table))
    assert {"fake/callable (a)", "fake/callable (b)"} <= set(texts(named))
    (numbered, *_) = charts(table)
    assert {"fake/callable", "fake/callable (run 2)"} <= set(texts(numbered))
    for store in stores:
        store.close()
