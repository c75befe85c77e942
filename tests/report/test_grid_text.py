"""Grids in the terminal, in Markdown and as CSV: whole, readable, and deaf to what names say."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from evalkit.report.build import render_report
from evalkit.report.documents import no_formula
from evalkit.report.grid import Grid
from evalkit.report.grids import build_grids
from evalkit.report.markdown import escape_markdown, paragraph
from evalkit.report.paper import load_tables
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from tests.report.runs import PAPER, hostile, paper, ran
from tests.report.shown import to_csv, to_markdown, to_terminal

HOSTILE = (
    "fake/<script>alert(1)</script>|**bold**`x`[a](javascript:alert(2))![i](http://x/y.png)~~no~~"
    "\x1b[31m\u202e\n# big\u2066 @someone www.x.y org/repo#12 :100: $x$ &lt;b&gt; </td></table> \\| _it_ <b>"
)
TABLES = load_tables("gemini-1.0")


def grids(stores: list[Store], *tables: str) -> tuple[Grid, ...]:
    printed = tuple(table for name in tables for table in load_tables(name))
    return build_grids(stores, build_table(stores), printed)


class Page(HTMLParser):
    """The tags of a page and its tables as lists of rows of texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.words = ""
        self.within = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [one for one in attrs if one[0] != "style"]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.within = True
        elif tag == "br" and self.within:
            self.rows[-1][-1] += "\n"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.within = False

    def handle_data(self, data: str) -> None:
        self.words += data
        if self.within:
            self.rows[-1][-1] += data


