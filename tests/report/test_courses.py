"""Courses over positions in reports: tables, JSON and charts, with the runs of a benchmark side by side."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evalkit.engine.plan import make_plan
from evalkit.models.base import Request, Response, TokenLogprob
from evalkit.models.fake import FakeModel
from evalkit.report.build import render_report
from evalkit.report.charts.courses import course_charts
from evalkit.report.courses import NamedCourse, course_tables, courses
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from evalkit.session import execute_plan
from tests.charted import SVG
from tests.law_server import PIECES, Law, text
from tests.made import sums

TEXTS = 5
STEEP, FLAT = Law(4.0, -0.5, 1.0, shape=900.0), Law(0.0, -0.5, 2.0, shape=900.0)
CUT = Law(2.0, -0.5, 0.5, shape=900.0, tokens=PIECES)


def ran(folder: Path, law: Law, name: str) -> Store:
    def echo(request: Request, draw: int) -> Response:
        said = [TokenLogprob(token, -nats, {}) for token, nats in law.nats(str(request.prompt))]
        return Response("", prompt_logprobs=tuple(said))

    plan = make_plan(FakeModel(echo, name), ["nll-by-position"], settings={"dataset": str(folder)})
    asyncio.run(execute_plan(plan, folder / f"{name.partition('/')[2]}.db"))
    return Store.open(folder / f"{name.partition('/')[2]}.db")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    folder = tmp_path_factory.mktemp("courses")
    for seed in range(TEXTS):
        (folder / f"{seed}.txt").write_text(text(seed, 60), "utf-8")
    laws = (("fake/steep", STEEP), ("fake/flat <b>", FLAT), ("fake/cut", CUT))
    found = [ran(folder, law, name) for name, law in laws]
    yield found
    for store in found:
        store.close()


@pytest.fixture(scope="module")
def found(stores: list[Store]) -> Sequence[NamedCourse]:
    return courses(build_table(stores))


def shapes(svg: ElementTree.Element, tag: str) -> list[str]:
    """The points of the curves, or of the bands, which are the polygons that one sees through."""
    return [
        element.attrib["points"]
        for element in svg.iter(f"{SVG}{tag}")
        if tag == "polyline" or "fill-opacity" in element.attrib
    ]


def test_the_tables(found: Sequence[NamedCourse]) -> None:
    tables = list(course_tables(found))
    assert [(table.title.partition(" on ")[0], table.title.partition(", ")[2]) for table in tables] == [
        (name, f"{metric} by position in {counted}")
        for metric, counted in (("bits per byte", "bytes"), ("NLL per token", "tokens"))
        for name in ("fake/steep", "fake/flat <b>", "fake/cut")
    ]
    steep, flat = tables[3:5]
    assert [column.text for column in steep.columns] == [
        "positions", "nats per token", "95 % interval", "documents", "tokens"
    ]  # fmt: skip
    places = "1 2–3 4–7 8–15 16–31 32–63"
    assert " ".join(row.cells[0].text for row in steep.rows) == places
    assert [row.cells[3].text for row in steep.rows] == ["5"] * 6
    assert [row.cells[4].text for row in steep.rows] == ["5", "10", "20", "40", "80", "145"]
    mean = sum(4 * x**-0.5 + 1 for x in range(32, 61)) / 29
    assert float(steep.rows[-1].cells[1].text) == pytest.approx(mean, abs=0.01)
    law, asked = steep.remarks
    assert law.startswith("Power law: ")
    assert law.endswith("fitted to the positions 2 to 63, in whose octaves every document has tokens.")
    assert asked == "Asked: one request for each text."
    assert flat.remarks[0].startswith("No power law αx^β + γ is determined: ")


def test_the_formats_have_them(stores: list[Store]) -> None:
    document = json.loads(render_report(stores[:1], "json"))
    by_byte, by_token = document["courses"]
    assert (by_token["metric"], by_token["unit"], by_token["counted"]) == ("NLL per token", "nats", "tokens")
    assert by_token["octaves"][1] == {
        **by_token["octaves"][1], "first": 2, "last": 3, "documents": 5, "units": 10,
    }  # fmt: skip
    assert set(by_token["octaves"][1]["mean"]) == {"value", "low", "high"}
    assert by_token["power_law"]["beta"]["value"] == pytest.approx(-0.5, abs=0.2)
    assert by_token["undetermined"] is None
    assert by_byte["asked"] == "one request for each text"


def test_other_reports_have_none(tmp_path: Path) -> None:
    task = f"{sums(tmp_path, 3)}:sums:once"
    asyncio.run(execute_plan(make_plan(FakeModel(lambda request, draw: "1"), [task]), tmp_path / "r.db"))
    with Store.open(tmp_path / "r.db") as store:
        assert "courses" not in json.loads(render_report([store], "json"))
        assert courses(build_table([store])) == ()


def test_the_charts(found: Sequence[NamedCourse]) -> None:
    """Runs with the same bytes are in one chart; the same tokens share one, other tokens have their own."""
    names = ["fake/steep", "fake/flat <b>", "fake/cut"]
    drawn = list(course_charts(found, names))
    assert [chart.title.partition(": ")[2] for chart in drawn] == [
        "bits per byte by position in bytes",
        "NLL per token by position in tokens",
        "NLL per token by position in tokens",
    ]
    for chart, runs in zip(drawn, (names, names[:2], names[2:]), strict=True):
        svg = ElementTree.fromstring(chart.svg)
        labels = [element.text for element in svg.iter(f"{SVG}text")]
        assert [label for label in labels if label in names] == runs
        assert len(shapes(svg, "polyline")) == len(runs) <= len(shapes(svg, "polygon"))
        assert "95 % intervals over documents" in chart.caption
    labels = [element.text for element in ElementTree.fromstring(drawn[1].svg).iter(f"{SVG}text")]
    assert {"1", "2", "4", "8", "16", "32", "nats per token", "position in tokens"} <= {*labels}
    assert "<b>" not in drawn[0].svg.replace("&lt;b&gt;", "")
    assert "fake/steep: " in drawn[1].alt


def test_a_band_is_around_its_curve(found: Sequence[NamedCourse]) -> None:
    svg = ElementTree.fromstring(next(iter(course_charts(found[3:4], ["fake/steep"]))).svg)
    (curve,), (band,) = shapes(svg, "polyline"), shapes(svg, "polygon")
    points, around = ([tuple(map(float, p.split(","))) for p in part.split()] for part in (curve, band))
    assert len(around) == 2 * len(points[1:])  # all texts have the same first token
    for (x, y), (_, low), (_, high) in zip(points[1:], around, reversed(around), strict=False):
        assert high - 0.01 <= y <= low + 0.01
        assert math.isfinite(x)
    assert points[0][1] < points[-1][1]  # downwards: a smaller loss is lower


@pytest.mark.slow
def test_the_page_has_charts_and_tables(stores: list[Store]) -> None:
    page = render_report(stores, "html")
    for number in (1, 2, 3):
        assert f'id="chart-course-{number}-title"' in page
    assert "NLL per token by position in tokens" in page
    heading = "| positions | nats per token | 95 % interval | documents | tokens |"
    assert heading in render_report(stores[:1], "markdown")
