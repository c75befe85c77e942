"""Grids: what stands beside what, what is marked, what is best."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from evalkit.reports import reserved

from evalkit.errors import UsageError
from evalkit.report.build import grids_of, render_report
from evalkit.report.digits import figure_text, interval_text
from evalkit.report.grid import (
    NO_SAMPLE,
    NO_TASK,
    NOT_PRINTED,
    NOT_RUN,
    Grid,
    GridCell,
)
from evalkit.report.grids import build_grids
from evalkit.report.paper import PaperTable, load_tables
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from evalkit.stats import wilson
from tests.quiz import quiz
from tests.report.runs import PAPER, paper, ran


def grid(stores: list[Store], *tables: PaperTable, strict: bool = False) -> Grid:
    (found, *_) = build_grids(stores, build_table(stores), tables, strict=strict)
    return found


def cells(found: Grid, label: str) -> dict[str, GridCell]:
    (row,) = (row for row in found.rows if row.label == label)
    return {column.name: cell for column, cell in zip(found.columns, row.cells, strict=True)}


def notes(found: Grid, cell: GridCell) -> list[str]:
    return [found.notes[mark - 1] for mark in cell.marks]


def test_a_printed_figure_under_the_same_protocol_stands_unmarked(tmp_path: Path) -> None:
    found = grid([ran(tmp_path, "fake/a")], paper(tmp_path))
    row = cells(found, "Sums")
    assert list(row) == ["Old", "New", "fake/a"]
    assert (row["Old"].text, row["Old"].value, row["Old"].comparable) == ("50.0%", 50.0, True)
    assert notes(found, row["Old"]) == ["over the API"]
    assert not row["New"].comparable
    assert notes(found, row["New"]) == ["0-shot, greedy (once) here, Maj1@5 there"]
    assert (row["fake/a"].value, row["fake/a"].n, row["fake/a"].marks) == (100.0, 200, ())


def test_a_vote_is_compared_with_the_vote(tmp_path: Path) -> None:
    found = grid([ran(tmp_path, "fake/a", protocol="maj", count=20)], paper(tmp_path))
    row = cells(found, "Sums")
    assert not row["Old"].comparable
    assert notes(found, row["Old"]) == [
        "over the API",
        "0-shot, 5 draws at temperature 0.7, majority vote (maj) here, 0-shot without further details there",
    ]
    assert row["New"].comparable
    assert not row["New"].marks


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_tokens": "64"}, "max_tokens=64 here, 0-shot without further details there"),
        ({"shots": "2"}, "shots=2 here, 0-shot without further details there"),
        ({"temperature": "0.5"}, "temperature=0.5 here, 0-shot without further details there"),
    ],
)
def test_an_override_is_another_protocol(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    found = grid([ran(tmp_path, "fake/a", count=20, settings=settings)], paper(tmp_path))
    row = cells(found, "Sums")
    assert not row["Old"].comparable
    assert notes(found, row["Old"])[1:] == [words]


def test_a_printed_row_may_ask_for_options(tmp_path: Path) -> None:
    text = PAPER.replace('task = "sums"', 'task = "sums"\noptions = "split=test"')
    found = grid([ran(tmp_path, "fake/a", count=20)], paper(tmp_path, text))
    assert notes(found, cells(found, "Sums")["Old"])[1:] == ["split not set here, test there"]
    text = PAPER.replace('task = "sums"', 'task = "sums"\noptions = "max_tokens=64"')
    found = grid([ran(tmp_path, "fake/b", count=20, settings={"max_tokens": "64"})], paper(tmp_path, text))
    assert cells(found, "Sums")["Old"].comparable


def test_another_quantity_and_no_protocol(tmp_path: Path) -> None:
    text = PAPER.replace('protocol = "Maj1@5", match = ["maj"]', 'unit = "ratio"').replace(
        'protocol = "0-shot", match = ["once"], ', ""
    )
    found = grid([ran(tmp_path, "fake/a", count=20)], paper(tmp_path, text))
    row = cells(found, "Sums")
    assert notes(found, row["New"]) == ["accuracy here, ratio there"]
    assert notes(found, row["Old"])[1] == "0-shot, greedy (once) here, a protocol that is not stated there"


@pytest.mark.slow
def test_rows_without_a_task_stay_and_are_marked(tmp_path: Path) -> None:
    found = grid([ran(tmp_path, "fake/a", count=20)], paper(tmp_path))
    row = cells(found, "Products")
    assert [cell.text for cell in row.values()] == ["12.5%", NOT_PRINTED, NO_TASK]
    assert [cell.kind for cell in row.values()] == ["printed", "empty", "empty"]
    (table,) = load_tables("gemini-1.0/table-2")
    store = ran(tmp_path, "fake/b", task="gsm8k", data="builtin")
    found = grid([store], table)
    assert [row.label for row in found.rows] == [row.name for row in table.rows]
    said = {row.label: row.cells[-1].text for row in found.rows}
    assert said["MATH"] == NOT_RUN
    assert NO_TASK not in said.values()
    (table,) = load_tables("gemini-1.0/table-10")
    found = grid([store], table)
    assert all(row.task in reserved() for row in table.rows)
    assert {row.cells[-1].text for row in found.rows} == {NO_TASK}
    waiting = ", ".join(dict.fromkeys(row.task for row in table.rows))
    assert any(f"{waiting}; a task of your own" in one for one in found.remarks)


@pytest.mark.slow
def test_a_benchmark_under_two_protocols_has_two_lines(tmp_path: Path) -> None:
    (table,) = load_tables("gemini-1.0/table-2")
    store = ran(tmp_path, "fake/a", task="gsm8k:8-shot-cot,gsm8k:maj1@32", data="builtin")
    found = grid([store], table)
    lines = [row for row in found.rows if row.label == "GSM8K"]
    assert [(row.protocol, row.cells[-1].protocol) for row in lines] == [
        ("8-shot-cot",) * 2,
        ("maj1@32",) * 2,
    ]
    ultra = [notes(found, row.cells[0]) for row in lines]
    assert ultra == [["8-shot, greedy (8-shot-cot) here, Maj1@32 there"], []]


def test_a_run_answers_the_row_of_its_protocol(tmp_path: Path) -> None:
    (table,) = load_tables("gemini-1.0/table-2")
    store = ran(tmp_path, "fake/a", task="mmlu:5-shot", data="builtin")
    found = grid([store], table)
    kinds = {row.label: row.cells[-1].kind for row in found.rows if row.task == "mmlu"}
    assert kinds == {"MMLU": "run", "MMLU, 5-shot": "run"}  # the first has figures under 5-shot too
    routed, few_shot = cells(found, "MMLU"), cells(found, "MMLU, 5-shot")
    assert notes(found, routed["Gemini Ultra"])[1] == "5-shot, likeliest letter (5-shot) here, CoT@32 there"
    assert not routed["GPT-3.5"].marks
    assert not few_shot["Gemini Ultra"].marks
    assert not few_shot["Gemini Ultra"].comparable  # the run is of a small set
    store = ran(tmp_path, "fake/b", task="mmmu:maj1@32", data="builtin", limit=3)
    found = grid([store], *load_tables("gemini-1.0/table-7"))
    kinds = {row.label: row.cells[-1].kind for row in found.rows if row.task == "mmmu"}
    assert kinds == {"MMMU (val)": "empty", "MMMU (val), Maj1@32": "run"}


def test_runs_that_were_not_asked_alike_are_marked(tmp_path: Path) -> None:
    stores = [ran(tmp_path, "fake/a"), ran(tmp_path, "fake/b", lambda gold: gold % 2 == 0, ask="Say")]
    found = grid(stores, paper(tmp_path))
    row = cells(found, "Sums")
    assert row["fake/a"].comparable
    assert not row["fake/b"].comparable
    (note,) = notes(found, row["fake/b"])
    assert note.startswith(
        "fake/b on sums:once is not comparable with the row's first cell; the prompts sent:"
    )
    assert not row["fake/a"].against
    assert not row["fake/b"].against
    with pytest.raises(UsageError, match=r"--strict: figures are not comparable.*\n  .*the prompts sent"):
        build_grids(stores, build_table(stores), strict=True)
    with pytest.raises(UsageError, match=r"--strict: fake/b on sums:once is not comparable"):
        render_report(stores, "csv", strict=True)


@pytest.mark.slow
def test_strict_lists_everything_that_may_not_stand_there(tmp_path: Path) -> None:
    store = ran(tmp_path, "fake/a")
    with pytest.raises(UsageError) as refused:
        grid([store], paper(tmp_path), strict=True)
    assert str(refused.value).splitlines() == [
        "--strict: figures are not comparable",
        "  Sums, New: 0-shot, greedy (once) here, Maj1@5 there",
    ]
    alike = PAPER.replace('match = ["maj"]', 'match = ["once"]')
    assert grid([store], paper(tmp_path, alike), strict=True).has_runs
    gsm8k = ran(tmp_path, "fake/b", task="gsm8k", data="builtin")
    with pytest.raises(UsageError, match="evalkit's own small set"):
        grid([gsm8k], *load_tables("gemini-1.0/table-2"), strict=True)


def test_strict_lets_pass_what_is_only_worth_knowing(tmp_path: Path) -> None:
    """The threshold that was chosen is a note, and keeps nothing from being compared."""
    store = ran(tmp_path, "fake/a", task=f"{quiz(tmp_path)}:quiz:routed")
    table = build_table([store], strict=True)
    assert any("validation samples" in note for note in table.notes)
    with pytest.raises(UsageError, match=r"--strict: fake/b on sums: a part: 6 of 200"):
        build_table([ran(tmp_path, "fake/b", limit=6)], strict=True)


def test_a_part_is_marked_and_its_interval_is_of_the_part(tmp_path: Path) -> None:
    found = grid([ran(tmp_path, "fake/a", limit=6)], paper(tmp_path))
    row = cells(found, "Sums")
    assert notes(found, row["fake/a"]) == ["fake/a on sums: a part: 6 of 200 samples (--limit 6)"]
    low, high = wilson(6, 6)
    assert (row["fake/a"].low, row["fake/a"].high) == pytest.approx((100 * low, 100 * high))
    assert row["fake/a"].text == "100"
    assert row["fake/a"].n == 6
    assert not row["Old"].comparable
    assert not row["fake/a"].best


def test_a_part_stands_beside_no_whole(tmp_path: Path) -> None:
    found = grid([ran(tmp_path, "fake/a"), ran(tmp_path, "fake/b", limit=6)])
    row = cells(found, "sums:once")
    assert not row["fake/b"].comparable
    assert "number of samples: 200 and 6" in notes(found, row["fake/b"])[0]


def test_a_whole_run_is_held_to_the_printed_figure_whatever_stands_before_it(tmp_path: Path) -> None:
    """The first run being a part took every other run's place beside the printed figures."""
    part = ran(tmp_path, "fake/part", limit=6)
    stores = [part, ran(tmp_path, "fake/a")]
    row = cells(grid(stores, paper(tmp_path)), "Sums")
    assert (row["fake/part"].comparable, row["fake/a"].comparable, row["Old"].comparable) == (
        False,
        True,
        True,
    )
    assert row["fake/a"].best
    (note, *_) = build_table(stores).notes
    assert note.startswith("fake/part on sums:once is not comparable with fake/a; number of samples")


