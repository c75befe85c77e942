"""Tables: words, marks, escaping."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

import pytest

import evalkit
from evalkit.engine.plan import make_plan
from evalkit.errors import UsageError
from evalkit.models.fake import GOLD, FakeModel
from evalkit.report import terminal
from evalkit.report.build import render_report, run_text
from evalkit.report.table import Table, build_table
from evalkit.report.tabulate import figure_list, outcome_shares
from evalkit.runfile.store import Store
from evalkit.session import execute_plan
from tests.made import sums
from tests.report.shown import to_csv, to_markdown, to_terminal

HOSTILE = "fake/<script>alert(1)</script>|*bold*`x`\x1b[31m\u202e=1+1"


def table(tmp_path: Path, name: str = "fake/plain", **options: float) -> Table:
    task = sums(tmp_path, 10)
    model = FakeModel(GOLD, name, **options)  # type: ignore[arg-type]
    return evalkit.run(model, task, output=tmp_path / f"{len(list(tmp_path.glob('*.db')))}.db", limit=6)


def test_a_part_is_marked(tmp_path: Path) -> None:
    found = table(tmp_path)
    assert found.notes == ("fake/plain on sums: a part: 6 of 10 samples (--limit 6)",)
    assert "100 %¹" in to_terminal(found, width=100)
    assert "¹ fake/plain on sums: a part: 6 of 10 samples (--limit 6)" in to_terminal(found, width=100)
    assert "100 %¹" in to_markdown(found)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_table_keeps_to_its_width_and_loses_no_figure(tmp_path: Path, width: int) -> None:
    text = to_terminal(table(tmp_path), width=width)
    lines = [line for line in text.splitlines() if "|sig:" not in line]
    assert max(map(len, lines)) <= width
    assert "100 %¹" in text
    assert "61–100" in text


@pytest.mark.parametrize(("width", "lines"), [(80, ["long_benchmark_name:in-", "ten-shots"]), (200, [])])
def test_names_are_broken_after_signs_and_not_within_words(
    tmp_path: Path, width: int, lines: list[str]
) -> None:
    found = figure_list(table(tmp_path))
    label, *others = found.rows[0].cells
    label = dataclasses.replace(label, text="long_benchmark_name:in-ten-shots")
    row = dataclasses.replace(found.rows[0], cells=(label, *others))
    text = terminal.to_terminal([dataclasses.replace(found, rows=(row,))], width=width)
    starts = [line.split()[0] for line in text.splitlines() if line.startswith((" long_", " ten-"))]
    assert starts == (lines or ["long_benchmark_name:in-ten-shots"])
    assert "61–100" in text


def test_a_list_explains_its_dashes(tmp_path: Path) -> None:
    found = table(tmp_path)
    assert "—" not in to_terminal(found, width=100)
    without = dataclasses.replace(found, cells=(dataclasses.replace(found.cells[0], low=None, high=None),))
    for text in (to_terminal(without, width=100), to_markdown(without)):
        assert "—: too few samples were judged for it, or the metric has none" in text


def test_a_finished_run_names_many_signatures_by_their_digests(tmp_path: Path) -> None:
    tasks = "gsm8k:8-shot-cot,mmlu:5-shot,mmmu"
    found = evalkit.run(FakeModel(GOLD), tasks.split(","), output=tmp_path / "r.db", data="builtin", limit=2)
    assert len(found.cells) > 3
    text = run_text(found)
    assert "|sig:" not in text
    assert "Signatures (whole with evalkit report --signatures): gsm8k:8-shot-cot accuracy " in text
    assert repr(found) == text.rstrip("\n")
    assert "|sig:" in run_text(dataclasses.replace(found, cells=found.cells[:3]))


def test_nothing_from_outside_acts(tmp_path: Path) -> None:
    found = table(tmp_path, HOSTILE)
    terminal = to_terminal(found, width=200)
    assert "\x1b" not in terminal
    assert "\u202e" not in terminal
    markdown = to_markdown(found)
    assert "<script>" not in markdown
    assert "\\|\\*bold\\*\\`x\\`" in markdown
    formula = table(tmp_path, "=HYPERLINK(1)")
    (row,) = csv.DictReader(io.StringIO(to_csv(formula)))
    assert row["model"] == "'=HYPERLINK(1)"


def test_pandas(tmp_path: Path) -> None:
    frame = table(tmp_path).to_pandas()
    assert list(frame["value"]) == [100.0]
    assert frame.loc[0, "correct"] == 6


def test_a_run_still_going_on_can_be_read(tmp_path: Path) -> None:
    from evalkit.engine.run import open_run

    plan = make_plan(FakeModel(GOLD), [sums(tmp_path)])
    store = open_run(tmp_path / "r.db", plan)
    try:
        other = Store.open(tmp_path / "r.db")
        found = build_table([other])
        shown = [render_report([other], name) for name in ("terminal", "markdown", "csv", "json")]
        other.close()
    finally:
        store.close()
    assert found.cells[0].value is None
    assert "unfinished, 0 of 20 samples" in found.notes[0]
    assert all(shown)


def test_two_models_in_one_row_are_compared_by_signature(tmp_path: Path) -> None:
    import asyncio

    stores = []
    for name, ask in (("a", "What is"), ("b", "What is"), ("c", "Say")):
        task = sums(tmp_path, name=f"{name}.py", ask=ask)
        plan = make_plan(FakeModel(GOLD, f"fake/{name}"), [task])
        asyncio.run(execute_plan(plan, tmp_path / f"{name}.db"))
        stores.append(Store.open(tmp_path / f"{name}.db"))
    same = build_table(stores[:1])
    assert not same.notes
    found = build_table(stores)
    assert [cell.model for cell in found.cells] == ["fake/a", "fake/b", "fake/c"]
    marked = [cell.model for cell in found.cells if cell.marks]
    # The tasks live in three files of equal code, so a and b asked the same; c used other words.
    assert marked == ["fake/c"]
    assert "the prompts sent" in found.notes[0]
    with pytest.raises(UsageError, match="--strict: fake/c on sums:once is not comparable"):
        build_table(stores, strict=True)
    for store in stores:
        store.close()


def test_shares_never_hide_a_failure() -> None:
    outcomes = {"correct": 99_999, "wrong": 0, "unparsable": 0, "truncated": 0, "failed": 1}
    assert outcome_shares(outcomes) == "correct 100 %, failed 0.001 %"
