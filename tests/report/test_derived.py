"""Means over chosen groups, ratios and differences of runs, and tasks of one's own in a paper's rows."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.report.build import render_report
from evalkit.report.charts.marks import grid_strips
from evalkit.report.grid import BASE_NOT_RUN, NO_FIGURE, NO_TASK, NOT_COMPARABLE, NOT_RUN, Grid, GridCell
from evalkit.report.grids import build_grids
from evalkit.report.paper import PaperTable, load_tables
from evalkit.report.table import build_table
from evalkit.runfile.completeness import SMALL
from evalkit.runfile.store import Store
from evalkit.stats import macro_interval, paired_bootstrap, paired_ratio, paired_shares
from evalkit.stats.resample import Floats
from tests.made import sums
from tests.report.runs import paper, ran

COUNT = 200
GOLD = [i + i % 7 for i in range(COUNT)]
"""The references of the made sums; even and odd ones are two groups."""

TABLE = """
title = "Table 1: sums"
columns = ["Small", "Small / Large", "gain"]
[compared]
"Small / Large" = { relative_to = "Large" }
"gain" = { minus = "Large" }
[[rows]]
name = "Sums"
task = "sums"
metric = "accuracy"
unit = "%"
higher_is_better = true
figures."Small" = { text = "40.0%", protocol = "0-shot", match = ["once"] }
figures."Small / Large" = { text = "0.81", protocol = "0-shot", match = ["once"] }
figures."gain" = { text = "−9.5%", protocol = "Maj1@5", match = ["maj"] }
[[rows]]
name = "Odd sums"
task = "sums"
group = "odd"
metric = "accuracy"
unit = "%"
higher_is_better = true
[[rows]]
name = "Both kinds"
task = "sums"
macro = ["even", "odd"]
metric = "accuracy"
unit = "%"
higher_is_better = true
[[rows]]
name = "All kinds"
task = "sums"
macro = ["*"]
metric = "accuracy"
unit = "%"
higher_is_better = true
[[rows]]
name = "Three kinds"
task = "sums"
macro = ["even", "odd", "prime"]
metric = "accuracy"
unit = "%"
higher_is_better = true
"""


def finish(totals: Floats) -> Floats:
    share: Floats = 100 * totals[..., 0] / totals[..., 1]
    return share


def right(wrong: Callable[[int], bool], kind: Callable[[int], bool] = lambda gold: True) -> Floats:
    """(samples, 2) of what a model that is wrong there earns."""
    return np.array([[float(not wrong(gold)), 1.0] for gold in GOLD if kind(gold)])


def large_fails(gold: int) -> bool:
    """Where the larger model is wrong."""
    return gold % 5 == 0


def small_fails(gold: int) -> bool:
    """Where the smaller one is."""
    return gold % 3 == 0


def odd(gold: int) -> bool:
    return gold % 2 == 1


def even(gold: int) -> bool:
    return gold % 2 == 0


@pytest.fixture
def pair(tmp_path: Path) -> list[Store]:
    return [ran(tmp_path, "fake/large", large_fails), ran(tmp_path, "fake/small", small_fails)]


def grid(stores: list[Store], *tables: PaperTable, relative_to: str = "", strict: bool = False) -> Grid:
    (found, *_) = build_grids(stores, build_table(stores), tables, strict=strict, relative_to=relative_to)
    return found


def cells(found: Grid, label: str) -> dict[str, GridCell]:
    (row,) = (row for row in found.rows if row.label == label)
    return {column.name: cell for column, cell in zip(found.columns, row.cells, strict=True)}


def notes(found: Grid, cell: GridCell) -> list[str]:
    return [found.notes[mark - 1] for mark in cell.marks]


def figure(cell: GridCell) -> tuple[float | None, float | None, float | None, int | None]:
    return cell.value, cell.low, cell.high, cell.n


RATIO, GAIN = "fake/small ÷ fake/large", "fake/small − fake/large"


def test_a_mean_over_groups_is_the_one_by_hand(tmp_path: Path, pair: list[Store]) -> None:
    found = grid(pair, paper(tmp_path, TABLE))
    parts = [right(large_fails, even), right(large_fails, odd)]
    value = sum(100 * part[:, 0].sum() / len(part) for part in parts) / 2
    assert len(parts[0]) != len(parts[1])  # else it were the mean of all samples too
    low, high = macro_interval([(part, ()) for part in parts], finish) or (None, None)
    for name in ("Both kinds", "All kinds"):
        cell = cells(found, name)["fake/large"]
        assert figure(cell) == pytest.approx((value, low, high, COUNT))
        assert not cell.marks
        assert cell.cell is not None
        assert value != pytest.approx(cell.cell.value)


@pytest.mark.slow
def test_a_mean_is_not_taken_over_fewer_groups(tmp_path: Path, pair: list[Store]) -> None:
    found = grid(pair, paper(tmp_path, TABLE), relative_to="fake/large")
    row = cells(found, "Three kinds")
    for name in ("fake/large", RATIO, GAIN):
        assert (row[name].kind, row[name].text) == ("empty", NO_FIGURE)
        assert "prime" in notes(found, row[name])[0]


@pytest.mark.slow
def test_a_difference_is_the_paired_one(tmp_path: Path, pair: list[Store]) -> None:
    found = grid(pair, paper(tmp_path, TABLE), relative_to="fake/large")
    base, head = right(large_fails), right(small_fails)
    expected = paired_shares(base, head, finish)
    cell = cells(found, "Sums")[GAIN]
    assert expected.value == pytest.approx(100 * (head - base)[:, 0].sum() / COUNT)
    assert figure(cell) == pytest.approx((expected.value, expected.low, expected.high, COUNT))
    assert (cell.kind, cell.unit, cell.text) == ("compared", "points", f"{expected.value:+.0f}")
    assert (cell.protocol, cell.comparable, cell.best) == ("once", False, False)
    of_odd = paired_shares(right(large_fails, odd), right(small_fails, odd), finish)
    cell = cells(found, "Odd sums")[GAIN]
    assert figure(cell) == pytest.approx((of_odd.value, of_odd.low, of_odd.high, sum(map(odd, GOLD))))
    groups = ["odd" if odd(gold) else "even" for gold in GOLD]
    both = paired_bootstrap(base, head, finish, groups=groups)
    for name in ("Both kinds", "All kinds"):
        cell = cells(found, name)[GAIN]
        assert figure(cell) == pytest.approx((both.value, both.low, both.high, COUNT))


@pytest.mark.slow
def test_a_ratio_is_resampled_together(tmp_path: Path, pair: list[Store]) -> None:
    found = grid(pair, paper(tmp_path, TABLE), relative_to="fake/large")
    base, head = right(large_fails), right(small_fails)
    expected = paired_ratio(base, head, finish)
    assert expected is not None
    cell = cells(found, "Sums")[RATIO]
    assert expected.value == pytest.approx(head[:, 0].sum() / base[:, 0].sum())
    assert figure(cell) == pytest.approx((expected.value, expected.low, expected.high, COUNT))
    assert (cell.unit, cell.text) == ("ratio", f"{expected.value:.2f}")
    groups = ["odd" if odd(gold) else "even" for gold in GOLD]
    both = paired_ratio(base, head, finish, groups=groups)
    assert both is not None
    cell = cells(found, "Both kinds")[RATIO]
    assert figure(cell) == pytest.approx((both.value, both.low, both.high, COUNT))
    assert cell.value != pytest.approx(expected.value)


@pytest.mark.slow
def test_printed_ratios_are_no_figures_beside_a_run_s(tmp_path: Path, pair: list[Store]) -> None:
    """They are held to the run's protocol, and never compared with its accuracy."""
    found = grid(pair, paper(tmp_path, TABLE), relative_to="fake/large")
    row = cells(found, "Sums")
    assert (row["Small / Large"].unit, row["gain"].unit) == ("ratio", "points")
    assert notes(found, row["Small / Large"]) == []
    assert notes(found, row["gain"]) == ["0-shot, greedy (once) here, Maj1@5 there"]
    assert [row[name].comparable for name in ("Small", "Small / Large", "gain")] == [True, False, False]


