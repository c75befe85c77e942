"""What a report shows of its tables: the columns that fit, the notes about them, and what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.report.build import Page, render_report
from evalkit.report.choice import Choice, named
from evalkit.runfile.store import Store
from tests.report.runs import ran

WIDE = """
title = "Table 3: sums of many"
source = "section 2"
columns = ["Rare", "Often", "Alike", "Twice", "Thrice"]
notes = ["Often was asked in spring.", "Rare had a bad day.", "All were asked by phone."]
asides = ["The paper has a misprint on page 7."]
[footnotes]
"r" = "said Rare"
"o" = "said Often"
[[rows]]
name = "Sums, plain"
task = "sums"
metric = "accuracy"
unit = "%"
higher_is_better = true
figures."Rare" = { text = "10%", protocol = "3-shot", marks = ["r"] }
figures."Often" = { text = "40%", protocol = "3-shot", marks = ["o"] }
figures."Alike" = { text = "70%", protocol = "once", match = ["once"] }
figures."Twice" = { text = "71%", protocol = "twice" }
[[rows]]
name = "Products"
metric = "accuracy"
unit = "%"
higher_is_better = true
figures."Rare" = { text = "6.7%", low = 5.8, high = 7.8 }
"""


def every(n: int) -> Callable[[int], bool]:
    return lambda gold: gold % n == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    folder = tmp_path_factory.mktemp("runs")
    (folder / "wide.toml").write_text(WIDE, encoding="utf-8")
    stores = [ran(folder, f"fake/model-{i}", every(i + 2), count=40) for i in range(3)]
    yield stores
    for store in stores:
        store.close()


def shown(runs: list[Store], name: str = "terminal", width: int = 80, **choice: object) -> str:
    paper = str(runs[0].path.parent / "wide.toml")
    return render_report(runs, name, paper=paper, width=width, choice=Choice(**choice))  # type: ignore[arg-type]


def test_what_fits_is_in_one_box_and_the_rest_is_named(runs: list[Store]) -> None:
    text = shown(runs, width=66)
    assert text.count("Sums, plain") == 1
    assert "Alike" in text  # the one whose figure is comparable
    assert "Left out: Rare, Often, Twice, Thrice; --columns all shows them" in " ".join(text.split())
    assert "said" not in text
    assert "bad day" not in text
    assert "in spring" not in text
    assert "by phone" in text
    assert "misprint" not in text
    wide = shown(runs, width=160)
    assert "Left out" not in wide
    assert wide.count("Sums, plain") == 1
    assert "¹ said Rare" in wide


def test_all_columns_bring_their_notes(runs: list[Store]) -> None:
    text = shown(runs, width=66, columns=("all",))
    assert text.count("Sums, plain") > 1
    for words in ("said Rare", "said Often", "bad day", "misprint", "Thrice"):
        assert words in text
    assert "Left out" not in text


def test_columns_are_those_that_are_named_in_their_order(runs: list[Store]) -> None:
    lines = shown(runs, width=120, columns=("Twice", "fake/model-2", "Often")).splitlines()
    assert lines[2].split() == ["Twice", "fake/model-2", "Often", "fake/model-0", "fake/model-1"]
    page = shown(runs, "html", columns=("Twice", "fake/model-2"))
    assert page.index('class="printed">Twice<') < page.index('class="run">fake/<wbr>model-<wbr>2<')
    page = shown(runs, "html")
    assert page.index('class="printed">Twice<') > page.index('class="run">fake/<wbr>model-<wbr>2<')
    csv = shown(runs, "csv", columns=("Twice",))
    assert "Twice,printed" in csv
    assert "Often" not in csv
    with pytest.raises(UsageError, match=r"unknown column 'Oftn': did you mean Often\?"):
        shown(runs, columns=("Oftn",))


def test_rows_are_those_that_are_named_in_their_order(runs: list[Store]) -> None:
    text = shown(runs, width=120, rows=("Products", "Sums", " plain"))
    assert text.index("Products") < text.index("Sums, plain")
    assert "Products" not in shown(runs, rows=("sums:once",))
    with pytest.raises(UsageError, match=r"unknown row 'Prodcts': did you mean Products\?"):
        shown(runs, rows=("Prodcts",))


def test_upper_and_lower_case_are_alike(runs: list[Store]) -> None:
    assert named(["gpt-4", " Sums", " PLAIN"], ["GPT-4", "Sums, plain"], "x") == ["GPT-4", "Sums, plain"]
    assert named(["MMLU"], ["MMLU", "mmlu"], "x") == ["MMLU"]
    assert named(["Mmlu"], ["MMLU", "mmlu"], "x") == ["MMLU", "mmlu"]
    text = shown(runs, width=120, columns=("often",), rows=("products",))
    assert "Often" in text
    assert "Sums, plain" not in text
    with pytest.raises(UsageError, match=r"unknown column 'OFTN': did you mean Often\?"):
        shown(runs, columns=("OFTN",))


def test_the_best_of_a_row_is_that_of_all_its_columns_and_says_so(runs: list[Store], tmp_path: Path) -> None:
    with ran(tmp_path, "fake/best", count=40) as best:
        two = [runs[0], best]
        whole = " ".join(shown(two, width=160, columns=("all",)).split())
        assert "never marked as best itself" in whole
        assert "left out count too" not in whole
        narrow = " ".join(shown(two, width=160, columns=("Rare",)).split())
        assert "never marked as best itself; columns that are left out count too" in narrow


@pytest.mark.parametrize("name", ["terminal", "markdown", "latex"])
def test_a_printed_interval_and_a_dash_are_told(runs: list[Store], name: str) -> None:
    text = shown(runs, name, width=160, columns=("Rare", "Often"))
    assert r"5.8--\allowbreak{}7.8" in text if name == "latex" else "5.8–7.8" in text
    assert "the paper prints no figure" in text


def test_won_and_lost_is_there_once_with_p(runs: list[Store]) -> None:
    text = shown(runs, width=100)
    assert text.count("Samples won and lost") == 1
    (row,) = (line for line in text.splitlines() if line.startswith("sums:once  "))
    assert row.count(", p ") == 3
    assert "benchmarks against fake/model-0: fake/model-1" in text
    markdown = shown(runs, "markdown")
    assert markdown.startswith("### ")
    assert markdown.index("Samples won and lost") < markdown.index("Table 3")


def test_a_long_list_of_signatures_is_an_appendix(tmp_path: Path) -> None:
    store = ran(tmp_path, "fake/a", task="gsm8k:8-shot-cot,math:4-shot", data="builtin")
    brief = render_report([store], "terminal", width=80)
    assert "|sig:" not in brief
    assert "Signatures (whole with evalkit report --signatures): gsm8k:8-shot-cot accuracy" in brief
    whole = render_report([store], "terminal", width=80, choice=Choice(signatures=True))
    assert whole.count("|sig:") == 5
    assert all(line.rpartition("|sig:")[2] in brief for line in whole.splitlines() if "|sig:" in line)


def test_names_may_have_commas() -> None:
    known = ["MMLU", "MMLU, 5-shot", "Acme 8B, 300k"]
    assert named(["MMLU", " 5-shot", "Acme 8B", "  300k"], known, "row") == known[1:]
    assert named(["MMLU", " 5-shot", "MMLU"], known, "row") == ["MMLU, 5-shot", "MMLU"]
    assert named(["Acme 8B, 300k", "MMLU"], known, "row") == ["Acme 8B, 300k", "MMLU"]


def test_rows_are_chosen_of_one_run_too(tmp_path: Path) -> None:
    store = ran(tmp_path, "fake/a", task="gsm8k:8-shot-cot,math:4-shot", data="builtin")
    for name in ("terminal", "markdown", "latex", "csv", "html"):
        text = render_report(
            [store], name, width=80, choice=Choice(rows=("math",)), page=Page(0, charts=False)
        )
        table = text.partition("Provenance")[0] if name != "html" else text.partition('id="provenance"')[0]
        assert "math:4-shot" in table
        assert "gsm8k:8" not in table.replace("on gsm8k, math", ""), name