def test_two_runs_of_one_part_are_compared_with_each_other(tmp_path: Path) -> None:
    stores = [
        ran(tmp_path, "fake/a", limit=100),
        ran(tmp_path, "fake/b", lambda gold: gold % 2 > 0, limit=100),
    ]
    row = cells(grid(stores, paper(tmp_path)), "Sums")
    assert not row["fake/a"].best, "a part is nobody's best"
    assert row["fake/a"].against["fake/b"].lost == 0
    assert row["fake/b"].comparable
    assert not row["Old"].comparable


@pytest.mark.slow
def test_a_figure_of_the_whole_corpus_says_so(tmp_path: Path) -> None:
    store = ran(tmp_path, "fake/a", task="covost2", data="builtin")
    (table,) = load_tables("gemini-1.0/table-11")
    found = grid([store], table)
    row = cells(found, "AST CoVoST 2 (21 lang, X→en)")
    assert any(
        note.startswith("BLEU (macro) is the mean over groups of one figure of each whole corpus")
        for note in notes(found, row["fake/a"])
    )
    alone = grid([store])
    said = {row.metric: notes(alone, row.cells[0]) for row in alone.rows}
    for metric in ("BLEU", "chrF2"):
        assert any(note.startswith(f"{metric} is one figure of the whole corpus") for note in said[metric])