@pytest.mark.slow
def test_which_run_the_others_are_set_against(tmp_path: Path, pair: list[Store]) -> None:
    table = paper(tmp_path, TABLE)
    without = grid(pair, table)
    assert [column.kind for column in without.columns] == ["printed"] * 3 + ["run"] * 2
    missing = "computed with a second run and --relative-to RUN, which takes the place of Large"
    assert f"Small / Large, gain: {missing}" in without.remarks
    alone = grid(pair[:1], table, relative_to="fake/large")
    assert any("with a second run and" in remark for remark in alone.remarks)
    third = ran(tmp_path, "fake/third")
    several = grid([*pair, third], table, relative_to="fake/small")
    assert [column.name for column in several.columns if column.kind == "compared"] == [
        "fake/large ÷ fake/small",
        "fake/third ÷ fake/small",
        "fake/large − fake/small",
        "fake/third − fake/small",
    ]
    assert not any("--relative-to" in remark for remark in several.remarks)
    named = paper(tmp_path, TABLE.replace('= "Large"', '= "fake/large"'))
    assert [column.name for column in grid(pair, named).columns][-2:] == [RATIO, GAIN]
    with pytest.raises(UsageError, match=r"unknown base run 'fake/lage'.*fake/large"):
        grid(pair, table, relative_to="fake/lage")
    with pytest.raises(UsageError, match="--relative-to needs --paper"):
        render_report(pair, "terminal", relative_to="fake/large")


