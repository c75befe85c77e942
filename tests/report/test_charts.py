"""Charts: what they show, equal to what the run files have."""

from __future__ import annotations

import asyncio
import math
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evalkit.engine.plan import make_plan
from evalkit.engine.run import open_run
from evalkit.errors import UsageError
from evalkit.models.fake import GOLD, FakeModel
from evalkit.report.charts import Chart, charts, waited
from evalkit.report.charts.marks import Mark, Strip
from evalkit.report.charts.values import capability_charts, ratio_of
from evalkit.report.digits import figure_text
from evalkit.report.grids import build_grids
from evalkit.report.paper import load_tables
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from evalkit.session import execute_plan
from tests.charted import GOOD, LAZY, SVG, Report, counting, evaluated, lazy, made_report, texts
from tests.engine.test_routed import student
from tests.made import sums
from tests.quiz import quiz
from tests.report.runs import PAPER, ran


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Report]:
    with made_report(tmp_path_factory.mktemp("charts")) as made:
        yield made


@pytest.fixture(scope="module")
def drawn(report: Report) -> dict[str, Chart]:
    return report.charts(prices={LAZY: (0.7, 1.9)})


# -- what there is -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_page_of_charts(drawn: dict[str, Chart]) -> None:
    assert list(drawn) == [
        "chart-values-1-1", "chart-capabilities-1", "chart-rules-1", "chart-routing-1", "chart-length-1",
        "chart-breakdown-1",
        "chart-breakdown-2", "chart-outcomes-1", "chart-tokens", "chart-tokens-per-sample", "chart-time",
        "chart-cost",
    ]  # fmt: skip


def test_only_what_there_are_figures_for(tmp_path: Path) -> None:
    store = evaluated(tmp_path / "r.db", FakeModel(GOLD), [f"{sums(tmp_path, 1)}:sums:once"])
    found = charts(build_table([store]))
    assert [chart.id for chart in found] == ["chart-values-1", "chart-outcomes-1"]
    store.close()


def test_a_run_that_has_just_begun_has_no_charts(tmp_path: Path) -> None:
    store = open_run(tmp_path / "r.db", make_plan(FakeModel(GOLD), [sums(tmp_path)]))
    table = build_table([store])
    assert charts(table) == charts(table, build_grids([store], table), papers=("gemini-1.0",)) == []
    store.close()


# -- what they show ------------------------------------------------------------------------------------


def test_values_stand_where_their_axis_says(report: Report, drawn: dict[str, Chart]) -> None:
    chart = drawn["chart-values-1-1"]
    cells = [cell for cell in report.table.cells if not cell.variant]
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
    return [
        (float(line.attrib["x1"]), float(line.attrib["x2"]))
        for line in ElementTree.fromstring(chart.svg).iter(f"{SVG}line")
        if line.attrib.get("stroke-width") == width
    ]


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
    assert "Hollow discs have other protocols" in chart.caption


def test_decision_rules_beside_figure_9(report: Report, drawn: dict[str, Chart]) -> None:
    chart = drawn["chart-rules-1"]
    written = texts(chart)
    assert [text for text in written if text in ("greedy letter", "majority", "routed")] == [
        "greedy letter", "majority", "routed"
    ]  # fmt: skip
    assert "A = GPT-4 · B = Gemini Ultra" in written
    figures = {
        (c.model, c.variant): figure_text(c.value, c.low, c.high)
        for c in report.table.cells
        if c.task == "quiz"
    }
    for model in (GOOD, LAZY):
        for variant in ("", "greedy", "majority"):
            assert figures[model, variant] in written
    plain = {chart.id: chart for chart in charts(report.table)}["chart-rules-1"]
    assert {"Greedy", "Plain majority", "Routed"} <= set(texts(plain))