def test_a_group_is_compared_with_the_groups_figure(tmp_path: Path) -> None:
    text = PAPER.replace('task = "sums"', 'task = "sums"\ngroup = "even"').replace(
        'name = "Sums"', 'name = "Even"'
    )
    text += (
        text[text.index("[[rows]]") : text.index('name = "Products"')]
        .replace("Even", "Third")
        .replace('"even"', '"third"')
        .removesuffix("[[rows]]\n")
    )
    found = grid([ran(tmp_path, "fake/a", lambda gold: gold % 2 == 0)], paper(tmp_path, text))
    even = cells(found, "Even")["fake/a"]
    assert even.value == 0.0
    assert 0 < (even.n or 0) < 200
    assert cells(found, "Third")["fake/a"].text == NO_SAMPLE


@pytest.mark.slow
def test_a_measure_of_its_own_has_a_row_of_its_own(tmp_path: Path) -> None:
    """Figure 9's three rules: each row takes its own reading of one run."""
    store = ran(tmp_path, "fake/a", task="mmlu", data="builtin")
    (table,) = load_tables("gemini-1.0/figure-9")
    found = grid([store], table)
    measured = [row.cells[-1].cell.metric for row in found.rows if row.cells[-1].cell]
    assert measured == ["accuracy (greedy)", "accuracy (majority)", "accuracy"]