@pytest.mark.slow
def test_what_was_asked_otherwise_is_not_set_against(tmp_path: Path) -> None:
    table = paper(tmp_path, TABLE)
    stores = [
        ran(tmp_path, "fake/large", large_fails),
        ran(tmp_path, "fake/small", small_fails, ask="How much is"),
    ]
    found = grid(stores, table, relative_to="fake/large")
    for name in (RATIO, GAIN):
        cell = cells(found, "Sums")[name]
        assert (cell.kind, cell.text, cell.value) == ("empty", NOT_COMPARABLE, None)
        assert "is not comparable with fake/large; the prompts sent: " in notes(found, cell)[0]
    with pytest.raises(UsageError, match=r"--strict: .*(\n.*)*not comparable with fake/large"):
        grid(stores, table, relative_to="fake/large", strict=True)


@pytest.mark.slow
def test_a_part_is_marked_in_what_is_made_of_it(tmp_path: Path) -> None:
    stores = [ran(tmp_path, f"fake/{name}", small_fails, limit=50) for name in ("large", "small")]
    found = grid(stores, paper(tmp_path, TABLE), relative_to="fake/large")
    cell = cells(found, "Sums")[GAIN]
    assert (cell.value, cell.n) == (0.0, 50)
    assert any("a part: 50 of 200" in note for note in notes(found, cell))
    small = [ran(tmp_path, f"fake/{name}", task="mmlu:5-shot", data="builtin") for name in ("pro", "nano")]
    found = grid(small, *load_tables("gemini-1.0/table-3"), relative_to="fake/pro")
    cell = cells(found, "MMLU (5-shot)")["fake/nano ÷ fake/pro"]
    assert (cell.value, notes(found, cell)) == (1.0, [SMALL])
    assert cells(found, "BoolQ")["fake/nano ÷ fake/pro"].text == NOT_RUN


@pytest.mark.slow
def test_a_run_that_lacks_the_benchmark(tmp_path: Path) -> None:
    table = paper(tmp_path, TABLE)
    stores = [
        ran(tmp_path, "fake/large", large_fails),
        ran(tmp_path, "fake/small", small_fails),
        ran(tmp_path, "fake/vote", protocol="maj", count=20),
    ]
    found = grid(stores, table, relative_to="fake/large")
    once, vote = (row for row in found.rows if row.label == "Sums")
    names = [column.name for column in found.columns]
    assert once.cells[names.index("fake/vote − fake/large")].text == NOT_RUN
    assert vote.cells[names.index("fake/vote − fake/large")].text == BASE_NOT_RUN


@pytest.mark.slow
def test_nothing_is_a_ratio_to_nothing(tmp_path: Path) -> None:
    stores = [ran(tmp_path, "fake/large", lambda gold: True), ran(tmp_path, "fake/small", small_fails)]
    found = grid(stores, paper(tmp_path, TABLE), relative_to="fake/large")
    cell = cells(found, "Sums")[RATIO]
    assert cell.text == NO_FIGURE
    assert "the figure of fake/large is not above 0" in notes(found, cell)[0]
    assert cells(found, "Sums")[GAIN].value == pytest.approx(100 * right(small_fails)[:, 0].mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["terminal", "markdown", "latex", "csv", "json", "html"])
def test_every_format_shows_them(tmp_path: Path, pair: list[Store], name: str) -> None:
    paper(tmp_path, TABLE)
    path = str(tmp_path / "own.toml")
    cell = cells(grid(pair, paper(tmp_path, TABLE), relative_to="fake/large"), "Sums")[GAIN]
    assert cell.value is not None
    text = render_report(pair, name, paper=path, relative_to="fake/large", width=200)
    if name == "csv":
        rows = [row for row in csv.DictReader(io.StringIO(text)) if row["column"] == GAIN]
        assert [row["row"] for row in rows] == [
            "Sums", "Odd sums", "Both kinds", "All kinds", "Three kinds",
        ]  # fmt: skip
        assert float(rows[0]["value"]) == pytest.approx(cell.value)
        assert (rows[0]["kind"], rows[0]["unit"], rows[0]["n"]) == ("compared", "points", "200")
        assert rows[0]["signature"].startswith("n:200|")
        return
    if name == "json":
        (own,) = json.loads(text)["grids"]
        assert [column["kind"] for column in own["columns"]][-2:] == ["compared"] * 2
        shown = own["rows"][0]["cells"][-1]
        assert shown["value"] == pytest.approx(cell.value)
        assert shown["signature"] == (cell.cell.signature.short if cell.cell else "")
        return
    words = re.sub(r"<[^>]+>|[\\{}]", " ", text)
    assert "÷" in text or r"\div" in text
    assert re.search(rf"{re.escape(cell.text[0])}\s*{cell.text[1:]}".replace(r"\-", "[-−]"), words), words
    assert "0.83" in words
    assert "n 200" in words