def test_the_routing_curve_has_every_threshold_and_rings_the_chosen(
    report: Report, drawn: dict[str, Chart]
) -> None:
    chart = drawn["chart-routing-1"]
    curves = [
        cell.found["validation_curve"]
        for cell in report.table.cells
        if cell.task == "quiz" and not cell.variant
    ]
    assert [len(curve) for curve in curves] == [10, 10]  # of eight draws: 0 to 8 of them, and never
    root = ElementTree.fromstring(chart.svg)
    filled = [
        e for e in root.iter() if e.tag in (f"{SVG}circle", f"{SVG}polygon") and e.attrib["fill"] != "none"
    ]
    assert len(filled) == 20 + 2  # and the legend's
    rings = [e for e in root.iter(f"{SVG}circle") if e.attrib["fill"] == "none"]
    assert len(rings) == 2
    assert "never" in texts(chart)
    for cell in report.table.cells:
        if cell.task == "quiz" and not cell.variant:
            assert f"{cell.found['threshold']:.3g}" in chart.alt


def test_groups_come_best_first_with_tags_apart(report: Report, drawn: dict[str, Chart]) -> None:
    cell = next(cell for cell in report.table.cells if cell.task == "quiz")
    groups = sorted("ab", key=lambda name: -cell.groups[name].value)
    tags = sorted(("high", "low"), key=lambda name: -cell.groups[name].value)
    assert [text for text in texts(drawn["chart-breakdown-1"]) if text in cell.groups] == groups + tags
    assert "4 groups." in drawn["chart-breakdown-1"].alt


def test_outcome_shares(report: Report, drawn: dict[str, Chart]) -> None:
    chart = drawn["chart-outcomes-1"]
    rectangles = ElementTree.fromstring(chart.svg).iter(f"{SVG}rect")
    bars = [rectangle for rectangle in rectangles if rectangle.attrib["height"] == "14"]
    cells = [cell for cell in report.table.cells if not cell.variant]
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


@pytest.mark.slow
def test_capabilities_are_mean_ratios_over_comparable_figures(
    report: Report, drawn: dict[str, Chart]
) -> None:
    values = {(cell.task, cell.model): cell.value or 0 for cell in report.table.cells if not cell.variant}
    chart = drawn["chart-capabilities-1"]
    assert chart.title == "Capabilities, relative to Gemini Pro"
    assert chart.caption.endswith("Without common figures: Video.")
    # Pro's figure of sums is under another protocol, so that quiz is left.
    assert {"Letters (1 benchmark)", "All (1 benchmark)"} <= set(texts(chart))
    for model in (GOOD, LAZY):
        assert f"{values['quiz', model] / 72.5:.2f}" in texts(chart)
    assert "Quiz" in texts(chart), "the benchmark is named below the group"
    ultra = report.charts(relative_to="Gemini Ultra")["chart-capabilities-1"]
    assert {"Letters (1 benchmark)", "All (2 benchmarks)", "Quiz, Sums"} <= set(texts(ultra))
    for model in (GOOD, LAZY):
        ratios = (values["quiz", model] / 90.0, values["sums", model] / 94.4)
        assert f"{sum(ratios) / 2:.2f}" in texts(ultra)
    own = report.charts(relative_to=GOOD)["chart-capabilities-1"]
    assert f"{values['quiz', LAZY] / values['quiz', GOOD]:.2f}" in texts(own)
    assert GOOD not in texts(own)


def test_lower_is_better_stands_upside_down() -> None:
    line = Strip(
        "Errors", "errors", "once", "%", False, (Mark("Pro", 8.0, printed=True), Mark("mine", 4.0, 2.0, 5.0))
    )
    (chart,) = capability_charts([line], [{"Audio": ["errors"]}], ["mine"], "")
    assert "2.00" in texts(chart)
    assert chart.title == "Capabilities, relative to Gemini Pro"  # Pro, as most tables call it


def capability(lines: list[Strip], runs: list[str], relative_to: str = "Pro") -> Chart | None:
    groups = [{"Text": ["a", "b", "c"]}]
    return next(iter(capability_charts(lines, groups, runs, relative_to)), None)