def rendered(markdown: str) -> Page:
    """As GitHub renders it: CommonMark with tables, struck text, links from bare addresses, and HTML."""
    return Page(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    """Two models on the small sets of three benchmarks, one of them wrong at times."""
    folder = tmp_path_factory.mktemp("pair")
    tasks = "gsm8k:8-shot-cot,gsm8k:maj1@32,mmmu"
    stores = [
        ran(folder, "fake/gold", task=tasks, data="builtin"),
        ran(folder, "fake/a-model-with-a-long-name", lambda gold: gold % 3 == 0, task=tasks, data="builtin"),
    ]
    yield stores
    for store in stores:
        store.close()


def bodies(text: str) -> Iterator[str]:
    yield from (line for line in text.splitlines() if "|sig:" not in line)


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("printed", TABLES, ids=lambda table: table.id)
def test_the_terminal_is_kept_to_and_names_stay_readable(
    pair: list[Store], width: int, printed: object
) -> None:
    (table,) = [one for one in TABLES if one is printed]
    (first, *_) = build_grids(pair, build_table(pair), (table,))
    text = to_terminal([first], width=width)
    assert max(map(len, bodies(text))) <= width
    labels = [line[:26].strip() for line in bodies(text)]
    for row in table.rows:
        assert row.name.split(",")[0].split()[0] in " ".join(labels)
        assert in_order(row.name.split(), labels), row.name
    words = text.split()
    for row in table.rows:
        for figure in row.figures.values():
            assert any(word.startswith(figure.text) for word in words), figure.text


def in_order(words: list[str], labels: list[str]) -> bool:
    """Whether the words stand one after the other in consecutive labels, none of them cut."""
    joined = " ".join(label for label in labels if label)
    return " ".join(words) in joined


def every(n: int) -> Callable[[int], bool]:
    return lambda gold: gold % n == 0


@pytest.mark.slow
def test_many_runs_are_cut_into_bands(tmp_path: Path) -> None:
    stores = [ran(tmp_path, f"fake/model-{i}", every(i + 2), count=30) for i in range(6)]
    found = build_grids(stores, build_table(stores), (paper(tmp_path),))
    text = to_terminal(found, width=80)
    assert max(map(len, bodies(text))) <= 80
    assert all(f"fake/model-{i}" in text for i in range(6))
    (row, _) = found[0].rows
    assert all(f" {cell.text}" in text for cell in row.cells)
    assert "won" not in text
    contest = row.cells[3].against["fake/model-0"]
    assert contest.won != contest.lost
    shown = render_report(stores, "terminal", width=80)
    assert f"{contest.won}:{contest.lost}, p" in shown
    assert "fake/model-1 0 better, 0 worse, 1 undecided; fake/model-2 1 better" in " ".join(shown.split())
    assert "every run against the first one; --format json has every pair" in " ".join(shown.split())
    assert "fake/model-5 against fake/model-4" not in shown


def test_a_cell_says_what_belongs_to_it(tmp_path: Path) -> None:
    odd = ran(tmp_path, "fake/b", lambda gold: gold % 2 > 0, says="", settings={"max_tokens": "64"})
    even = ran(tmp_path, "fake/a", settings={"max_tokens": "64"})
    text = to_terminal(build_grids([even, odd], build_table([even, odd]), (paper(tmp_path),)), width=120)
    for words in (
        "50.0%¹˒²", "once", "[max_tokens=64]", "98.1–100.0", "n 200", "100.0 *", "51", "44–58",
        "correct 51 %", "unparsable 49 %", "no task yet",
        "accuracy, % ↑", "Maj1@5", "¹ over the API", "Nobody checked it.",
        "² max_tokens=64 here, 0-shot without further details there",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.slow
def test_markdown_is_one_table_with_every_cell(pair: list[Store]) -> None:
    found = grids(pair, "gemini-1.0/table-2")
    page = rendered(to_markdown(found))
    assert page.tags.count("table") == len(found) == 2
    assert set(page.tags) <= {
        "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "br", "code", "em", "details", "summary"
    }  # fmt: skip
    columns = [column.name for column in found[0].columns]
    assert page.rows[0] == ["", *columns]
    for row, cells in zip(found[0].rows, page.rows[1:], strict=False):
        assert cells[0].splitlines()[0] == row.label
        assert len(cells) == len(columns) + 1
        for cell, shown in zip(row.cells, cells[1:], strict=True):
            assert shown.splitlines()[0].rstrip("⁰¹²³⁴⁵⁶⁷⁸⁹˒") == cell.text
            assert cell.protocol.partition("[")[0] in (cells[0] if cell.kind == "run" else shown)
    assert "³ " in page.words
    assert "8-shot, greedy (8-shot-cot) here, Maj1@32 there" in page.words
    assert "|sig:" in page.words


def test_a_section_and_a_breakdown_in_markdown(tmp_path: Path) -> None:
    text = PAPER.replace('task = "sums"', 'task = "sums"\nsection = "Easy"')
    stores = [ran(tmp_path, "fake/a"), ran(tmp_path, "fake/b", lambda gold: gold % 2 > 0)]
    paper(tmp_path, text)
    page = rendered(render_report(stores, "markdown", paper=str(tmp_path / "own.toml"), breakdown=True))
    assert ["Easy", "", "", "", ""] in page.rows
    assert [row[1] for row in page.rows if row[0] == "odd"] == ["100.0 %", "0.0 %"]
    assert "Easy" in to_terminal(build_grids(stores, build_table(stores), (paper(tmp_path, text),)), width=90)


def test_nothing_that_a_name_says_acts_in_markdown(tmp_path: Path) -> None:
    stores, printed = hostile(tmp_path, HOSTILE)
    text = render_report(stores, "markdown", paper=printed)
    page = rendered(text)
    assert set(page.tags) <= {
        "p", "h3", "strong", "table", "thead", "tbody", "tr", "th", "td", "br", "code", "em"
    }  # fmt: skip
    assert not page.attributes
    assert page.tags.count("table") == 2
    assert [len(row) for row in page.rows] == [2] * 2 + [5] * 4
    assert page.rows[2][1].startswith(
        "fake/<script>alert(1)</script>|**bold**`x`[a](javascript:alert(2))![i]"
    )
    assert "# big" in page.rows[2][1]
    assert "&lt;b&gt; </td></table> \\| _it_ <b>" in page.rows[2][1]
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069]", text)
    shown = "".join(line for line in text.splitlines() if not line.startswith("`"))
    assert not re.search(r"(?<!\w)@\w|(?<!&)#\d|:100:|\$x|://|www\.", shown)


@pytest.mark.parametrize(
    "line",
    [
        "# big",
        "- item",
        "+ item",
        "1. item",
        "12) item",
        "> said",
        "===",
        "---",
        "***",
        "  # big",
        "* x",
        "```",
    ],
)
def test_a_line_of_its_own_is_a_paragraph(line: str) -> None:
    page = rendered(f"before  \n{paragraph(line)}  \nafter\n\n{paragraph(line)}\n")
    assert set(page.tags) <= {"p", "br"}
    assert page.words.count(line.strip()) == 2


@pytest.mark.parametrize("text", ["a@b.c", "CoT@32", "gsm8k:8-shot-cot", "5 # 6", "a:b"])
def test_what_github_makes_nothing_of_stays_as_it_is(text: str) -> None:
    assert escape_markdown(text) == text


@pytest.mark.slow
def test_nothing_that_a_name_says_acts_in_the_terminal(tmp_path: Path) -> None:
    stores, printed = hostile(tmp_path, HOSTILE)
    for width in (60, 80, 200):
        text = render_report(stores, "terminal", paper=printed, width=width)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert max(map(len, bodies(text))) <= width
    coloured = render_report(stores, "terminal", paper=printed, colour=True, width=100)
    assert set(re.findall("\x1b[^m]*m", coloured)) <= {
        "\x1b[0m",
        "\x1b[1m",
        "\x1b[2m",
        "\x1b[3m",
        "\x1b[1;31m",
        "\x1b[31m",
    }


def test_no_name_is_a_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    text = PAPER.replace("Old", '=HYPERLINK(\\"http://x\\")').replace('"0-shot"', '"@SUM(1)"')
    text = text.replace('text = "12.5%"', 'text = "+0.5"').replace('name = "Products"', 'name = "-1+1"')
    store = ran(tmp_path, "=cmd|' /C calc'!A0", count=20)
    found = build_grids([store], build_table([store]), (paper(tmp_path, text),))
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert len(rows) == 6
    for row in rows:
        for value in row.values():
            assert not re.match(r"[=@\t\r]|[+-](?![\d.]+%?$)", value), value
    assert {row["column"] for row in rows} == {'\'=HYPERLINK("http://x")', "New", "'=cmd|' /C calc'!A0"}
    assert rows[0]["protocol"] == "'@SUM(1)"
    assert rows[3]["row"] == "'-1+1"
    assert rows[3]["text"] == "+0.5"
    stores, printed = hostile(tmp_path, HOSTILE)
    said = render_report(stores, "csv", paper=printed)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said)
    assert len(list(csv.DictReader(io.StringIO(said)))) == 8


@pytest.mark.parametrize("text", ["=1", "\t=1", " +A1", "\x1b@x", "-cmd", "＝1", "\n=1"])
def test_a_formula_gets_a_quote(text: str) -> None:
    assert str(no_formula(text)).startswith("'")


def test_wide_letters_keep_to_the_terminal(tmp_path: Path) -> None:
    from rich.cells import cell_len

    stores = [ran(tmp_path, "fake/模型模型模型模型"), ran(tmp_path, "fake/b", lambda gold: gold % 2 > 0)]
    found = build_grids(
        stores, build_table(stores), (paper(tmp_path, PAPER.replace('"Sums"', '"算术算术算术"')),)
    )
    assert max(map(cell_len, bodies(to_terminal(found, width=70)))) <= 70
