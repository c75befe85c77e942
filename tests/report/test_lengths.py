"""Figures by the length of prompts: parts, tables, JSON and charts, of run files."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import evalkit
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel, Hinted, Hints
from evalkit.report.build import render_report
from evalkit.report.charts.lengths import length_charts
from evalkit.report.lengths import divided, length_tables, lengths
from evalkit.report.table import build_table
from evalkit.runfile.slim import write_slim
from evalkit.runfile.store import Store
from evalkit.stats.intervals import wilson
from tests.charted import SVG, texts
from tests.made import sums

COUNT = 240


@pytest.mark.parametrize(
    ("found", "parts"),
    [
        ([], []),
        ([7] * 19, []),
        ([7] * 100, [(7, 7)]),
        (range(39), [(0, 38)]),
        (range(101), [(0, 20), (21, 40), (41, 60), (61, 80), (81, 100)]),
        ([5] * 10 + [6] * 90 + [7] * 100, [(5, 6), (7, 7)]),
        ([1] * 190 + list(range(2, 12)), [(1, 11)]),
        ([1] * 100 + list(range(2, 42)), [(1, 1), (2, 21), (22, 41)]),
    ],
)
def test_parts_are_equal_and_no_length_is_in_two(found: list[int], parts: list[tuple[int, int]]) -> None:
    assert divided(reversed(found)) == parts


def number(request: Request) -> int:
    """The first number of the sum that was asked."""
    found = re.search(r"What is (\d+)", str(request.prompt))
    assert found
    return int(found[1])


def run_of(folder: Path, name: str, *, counted: bool, limit: int | None = None) -> Store:
    """A run that is right about every sum of small numbers, and every other one of large ones."""

    def answer(request: Request, draw: int, hints: Hints) -> Response:
        asked = number(request)
        text = hints.gold() if asked < 100 or asked % 2 else "-1"
        return Response(text, prompt_tokens=1000 + asked if counted else None)

    path = folder / f"{name}.db"
    evalkit.run(FakeModel(Hinted(answer), f"fake/{name}"), sums(folder, COUNT), output=path, limit=limit)
    return Store.open(path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    folder = tmp_path_factory.mktemp("lengths")
    found = [run_of(folder, "counted", counted=True), run_of(folder, "other <b>", counted=False)]
    found.append(run_of(folder, "few", counted=True, limit=15))
    yield found
    for store in found:
        store.close()


def test_all_runs_have_the_same_samples_in_a_part(stores: list[Store]) -> None:
    counted, other = lengths(stores, build_table(stores))  # 15 samples are too few
    assert counted.counts == other.counts == "prompt tokens, as counted for fake/counted"
    assert [(part.least, part.most) for part in counted.parts] == [
        (1000, 1047), (1048, 1095), (1096, 1143), (1144, 1191), (1192, 1239)
    ]  # fmt: skip
    for one in (counted, other):
        figures = [part.figure for part in one.parts if part.figure]
        assert [figure.n for figure in figures] == [48] * 5
        right = [sum(asked < 100 or asked % 2 for asked in range(low, low + 48)) for low in range(0, 240, 48)]
        assert [figure.value for figure in figures] == pytest.approx([100 * n / 48 for n in right])
        value = one.run.cell.value
        assert value == pytest.approx(sum(figure.value for figure in figures) / 5), "the parts are the whole"
        for figure, hits in zip(figures, right, strict=True):
            ends = [100 * end for end in wilson(hits, 48)]
            assert [figure.low, figure.high] == pytest.approx(ends)
    (alone,) = lengths(stores[1:2], build_table(stores[1:2]))
    assert alone.counts == "characters of the question"
    assert [(part.least, part.most) for part in alone.parts] == [(5, 6), (7, 7)]


def test_the_chart_has_the_figures_of_the_tables(stores: list[Store]) -> None:
    found = lengths(stores, build_table(stores))
    (chart,) = length_charts(found, ["fake/counted", "fake/other <b>", "fake/few"])
    assert chart.title == "sums:once, accuracy by length"
    svg = ElementTree.fromstring(chart.svg)
    told = [title.text for mark in svg.iter(f"{SVG}circle") for title in mark.iter(f"{SVG}title")]
    (table, _) = length_tables(found)
    assert len(told) == len(table.rows) == 5
    for words, row in zip(told, table.rows, strict=True):
        length, value, interval, n = (cell.text for cell in row.cells)
        assert words == f"fake/counted, {length}: {value.removesuffix(' %')} ({interval}), n {n}"
    curves = [line.attrib["points"].split() for line in svg.iter(f"{SVG}polyline")]
    assert [len(curve) for curve in curves] == [5, 5]
    heights = [float(place.split(",")[1]) for place in curves[0]]
    assert heights[0] == heights[1] < heights[2] < heights[3], "lower is worse"
    written = texts(chart)
    assert {"fake/counted", "fake/other <b>", "n 48", "1,000", "1,096", "1,239"} <= set(written)


@pytest.mark.slow
def test_json_and_the_page_have_it(stores: list[Store]) -> None:
    document = json.loads(render_report(stores[:2], "json"))
    counted, other = document["lengths"]
    assert (counted["task"], counted["model"], other["model"]) == ("sums", "fake/counted", "fake/other <b>")
    first = counted["parts"][0]
    assert (first["least"], first["most"], first["figure"]["n"]) == (1000, 1047, 48)
    page = render_report(stores[:2], "html")
    assert "sums:once, accuracy by length" in page
    for table in length_tables(lengths(stores[:2], build_table(stores[:2]))):
        assert html.escape(table.title) in page
        for row in table.rows:
            assert all(html.escape(cell.text) in page for cell in row.cells)


def test_a_run_without_texts_has_none(stores: list[Store], tmp_path: Path) -> None:
    write_slim(stores[0].path, tmp_path / "slim.db")
    with Store.open(tmp_path / "slim.db") as slim:
        assert lengths([slim], build_table([slim])) == ()
        assert "lengths" not in json.loads(render_report([slim], "json"))
