"""Reliability of probabilities: the statistics, and tables, JSON and charts of runs that have them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import evalkit
from evalkit.models.base import Likelihood, Request, Response
from evalkit.models.fake import FakeModel, Hinted, Hints
from evalkit.report.build import render_report
from evalkit.report.calibration import calibration_tables, reliabilities
from evalkit.report.charts.calibration import calibration_charts
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from evalkit.stats.calibration import reliability
from tests.charted import SVG


def test_the_error_is_the_mean_distance_between_accuracy_and_confidence() -> None:
    found = reliability([0.95, 0.95, 0.85, 0.85], [True, False, True, True])
    assert [(part.above, part.until, part.count) for part in found.bins] == [(0.8, 0.9, 2), (0.9, 1.0, 2)]
    assert [part.accuracy for part in found.bins] == [1.0, 0.5]
    assert found.error == pytest.approx(0.5 * 0.15 + 0.5 * 0.45)
    assert found.count == 4


def test_a_bound_belongs_to_the_bin_below_it_and_certainty_to_the_last() -> None:
    found = reliability([0.0, 0.1, 0.2, 1.0], [False] * 4)
    assert [(part.until, part.count) for part in found.bins] == [(0.1, 2), (0.2, 1), (1.0, 1)]
    assert reliability([1.0], [True]).error == 0.0


def run_at(folder: Path, name: str, sure: float, wrong: float) -> Store:
    """A run whose model says `sure` for its letter, which is wrong in about the share `wrong`."""

    def answer(request: Request, draw: int, hints: Hints) -> Response:
        gold = hints.gold().strip()
        letters = [text.strip() for text in request.continuations]
        others = [letter for letter in letters if letter != gold]
        chosen = others[0] if len(str(request.prompt)) % 10 < 10 * wrong else gold
        rest = (1 - sure) / (len(letters) - 1)
        return Response(
            "",
            likelihoods=tuple(
                # only half of the probability goes to letters: the confidence is among the letters
                Likelihood(text, math.log((sure if letter == chosen else rest) / 2), 1, letter == chosen)
                for text, letter in zip(request.continuations, letters, strict=True)
            ),
        )

    model = FakeModel(Hinted(answer), f"fake/{name}")
    settings = {"likelihood": "prompt"}
    evalkit.run(model, "mmlu:5-shot", data="builtin", settings=settings, output=folder / f"{name}.db")
    return Store.open(folder / f"{name}.db")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    folder = tmp_path_factory.mktemp("calibration")
    found = [run_at(folder, "humble", 0.55, 0.5), run_at(folder, "proud", 0.97, 0.5)]
    yield found
    for store in found:
        store.close()


def test_confidence_is_among_the_letters(stores: list[Store]) -> None:
    humble, proud = reliabilities(stores, build_table(stores))
    assert [part.confidence for part in humble.found.bins] == [pytest.approx(0.55)]
    assert [part.confidence for part in proud.found.bins] == [pytest.approx(0.97)]
    share = humble.run.cell.value
    assert share is not None
    assert humble.found.bins[0].accuracy == pytest.approx(share / 100)
    assert humble.found.count == humble.run.cell.n
    assert humble.found.error == pytest.approx(abs(share / 100 - 0.55))
    assert proud.found.error > humble.found.error


def test_the_formats_have_it(stores: list[Store]) -> None:
    document = json.loads(render_report(stores, "json"))
    humble, proud = document["calibration"]
    assert (humble["task"], humble["model"], proud["model"]) == ("mmlu", "fake/humble", "fake/proud")
    assert set(humble["bins"][0]) == {"above", "until", "count", "confidence", "accuracy", "low", "high"}
    page = render_report(stores, "html")
    assert "mmlu:5-shot[likelihood=prompt]: accuracy by confidence" in page
    (table, _) = calibration_tables(reliabilities(stores, build_table(stores)))
    assert table.rows[0].cells[0].text == "50–60 %"
    assert table.remarks[0].startswith("Expected calibration error over bins of equal width: ")


def test_the_chart_has_a_diagonal_and_a_point_for_each_bin(stores: list[Store]) -> None:
    found = reliabilities(stores, build_table(stores))
    (chart,) = calibration_charts(found, ["fake/humble", "fake/proud"])
    svg = ElementTree.fromstring(chart.svg)
    assert "fake/proud" in chart.caption
    across = [line.attrib for line in svg.iter(f"{SVG}line") if line.attrib["x1"] != line.attrib["x2"]]
    assert any(line["y1"] != line["y2"] for line in across), "the diagonal"


def test_a_run_without_probabilities_has_none(tmp_path: Path) -> None:
    evalkit.run("fake/gold", "gsm8k:0-shot-chat", data="builtin", output=tmp_path / "x.db")
    with Store.open(tmp_path / "x.db") as store:
        assert reliabilities([store], build_table([store])) == ()
        assert "calibration" not in json.loads(render_report([store], "json"))
