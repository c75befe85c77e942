"""Heat maps: figures by two keys, as a picture, as a table, and in JSON."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

import evalkit
from evalkit.api import HeatMap
from evalkit.benchmark.spec import CellSpec
from evalkit.convert import from_json, to_json
from evalkit.models.fake import FakeModel, Hinted
from evalkit.report.build import render_report
from evalkit.report.charts import CSS, Chart, charts
from evalkit.report.charts.heat import heat_charts
from evalkit.report.charts.marks import NamedCell
from evalkit.report.table import Table, build_table
from evalkit.report.tabulate import heat_maps
from evalkit.runfile.cells import TableCell
from evalkit.runfile.heat import Group, heat_of
from evalkit.runfile.store import Store
from tests import needs
from tests.charted import SVG, texts
from tests.report.pages import CHROMIUM, page_of
from tests.report.test_charts_drawn import SEEN, checked
from tests.specs import cell_spec

KEYS = HeatMap(rows="length in tokens", columns="place")
TASK = '''
from evalkit.api import Accuracy, Generated, HeatMap, Message, Protocol, Sample, Task, Verdict, task

KEYS = HeatMap(rows="length", columns="place")


def rows(chance):
    for row in ("1k", "10k", "2k"):
        for column in ("0 %", "50 %", "100 %"):
            for number in range(2):
                yield {"row": row, "column": column, "number": number}


def to_sample(record):
    row, column = record["row"], record["column"]
    return Sample(
        id=f"{row} {column} {record['number']}", input=f"{row}, {column}", target=("yes",),
        group=KEYS.group(row, column), tags=(f"length {row}",),
    )


@task("places")
def places():
    """Places"""
    return Task(
        data=Generated(0, rows),
        sample=to_sample,
        prompt=lambda sample, protocol: (Message("user", sample.input),),
        answer=lambda text, sample: text,
        scorer=lambda answer, sample: Verdict(answer == "yes", answer),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="0-shot", source="made"),),
        heat_map=KEYS,
    )
'''


def group(value: float, n: int = 20) -> Group:
    return Group(value, max(0.0, value - 4), min(100.0, value + 4), n)


def chart_of(cell: TableCell) -> Chart:
    (found,) = heat_charts([NamedCell("fake/some", cell)])
    checked([found])
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is wrong at 50 % of 10k."""
    folder = tmp_path_factory.mktemp("heat")
    (folder / "places.py").write_text(TASK, encoding="utf-8")
    model = Hinted(lambda request, draw, hints: "no" if "10k, 50" in str(request.prompt) else "yes")
    evalkit.run(FakeModel(model), str(folder / "places.py"), output=folder / "run.db")
    return folder / "run.db"


@pytest.fixture(scope="module")
def cell(run: Path) -> TableCell:
    with Store.open(run) as store:
        return build_table([store]).cells[0]


def with_groups(cell: TableCell, groups: Mapping[str, Group], unit: str = "%") -> TableCell:
    spec = dataclasses.replace(cell.spec, heat_map=KEYS)
    measured = dataclasses.replace(cell.measured, unit=unit)
    return dataclasses.replace(cell, spec=spec, measured=measured, groups=dict(groups))


def test_two_keys_make_a_group_and_come_back() -> None:
    assert KEYS.group("8k", "40–60 %") == "8k · 40–60 %"
    assert KEYS.keys("8k · 40–60 %") == ("8k", "40–60 %")
    assert KEYS.keys("length 8k") is None
    spec = cell_spec(heat_map=KEYS)
    assert from_json(CellSpec, to_json(spec), "spec") == spec
    assert cell_spec().heat_map is None
    assert heat_of(None, {"8k · 1": group(1)}) is None
    assert heat_of(KEYS, {"length 8k": group(1)}) is None


def test_rows_and_columns_are_in_natural_order_in_every_format(run: Path, cell: TableCell) -> None:
    heat = cell.heat
    assert heat is not None
    assert (heat.rows, heat.columns) == (("1k", "2k", "10k"), ("0 %", "50 %", "100 %"))
    values = {key: one.value for key, one in heat.figures.items()}
    assert values == dict.fromkeys(values, 100) | {("10k", "50 %"): 0}
    (table,) = heat_maps(Table("t", (cell,), ()))
    assert [column.text for column in table.columns] == ["length", "0 %", "50 %", "100 %"]
    assert [[one.text for one in row.cells] for row in table.rows] == [
        ["1k", "100", "100", "100"],
        ["2k", "100", "100", "100"],
        ["10k", "100", "0", "100"],
    ]
    assert table.rows[2].cells[2].lines == ("0–66", "n 2")
    assert table.remarks == (
        "Rows: length. Columns: place. Values in %, 95 % intervals, numbers of samples.",
    )
    with Store.open(run) as store:
        for name in ("markdown", "terminal", "latex"):
            text = render_report([store], name)
            assert text.count("heat map") == 1, name
        assert "| 10k | 100<br>34–100<br>n 2 | 0<br>0–66<br>n 2 |" in render_report([store], "markdown")
    page = page_of(run)
    assert page.count('id="chart-heat-1-title"') == 1
    assert page.index("accuracy: heat map</summary>") < page.index("accuracy</summary>")
    assert "10k, 50 %: 0 % (95 % interval 0–66), n 2</title>" in page