@pytest.mark.parametrize(
    ("protocol", "label", "differs"),
    [("cot32", "chain of thought @32, majority", False), ("5-shot", 'greedy letter ("score eval")', True)],
)
def test_a_rule_that_was_run_alone_stands_in_its_row(
    tmp_path: Path, protocol: str, label: str, differs: bool
) -> None:
    """Figure 9 prints a plain majority, and a greedy letter under a prompt that nobody knows."""
    store = ran(tmp_path, "fake/a", task=f"mmlu:{protocol}", data="builtin")
    (table,) = load_tables("gemini-1.0/figure-9")
    found = grid([store], table)
    assert [row.label for row in found.rows if row.cells[-1].cell] == [label]
    said = notes(found, cells(found, label)["Gemini Ultra"])
    assert any("there" in note for note in said) is differs


@pytest.mark.slow
def test_the_best_is_better_than_every_other(tmp_path: Path) -> None:
    """Over 200 samples, 200 to 167 right is a difference and 200 to 198 is none."""
    a = ran(tmp_path, "fake/a")
    b = ran(tmp_path, "fake/b", lambda gold: gold % 6 == 0)
    c = ran(tmp_path, "fake/c", lambda gold: gold == 200)
    row = cells(grid([a, b]), "sums:once")
    assert [cell.best for cell in row.values()] == [True, False]
    lost = next(store.outcomes(store.cells()[0])["wrong"] for store in [b])
    assert 20 < lost < 50
    (won,), (other,) = row["fake/a"].against.items(), row["fake/b"].against.items()
    assert (won[0], won[1].won, won[1].lost, won[1].verdict) == ("fake/b", lost, 0, "better")
    assert other == ("fake/a", won[1].turned())
    row = cells(grid([a, b, c]), "sums:once")
    assert 0 < row["fake/c"].against["fake/b"].won <= lost
    assert not any(cell.best for cell in row.values())
    row = cells(grid([b, a]), "sums:once")
    assert [cell.best for cell in row.values()] == [False, True]


@pytest.mark.parametrize(
    ("printed", "best"), [("50.0%", True), ("98.0%", True), ("98.5%", False), ("100%", False)]
)
def test_a_printed_figure_has_to_lie_outside_the_interval(tmp_path: Path, printed: str, best: bool) -> None:
    """Wilson's interval of 200 of 200 begins at 98.1."""
    found = grid([ran(tmp_path, "fake/a")], paper(tmp_path, PAPER.replace("50.0%", printed)))
    row = cells(found, "Sums")
    assert row["fake/a"].low == pytest.approx(98.1, abs=0.05)
    assert row["fake/a"].best is best
    assert not row["Old"].best


def test_nothing_is_best_alone_or_among_what_cannot_be_compared(tmp_path: Path) -> None:
    store = ran(tmp_path, "fake/a")
    assert not cells(grid([store]), "sums:once")["fake/a"].best
    found = grid([store], paper(tmp_path, PAPER.replace('match = ["once"], ', "")))
    assert not any(cell.best for cell in cells(found, "Sums").values())


def test_lower_may_be_better(tmp_path: Path) -> None:
    right = ran(tmp_path, "fake/a", task="asr", data="builtin", settings={"normaliser": "whisper-english"})
    found = grid([right])
    row = next(row for row in found.rows if not row.higher_is_better)
    assert row.cells[0].value == 0.0
    assert found.as_json()["rows"][0]["higher_is_better"] is False  # type: ignore[index,call-overload]


def test_a_model_twice_is_told_apart_by_its_files(tmp_path: Path) -> None:
    stores = [ran(tmp_path, "fake/a", file="old", count=20), ran(tmp_path, "fake/a", file="new", count=20)]
    found = grid(stores)
    assert [column.name for column in found.columns] == ["fake/a (old)", "fake/a (new)"]
    assert "fake/a (new)" in render_report(stores, "markdown")