def benchmark(task: str, *marks: Mark, protocol: str = "once") -> Strip:
    return Strip(task, task, protocol, "%", True, marks)


def printed(value: float, column: str = "Pro", **more: Any) -> Mark:
    return Mark(column, value, printed=True, **more)


def test_five_questions_are_no_ratio_to_a_printed_figure(tmp_path: Path) -> None:
    """A model stood as 1.33 times Gemini Pro on the strength of five questions."""
    small = ran(tmp_path, "fake/small", limit=5, file="small")
    whole = ran(tmp_path, "fake/whole", lambda gold: gold % 3 == 0, file="whole")
    columns = PAPER.replace("Old", "Gemini Pro").replace("New", "Gemini Ultra")
    house = tmp_path / "house"
    house.mkdir()
    (house / "t.toml").write_text(columns, "utf-8")
    (house / "paper.toml").write_text(
        'title = "Ours"\nurl = ""\nversion = "1"\ntables = ["t"]\n[capabilities]\n"All" = ["sums"]\n', "utf-8"
    )

    def drawn(*stores: Store) -> dict[str, Chart]:
        table = build_table(stores)
        grids = build_grids(stores, table, load_tables(str(house)))
        return {chart.id: chart for chart in charts(table, grids, papers=(str(house),))}

    assert "chart-capabilities-1" not in drawn(small)
    for stores in ((small, whole), (whole, small)):
        chart = drawn(*stores)["chart-capabilities-1"]
        assert "fake/whole" in chart.alt
        assert "fake/small" not in chart.alt
        (cell,) = [cell for cell in build_table([whole]).cells if cell.value is not None]
        assert cell.low is not None
        assert cell.high is not None
        assert cell.value is not None
        found = re.search(r"fake/whole ([\d.]+) \(([\d.]+) to ([\d.]+)\)", chart.alt)
        assert found
        assert [float(x) for x in found.groups()] == pytest.approx(
            [cell.value / 50, cell.low / 50, cell.high / 50], abs=0.006
        )


def test_means_are_over_the_same_benchmarks_for_all() -> None:
    """One run with an easy benchmark more would stand above another that has it not."""
    mine, other = Mark("mine", 40.0, 30.0, 50.0), Mark("other", 40.0, 30.0, 50.0)
    easy = benchmark("b", printed(20.0), printed(60.0, "Ultra"), Mark("mine", 90.0, 80.0, 95.0))
    chart = capability([benchmark("a", printed(50.0), mine, other), easy], ["mine", "other"])
    assert chart is not None
    assert "Text (1 benchmark)" in texts(chart)
    assert "mine 0.80 (0.60 to 1.00), other 0.80 (0.60 to 1.00)" in chart.alt
    assert not any("Ultra" in text for text in texts(chart)), "it has no figure in that benchmark"
    apart = [benchmark("a", printed(50.0), mine), benchmark("b", printed(20.0), other)]
    assert capability(apart, ["mine", "other"]) is None, "nothing in common"


def test_of_a_task_under_two_protocols_all_are_taken_under_one() -> None:
    mine, other = Mark("mine", 40.0, 30.0, 50.0), Mark("other", 45.0, 40.0, 50.0)
    lines = [
        benchmark("a", printed(80.0), mine, protocol="maj"),
        benchmark("a", printed(50.0), mine, other, protocol="once"),
    ]
    chart = capability(lines, ["mine", "other"])
    assert chart is not None
    assert "mine 0.80 (0.60 to 1.00), other 0.90 (0.80 to 1.00)" in chart.alt


def test_no_ratio_without_an_interval_or_beside_what_may_not_stand_there() -> None:
    bare = Mark("mine", 40.0)
    assert capability([benchmark("a", printed(50.0), bare)], ["mine"]) is None
    hollow = Mark("mine", 40.0, 30.0, 50.0, comparable=False)
    assert capability([benchmark("a", printed(50.0), hollow)], ["mine"]) is None
    mine = Mark("mine", 40.0, 30.0, 50.0)
    assert capability([benchmark("a", printed(50.0, comparable=False), mine)], ["mine"]) is None