@pytest.mark.slow
def test_charts_of_values_have_no_place_for_a_ratio(tmp_path: Path, pair: list[Store]) -> None:
    table = build_table(pair)
    found = grid(pair, paper(tmp_path, TABLE), relative_to="fake/large")
    assert found.has_runs
    lines = list(grid_strips(found, {cell.row for cell in table.cells}))
    assert [line.label for line in lines][:1] == ["Sums: once, accuracy"]
    assert {mark.column for line in lines for mark in line.marks} == {"Small", "fake/large", "fake/small"}


def test_a_task_of_ones_own_joins_the_row_of_its_name(tmp_path: Path) -> None:
    """Perception Test is in table 10 and evalkit has no task for it: a file of the user's is enough."""
    file = Path(sums(tmp_path, 40, called="perception-test"))
    file.write_text(file.read_text("utf-8").replace('name="once"', 'name="0-shot"'), encoding="utf-8")
    store = ran(tmp_path, "fake/mine", large_fails, task=f"{file}:perception-test:0-shot")
    found = grid([store], *load_tables("gemini-1.0/table-10"))
    row = cells(found, "Perception Test MCQA (test)")
    wrong = sum(large_fails(gold) for gold in GOLD[:40])
    assert (row["fake/mine"].kind, row["fake/mine"].value) == ("run", 100 * (40 - wrong) / 40)
    assert (row["Ultra"].text, row["Ultra"].comparable) == ("54.7", True)
    assert cells(found, "ActivityNet-QA (test)")["fake/mine"].text == NO_TASK
    assert not any("perception-test" in remark for remark in found.remarks)
    assert any("activitynet-qa" in remark for remark in found.remarks)
    other = ran(tmp_path, "fake/vote", task=f"{file}:perception-test:maj")
    marked = cells(grid([other], *load_tables("gemini-1.0/table-10")), "Perception Test MCQA (test)")["Ultra"]
    assert not marked.comparable


def test_one_benchmark_is_in_every_table_that_prints_it(tmp_path: Path) -> None:
    """WMT23's pairs as groups, the resources as tags: table 4 takes all five rows from one run."""
    file = Path(sums(tmp_path, 130, called="wmt23"))
    others = ["cs", "de", "he", "ja", "ru", "uk", "zh"]
    pairs = [*(f"en-{other}" for other in others), *(f"{other}-en" for other in others[1:]), "cs-uk"]
    text = file.read_text("utf-8").replace('name="once"', 'name="1-shot"')
    text = text.replace(
        'group = "even" if int(record["a"]) % 2 == 0 else "odd"',
        f"""group = {pairs}[(int(record["q"].split()[0]) * 3) % 14]
    tags = ("high resource" if group[:2] in ("en", "de") else "mid resource",)""",
    ).replace("group=group)", "group=group, tags=tags)")
    file.write_text(text, encoding="utf-8")
    store = ran(tmp_path, "fake/mine", large_fails, task=f"{file}:wmt23:1-shot")
    found = grid([store], *load_tables("gemini-1.0/table-4"))
    by_pair: dict[str, list[bool]] = {}
    for i, gold in enumerate(GOLD[:130]):
        by_pair.setdefault(pairs[i * 3 % 14], []).append(not large_fails(gold))
    means = {name: 100 * sum(of) / len(of) for name, of in by_pair.items()}

    def mean(names: list[str]) -> float:
        return sum(means[name] for name in names) / len(names)

    high = [one for name in pairs if name[:2] in ("en", "de") for one in by_pair[name]]
    expected = {
        "High resource": 100 * sum(high) / len(high),  # the task's own metric is of all samples
        "Out-of-English": mean(pairs[:7]),
        "Into-English": mean(pairs[7:13]),
        "All languages": mean(pairs),
    }
    for name, value in expected.items():
        cell = cells(found, name)["fake/mine"]
        assert cell.value == pytest.approx(value), name
        assert cell.low is not None
    assert cells(found, "Mid resource")["fake/mine"].n == 130 - len(high)
    assert cells(found, "All languages")["Ultra"].comparable