def test_the_picture_says_what_the_table_says(cell: TableCell) -> None:
    chart = chart_of(cell)
    root = ElementTree.fromstring(chart.svg)
    fields = [e for e in root.iter(f"{SVG}rect") if len(e)]
    told = [e[0].text for e in fields]
    assert len(told) == 9
    assert told[7] == "10k, 50 %: 0 % (95 % interval 0–66), n 2"
    strong = [float(e.attrib["fill-opacity"]) for e in fields]
    assert strong == [1.0] * 7 + [0.04, 1.0]
    shown = texts(chart)
    assert shown[:5] == ["→ place", "↓ length", "0 %", "50 %", "100 %"]
    assert shown[5:] == ["1k", *["100"] * 3, "2k", *["100"] * 3, "10k", "100", "0", "100", "0 %", "100 %"]
    assert chart.alt.startswith("length by place: from 0 (10k, 50 %) to 100 (1k, 0 %).")
    assert "stronger colour" in chart.caption


def test_groups_of_a_heat_map_are_no_rows_of_the_breakdown(run: Path, cell: TableCell) -> None:
    found = {chart.id: chart for chart in charts(Table("t", (cell,), ()))}
    breakdown = texts(found["chart-breakdown-1"])
    assert {"length 1k", "length 2k", "length 10k"} <= set(breakdown)
    assert not [text for text in breakdown if " · " in text]
    untagged = with_groups(cell, {"1k · a": group(5), "1k · b": group(50)})
    assert "chart-breakdown-1" not in {chart.id for chart in charts(Table("t", (untagged,), ()))}


def test_what_is_missing_too_narrow_or_of_another_unit(cell: TableCell) -> None:
    gap = chart_of(with_groups(cell, {"1k · a": group(5), "2k · b": group(90)}))
    assert texts(gap).count("—") == 2
    assert "2k, a: no samples" in gap.svg
    many = chart_of(with_groups(cell, {f"1k · {i}": group(i, 9) for i in range(50)}))
    assert "no room for the figures" in many.caption
    assert "49" in texts(many)  # the name of the column; the numbers are left out
    assert texts(many).count("25") == 1
    assert not heat_charts_of(with_groups(cell, {f"1k · {i}": group(i) for i in range(61)}))
    other = chart_of(
        with_groups(cell, {"1k · a": Group(2.5, None, None, 1), "1k · b": Group(-1, -2, 0, 1)}, "")
    )
    assert texts(other)[-2:] == ["-1", "2.5"]
    assert re.search(r">1k, a: 2\.5, n 1<", other.svg)
    alike = chart_of(with_groups(cell, {"1k · a": Group(3, 2, 4, 1)}, "bits"))
    assert texts(alike)[-2:] == ["2 bits", "3 bits"]


def heat_charts_of(cell: TableCell) -> list[Chart]:
    return list(heat_charts([NamedCell("fake/some", cell)]))


def test_names_are_texts_and_nothing_else(cell: TableCell) -> None:
    names = ("<script>alert(1)</script>", "\u202eevil\x1b[31m", "x" * 100_000, "模型" * 60, '" onload="a')
    chart = chart_of(with_groups(cell, {KEYS.group(name, name[::-1]): group(50) for name in names}))
    assert len(chart.svg) < 20_000
    assert "<script" not in chart.svg


def test_at_most_twelve_are_drawn_and_the_last_names_the_others(cell: TableCell) -> None:
    found = list(heat_charts([NamedCell(f"fake/{i}", cell) for i in range(14)]))
    assert len(found) == 12
    assert found[-1].caption.endswith("accuracy, fake/13.")
    assert "Not drawn" not in found[0].caption


@pytest.mark.slow
@needs.chromium
def test_it_can_be_read_in_chromium(cell: TableCell) -> None:
    """With few and many columns, at both widths and in both themes: no text is over another or outside, and
    none is lower than 8 pixels."""
    from playwright.sync_api import sync_playwright

    drawn = ""
    for columns in (5, 10, 20, 60):
        groups = {
            f"{1 << row}k · {100 * i // columns}–{100 * (i + 1) // columns} %": group(100 * i / columns)
            for row in range(6)
            for i in range(columns)
        }
        drawn += chart_of(with_groups(cell, groups)).svg
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 800})
            for theme in ("light", "dark"):
                page.set_content(f"<!doctype html><html data-theme={theme}><style>{CSS}</style>{drawn}")
                seen = page.evaluate(SEEN)
                assert (seen["outside"], seen["overlaps"]) == ([], [])
                assert min(seen["heights"]) >= 8
                assert seen["width"] <= width
        browser.close()