def test_the_interval_of_a_ratio() -> None:
    """Against the ratio of two independent log-normal figures, whose interval is known exactly."""
    over, under = Mark("a", 60.0, 60 / 1.2, 60 * 1.2), Mark("b", 40.0, 40 / 1.1, 40 * 1.1)
    found = ratio_of(over, under)
    assert found is not None
    spread = math.exp(math.hypot(math.log(1.2), math.log(1.1)))
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.5 / spread, 1.5 * spread))
    exact = ratio_of(over, printed(40.0))
    assert exact is not None
    assert (exact.low, exact.high) == pytest.approx((1.5 / 1.2, 1.5 * 1.2))
    nothing = ratio_of(Mark("a", 0.0, 0.0, 5.0), printed(50.0))
    assert nothing is not None
    assert (nothing.value, nothing.low, nothing.high) == pytest.approx((0.0, 0.0, 0.1))
    assert ratio_of(over, Mark("b", 1.0, 0.0, 3.0)) is None, "it has no upper bound"


@pytest.mark.slow
def test_runs_of_other_samples_are_left_out_or_hollow_and_named(tmp_path: Path) -> None:
    """Every chart that puts runs side by side: breakdown, rules, curves, outcomes, tokens."""
    task = [f"{quiz(tmp_path, test=60, validation=40)}:quiz:routed"]
    plan = make_plan(counting(student, "fake/part"), task, limit=20)
    asyncio.run(execute_plan(plan, tmp_path / "part.db"))
    stores = [
        Store.open(tmp_path / "part.db"),
        evaluated(tmp_path / "w.db", counting(lazy, "fake/whole"), task),
    ]
    found = {chart.id: chart for chart in charts(build_table(stores))}
    assert "Hollow marks of runs have other samples" in found["chart-values-1"].caption
    assert "Hollow marks of runs have other samples" in found["chart-rules-1"].caption
    breakdown = found["chart-breakdown-1"]
    assert "Other samples or another protocol: fake/part. These are left out." in breakdown.caption
    assert "fake/part" not in texts(breakdown)
    assert "fake/whole" in found["chart-routing-1"].alt
    assert "fake/part" not in found["chart-routing-1"].alt
    assert "fake/part" in found["chart-routing-2"].alt
    for name in ("chart-outcomes-1", "chart-tokens-per-sample"):
        assert "Other samples or another protocol: fake/part." in found[name].caption
    assert "fake/part" not in texts(found["chart-tokens-per-sample"])
    assert "totals are not comparable" in found["chart-tokens"].caption
    for store in stores:
        store.close()


def test_relative_to_a_model_that_is_nowhere(report: Report) -> None:
    with pytest.raises(UsageError, match="Gemini Ultra"):
        report.charts(relative_to="Gemini Ultro")
    with pytest.raises(UsageError, match="need a paper"):
        report.charts(relative_to="Gemini Ultra", papers=())
    with pytest.raises(UsageError, match=r"gemini-1\.0"):
        report.charts(papers=("gemini-1.1",))


def test_two_runs_of_one_model_are_two_series(tmp_path: Path) -> None:
    task = f"{sums(tmp_path, 12)}:sums:once"
    stores = [evaluated(tmp_path / f"{name}.db", FakeModel(GOLD), [task]) for name in "ab"]
    table = build_table(stores)
    (named, *_) = charts(table, build_grids(stores, table))
    assert {"fake/callable (a)", "fake/callable (b)"} <= set(texts(named))
    (numbered, *_) = charts(table)
    assert {"fake/callable", "fake/callable (run 2)"} <= set(texts(numbered))
    for store in stores:
        store.close()