def test_rows_of_no_printed_table_come_last(tmp_path: Path) -> None:
    text = PAPER.replace('task = "sums"', 'task = "products"')
    store = ran(tmp_path, "fake/a", count=20)
    grids = build_grids([store], build_table([store]), (paper(tmp_path, text),))
    assert [one.title for one in grids] == ["Table 1: sums", "Rows that the printed tables do not have"]
    assert grids[1].rows[0].label == "sums:once"


@pytest.mark.parametrize(
    ("value", "low", "high", "text", "between"),
    [
        (53.24, 40.0, 66.0, "53", "40–66"),
        (53.24, 51.8, 54.6, "53.2", "51.8–54.6"),
        (53.24, 48.0, 58.0, "53.2", "48.0–58.0"),
        (53.24, 47.9, 58.1, "53", "48–58"),
        (53.244, 53.0, 53.5, "53.24", "53.00–53.50"),
        (53.2444, 53.24, 53.25, "53.244", "53.240–53.250"),
        (53.24, None, None, "53.2", ""),
        (100.0, 100.0, 100.0, "100.000", "100.000–100.000"),
        (None, None, None, "—", ""),
    ],
)
def test_digits_are_those_that_the_interval_supports(
    value: float | None, low: float | None, high: float | None, text: str, between: str
) -> None:
    assert figure_text(value, low, high) == text
    assert interval_text(low, high) == between


def test_data_formats_have_every_cell(tmp_path: Path) -> None:
    stores = [ran(tmp_path, "fake/a"), ran(tmp_path, "fake/b", lambda gold: gold % 2 > 0, says="")]
    path = tmp_path / "own.toml"
    paper(tmp_path)
    rows = list(csv.DictReader(io.StringIO(render_report(stores, "csv", paper=str(path)))))
    assert [(row["row"], row["column"], row["kind"], row["text"]) for row in rows] == [
        ("Sums", "Old", "printed", "50.0%"),
        ("Sums", "New", "printed", "99.9%"),
        ("Sums", "fake/a", "run", "100.0"),
        ("Sums", "fake/b", "run", "51"),
        ("Products", "Old", "printed", "12.5%"),
        ("Products", "New", "empty", "—"),
        ("Products", "fake/a", "empty", "no task yet"),
        ("Products", "fake/b", "empty", "no task yet"),
    ]
    assert rows[3]["against"] == "fake/a: won 0, lost 98"
    assert rows[3]["outcomes"] == "correct 102, unparsable 98"
    assert rows[1]["notes"] == "0-shot, greedy (once) here, Maj1@5 there"
    document = json.loads(render_report(stores, "json", paper=str(path)))
    assert document["paper"] == path.name
    (found,) = document["grids"][:1]
    assert found["rows"][0]["cells"][3]["value"] == 51.0
    assert found["rows"][0]["cells"][3]["against"] == {
        "fake/a": {"won": 0, "lost": 98, "p": pytest.approx(0, abs=1e-9), "gain": pytest.approx(-49)}
    }
    assert len(document["cells"]) == 2
    (own, *_) = grids_of(stores, build_table(stores), str(path))
    frame = own.to_pandas()
    assert list(frame[frame.kind == "run"].value) == [100.0, 51.0]
    assert len(frame) == 8


@pytest.mark.slow
def test_a_paper_without_a_table_gives_those_with_a_figure(tmp_path: Path) -> None:
    store = ran(tmp_path, "fake/a", task="gsm8k", data="builtin")
    grids = grids_of([store], build_table([store]), "gemini-1.0")
    assert [one.id for one in grids] == ["table-2", "table-15", ""]
    other = ran(tmp_path, "fake/b", count=20)
    with pytest.raises(UsageError, match=r"no run has a figure for a table of gemini-1\.0"):
        grids_of([other], build_table([other]), "gemini-1.0")


def test_a_second_figure_without_a_protocol_refers_to_the_row_with_the_runs(tmp_path: Path) -> None:
    """As table 2's second figure of GPT-4 on MATH: it is not true that the benchmark was not run."""
    second = PAPER.replace('"Products"', '"Sums, by others"\ntask = "sums"').replace(
        ', protocol = "3-shot"', ""
    )
    row = cells(grid([ran(tmp_path, "fake/a", count=20)], paper(tmp_path, second)), "Sums, by others")
    assert (row["fake/a"].kind, row["fake/a"].text) == ("empty", "see Sums")
    assert (
        cells(
            grid([ran(tmp_path, "fake/b", task=quiz(tmp_path))], paper(tmp_path, second)), "Sums, by others"
        )["fake/b"].text
        == NOT_RUN
    )
