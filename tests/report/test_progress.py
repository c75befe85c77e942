"""Progress over checkpoints: which names are checkpoints, and charts of run files and of times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from evalkit.report.build import render_report
from evalkit.report.charts import Chart
from evalkit.report.charts.progress import Point, progress_chart, progress_charts
from evalkit.report.checkpoints import Progress, Step, progresses, step_of
from evalkit.report.digits import figure_text
from evalkit.report.grids import build_grids
from evalkit.report.sources import Source
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from tests.charted import SVG, texts
from tests.report.runs import ran


@pytest.mark.parametrize(
    ("name", "number", "model"),
    [
        ("openai/acme-step-1000", 1000, "openai/acme"),
        ("acme_ckpt_2000", 2000, "acme"),
        ("hf/acme/pythia-70m@step143000", 143_000, "hf/acme/pythia-70m"),
        ("Acme 8B checkpoint-500", 500, "Acme 8B"),
        ("openai/acme (iter_0001000)", 1000, "openai/acme"),
        ("Epoch 3", 3, ""),
        ("Acme, 1.5M steps", 1_500_000, "Acme"),
        ("Acme 12,500 steps", 12_500, "Acme"),
        ("Acme after 300B tokens", 3e11, "Acme after"),
        ("olmo-stage1-step140000-tokens294B", 140_000, "olmo-stage1"),
    ],
)
def test_a_name_with_a_word_of_training_is_a_checkpoint(name: str, number: float, model: str) -> None:
    found = step_of(name)
    assert found is not None
    assert (found.number, found.model) == (number, model)


@pytest.mark.parametrize(
    "name",
    [
        *("300k", "acme-300k.db", "Acme 8B", "llama-3", "gpt-4-32k", "seed 3", "run 2", "2026-11-27"),
        *(
            "fake/gold?wrong=0.3",
            "acme?max_tokens=1000",
            "Acme 128k tokens",
            "footstep 7",
            "step",
            "stepwise 3",
        ),
        *("8-shot", "one-step9a", "", f"step {'9' * 400}", "1,111" * 100_000, "step" * 100_000),
    ],
)
def test_any_other_number_is_no_step(name: str) -> None:
    assert step_of(name) is None


def test_a_name_that_was_given_may_end_in_thousands() -> None:
    axis = "number in the name of the run"
    assert step_of("300k", given=True) == Step(300_000, axis, "")
    assert step_of("Acme 8B, 2.5k", given=True) == Step(2500, axis, "Acme 8B")
    for name in ("Acme 8B", "70B", "Llama 3", "seed 3", "gpt4k", "300k plus"):
        assert step_of(name, given=True) is None, name


WRONG = {"step-100": 3, "step-200": 5, "step-400": 11}
"""Every so many numbers the model of that name is wrong."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    """Three checkpoints, one on fewer samples, two of another model, and a run that is no checkpoint."""
    folder = tmp_path_factory.mktemp("progress")
    found = [
        ran(folder, f"acme {name}", lambda gold, every=every: gold % every == 0, count=60)  # type: ignore[misc]
        for name, every in WRONG.items()
    ]
    found.append(ran(folder, "acme step-300", lambda gold: gold % 7 == 0, count=60, limit=20))
    found += [ran(folder, f"bold <b> step-{n}", lambda gold: gold % 2 == 0, count=60) for n in (100, 200)]
    found.append(ran(folder, "other-8B", count=60))
    yield found
    for store in found:
        store.close()


@pytest.fixture(scope="module")
def found(stores: list[Store]) -> Sequence[Progress]:
    table = build_table(stores)
    return progresses(stores, table, build_grids(stores, table))


def curves(chart: Chart) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (place.split(",") for place in line.attrib["points"].split())]
        for line in ElementTree.fromstring(chart.svg).iter(f"{SVG}polyline")
    ]


def told(chart: Chart) -> list[str]:
    """What a pointer over each mark shows."""
    marks = (
        e for e in ElementTree.fromstring(chart.svg).iter() if e.tag in (f"{SVG}circle", f"{SVG}polygon")
    )
    return [title.text or "" for mark in marks for title in mark.iter(f"{SVG}title")]


def test_the_points_are_the_figures_of_the_table(stores: list[Store], found: Sequence[Progress]) -> None:
    (one,) = found
    assert one.others == ("other-8B",)
    cells = {cell.model: cell for cell in build_table(stores).cells}
    assert len(one.points) == 6
    for point in one.points:
        cell = cells[point.label]
        assert (point.value, point.low, point.high) == (cell.value, cell.low, cell.high)
        assert point.at == int(point.label.rpartition("-")[2])
    part = next(point for point in one.points if point.label == "acme step-300")
    assert [point.signature for point in one.points if point is not part] == [""] * 5
    assert part.signature == cells[part.label].signature.short


def test_a_line_joins_only_comparable_figures_of_one_model(found: Sequence[Progress]) -> None:
    (chart,) = progress_charts(found)
    assert chart.title == "sums:once, accuracy by checkpoint"
    assert [len(line) for line in curves(chart)] == [3, 2, 1]
    acme, bold, alone = curves(chart)
    assert [x for x, _ in acme[:2]] == [x for x, _ in bold]
    assert acme[0][1] > acme[1][1] > acme[2][1], "better is higher"
    assert acme[1][0] < alone[0][0] < acme[2][0]
    # Steps are as far apart as they are: 100 to 200 is half of 200 to 400.
    assert 2 * (acme[1][0] - acme[0][0]) == pytest.approx(acme[2][0] - acme[1][0], abs=0.05)
    written = texts(chart)
    assert [text for text in written if text in ("200", "300", "400")] == ["200", "300", "400"]
    assert {"training step", "%", "acme", "bold <b>"} <= set(written)
    assert "Hollow marks have other samples or another protocol" in chart.caption
    assert "acme step-300" in chart.caption
    assert "No checkpoints, and not drawn: other-8B." in chart.caption


def test_each_mark_and_whisker_is_the_tables(found: Sequence[Progress]) -> None:
    (one,) = found
    (chart,) = progress_charts(found)
    assert set(told(chart)) == {point.words for point in one.points}
    for point in one.points:
        text = figure_text(point.value, point.low, point.high)
        assert f"{point.label} {text} (" in point.words
    svg = ElementTree.fromstring(chart.svg)
    whiskers = [
        (float(line.attrib["y1"]), float(line.attrib["y2"]))
        for line in svg.iter(f"{SVG}line")
        if line.attrib["stroke-width"] == "2"
    ]
    lengths = sorted(low - high for low, high in whiskers)
    widths = sorted(point.high - point.low for point in one.points)  # type: ignore[operator]
    assert lengths == pytest.approx([width * lengths[0] / widths[0] for width in widths], rel=0.01)


@pytest.mark.slow
def test_the_page_has_it_for_names_that_were_given(stores: list[Store]) -> None:
    def page(*names: str) -> str:
        sources = [Source((store.path,), name) for store, name in zip(stores, names, strict=False)]
        return render_report(stores[: len(names)], "html", sources=sources)

    title = "sums:once, accuracy by checkpoint"
    assert title in page("100k", "200k", "300k")
    assert title in page("Ours, 1k", "Ours, 2k")
    assert title not in page("Acme 8B", "Acme 70B")
    assert title not in page("base", "tuned")
    assert title not in page("A, 100k", "B, 200k"), "a line of one point each"
    assert title not in page("100k", "100k tuned")


def when(days: float, value: float, label: str = "a run", **more: str) -> Point:
    return Point(
        label, datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=days), value, value - 1, value + 1, **more
    )


def test_times_have_dates_below_and_names_beside() -> None:
    points = [when(20, 52, "third"), when(0, 50, "first"), when(9, 51, "second")]
    chart = progress_chart(points, "chart-x", "gsm8k", unit="%", more="More.")
    (curve,) = curves(chart)
    assert curve == sorted(curve)
    written = texts(chart)
    assert [text for text in written if text in ("first", "second", "third")] == ["third", "second", "first"]
    assert len([text for text in written if re.fullmatch(r"2026-1[12]-\d\d", text)]) >= 2
    assert "date (UTC)" in written
    assert chart.alt == "3 points, first 50.0 (49.0–51.0) to third 52.0 (51.0–53.0)."
    assert chart.caption == "Vertical lines are 95 % intervals. More."


@pytest.mark.parametrize(
    ("days", "tick"),
    [
        (0.3, r"11-01 0\d:00"),
        (0.02, r"11-01 00:\d\d"),
        (0.001, r"11-01 00:01"),
        (0.0001, r"00:00:\d\d"),
        (0, r"1\d-\d\d \d\d:00"),
    ],
)
def test_times_of_one_day_have_hours_and_minutes(days: float, tick: str) -> None:
    chart = progress_chart([when(0, 50), when(days, 51)], "x", "t", unit="%")
    assert any(re.fullmatch(tick, text) for text in texts(chart)), texts(chart)


def test_points_without_an_interval_or_all_alike_are_drawn() -> None:
    for points in ([Point("only", 5, 50.0)], [Point("a", 1, 0.0), Point("b", 2, 0.0)]):
        chart = progress_chart(points, "x", "t", unit="%")
        assert len(told(chart)) == len(points)
        assert "intervals" not in chart.caption


def test_names_that_have_no_room_are_left_to_the_pointer() -> None:
    points = [when(i, 50 + i % 3, f"nightly run number {i}") for i in range(60)]
    chart = progress_chart(points, "x", "t", unit="%")
    named = [text for text in texts(chart) if text.startswith("nightly")]
    assert len(named) < 20
    assert len(told(chart)) == 60


@pytest.mark.parametrize("signatures", ["aab", "aba", "bab", "abc"])
def test_no_line_leads_over_to_another_signature(signatures: str) -> None:
    points = [Point(f"p{i}", i, float(i), signature=letter) for i, letter in enumerate(signatures)]
    chart = progress_chart(points, "x", "t", unit="%")
    assert sorted(map(len, curves(chart))) == sorted(signatures.count(letter) for letter in set(signatures))
