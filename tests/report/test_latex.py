"""LaTeX of grids: what pdflatex makes of it, whatever the names say."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.report import latex
from evalkit.report.build import render_report
from evalkit.report.choice import Choice
from evalkit.report.grids import build_grids
from evalkit.report.latex import escape
from evalkit.report.paper import load_tables
from evalkit.report.sources import Source
from evalkit.report.table import build_table
from evalkit.report.tabular import Column, Tabular, TabularCell, TabularRow
from evalkit.runfile.store import Store
from tests import needs
from tests.report.runs import hostile, paper, ran
from tests.report.shown import to_latex

HOSTILE = (
    r"fake/\input{secret}\write18{touch run}$x^2$ #1 50% a_b ~ ^^5c {[*] \\ & <b> | \"q\" `a' ``b'' -- ?` !` "
    "naïve Łódź Çà ß 模型 עברית 😀 \x1b[31m\u202e\n\t\\end{table}"
)


ARTICLE = r"\documentclass{article}"
NEURIPS = r"\documentclass{article}\usepackage[textwidth=5.5in,textheight=9in]{geometry}"
TWO_COLUMNS = (
    r"\documentclass[twocolumn]{article}"
    r"\usepackage[textwidth=6.75in,textheight=9in,columnsep=0.25in]{geometry}\pagestyle{empty}"
)
BEAMER = r"\documentclass{beamer}"
SLIDE = (  # beamer's page and text, and like it without table*; needs no texlive-pictures
    r"\documentclass{article}\usepackage[paperwidth=128mm,paperheight=96mm,margin=10mm]{geometry}"
    r"\expandafter\let\csname table*\endcsname\relax\expandafter\let\csname endtable*\endcsname\relax"
    r"\pagestyle{empty}\renewcommand{\familydefault}{\sfdefault}"
)
SLIDES = (SLIDE, BEAMER) if needs.tex_has("beamer.cls", "pgfmath.sty") else (SLIDE,)
CLASSES = (
    ARTICLE, r"\documentclass[11pt,a4paper]{article}", r"\documentclass[twocolumn]{article}", NEURIPS,
    TWO_COLUMNS,
)  # fmt: skip


def compiled(folder: Path, head: str = ARTICLE) -> str:
    """The log of a document that reads `table.tex`; fails where pdflatex does."""
    table = r"\begin{frame}\input{table}\end{frame}" if head == BEAMER else r"\input{table}"
    document = rf"{head}\usepackage{{booktabs,array}}\begin{{document}}{table}\end{{document}}"
    (folder / "paper.tex").write_text(document + "\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False)
    log = (folder / "paper.log").read_text("utf-8", errors="replace")
    assert done.returncode == 0, log[-3000:]
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    return log


def fits(log: str) -> None:
    """Nothing is wider than its line, and no float longer than its page."""
    assert "Overfull" not in log, log[log.index("Overfull") :][:300]
    assert "Float too large" not in log


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    folder = tmp_path_factory.mktemp("stores")
    tasks = "gsm8k:8-shot-cot,gsm8k:maj1@32,mmlu,mmmu"
    found = [
        ran(folder, "openai/acme-8b-step-300000", task=tasks, data="builtin"),
        ran(folder, "openai/acme-8b-step-600000", lambda gold: gold % 3 == 0, task=tasks, data="builtin"),
        ran(folder, "fake/gold", lambda gold: gold % 5 == 0, task=tasks, data="builtin"),
    ]
    yield found
    for store in found:
        store.close()


@pytest.mark.slow
@needs.tex
def test_every_table_of_the_report_compiles(tmp_path: Path, stores: list[Store]) -> None:
    """All sixteen with all columns and three runs: nothing overflows and no float is longer than a page."""
    grids = build_grids(stores, build_table(stores), load_tables("gemini-1.0"))
    assert len(grids) == 17
    (tmp_path / "table.tex").write_text(to_latex(grids), encoding="utf-8")
    for head in CLASSES:
        fits(compiled(tmp_path, head))
    for grid in grids[:-1]:
        assert rf"\label{{tab:{grid.id}}}" in to_latex([grid])


@pytest.mark.slow
@needs.tex
def test_a_table_for_a_paper(tmp_path: Path, stores: list[Store]) -> None:
    """What is chosen, in a column, across two, and on a slide: one float with its notes, in readable type."""
    rows = ("MMLU, 5-shot", "GSM8K", "MATH", "HumanEval")
    choice = Choice(("Gemini Ultra", "GPT-4"), rows, caption="Mathematics & more", label="tab:maths")
    text = render_report(stores, "latex", paper="gemini-1.0/table-2", choice=choice)
    assert text.count(r"\begin{table*}") == 1
    assert r"\caption{Mathematics \& more}\label{tab:maths}" in text
    assert r"openai/\allowbreak{}acme-{}8b" in text
    assert not re.search(r"scriptsize|\\tiny|resizebox", text)
    body, _, after = text.partition(r"\end{table*}")
    assert "trained Gemini API model; the others" in body
    assert all(line.startswith("%") for line in after.splitlines() if line)
    (tmp_path / "table.tex").write_text(text, encoding="utf-8")
    for head in CLASSES:
        fits(compiled(tmp_path, head))
    small = Choice(columns=("Gemini Ultra",), rows=("GSM8K", "MMLU, 5-shot"))
    slide = render_report(stores[:2], "latex", paper="gemini-1.0/table-2", choice=small)
    (tmp_path / "table.tex").write_text(slide, encoding="utf-8")
    for head in (*SLIDES, TWO_COLUMNS):
        fits(compiled(tmp_path, head))
    named = [Source((store.path,), f"Ours {n}00k") for n, store in enumerate(stores, 1)]
    few = Choice(choice.columns, rows[1:2])
    slide = render_report(stores, "latex", paper="gemini-1.0/table-2", choice=few, sources=named)
    (tmp_path / "table.tex").write_text(slide, encoding="utf-8")
    for head in SLIDES:  # five columns
        fits(compiled(tmp_path, head))


@pytest.mark.slow
@needs.tex
def test_notes_are_in_floats_and_no_float_is_longer_than_its_page(tmp_path: Path) -> None:
    """However many rows and remarks a table has; outside of floats there are only comments and the head."""
    rows = [TabularRow((TabularCell(f"Row {n}", lines=("accuracy", "n 200")), TabularCell("50.0", "run")))
            for n in range(90)]  # fmt: skip
    remarks = tuple(f"Remark {n} {'goes on and on ' * 12}" for n in range(70))
    table = Tabular("Tall", (Column(""), Column("fake/a", "run")), tuple(rows), remarks=remarks, id="tall")
    text = latex.to_latex([table])
    for head in CLASSES:
        (tmp_path / "table.tex").write_text(text, encoding="utf-8")
        fits(compiled(tmp_path, head))
    outside = re.sub(r"(?s)\\begin\{table\}.*?\\end\{table\}", "", text)
    assert all(
        line.startswith(("%", r"\makeatletter", r"\newenvironment")) for line in outside.splitlines() if line
    )
    assert text.count(r"\caption{Tall}\label{tab:tall}") == 1
    assert text.count(r"\caption[]{Tall (continued)}") == text.count(r"\begin{table}[") - 1
    assert len(re.findall(r"Remark \d+ ", text)) == 70


@pytest.mark.slow
@needs.tex
def test_nothing_that_a_name_says_acts(tmp_path: Path) -> None:
    stores, printed = hostile(tmp_path, HOSTILE)
    (tmp_path / "secret.tex").write_text("a secret", encoding="utf-8")
    (tmp_path / "table.tex").write_text(render_report(stores, "latex", paper=printed), encoding="utf-8")
    log = compiled(tmp_path)
    assert "secret.tex" not in log
    assert not (tmp_path / "run").exists()


@needs.tex
def test_every_character_is_one_that_it_has(tmp_path: Path) -> None:
    """All of the Basic Multilingual Plane's first 12,000 characters, and some beyond."""
    characters = [chr(code) for code in range(12_000)] + ["模", "😀", "\ud800", "\U0010ffff"]
    text = "\\par\n".join(escape("".join(characters[i : i + 60])) for i in range(0, len(characters), 60))
    assert text.isascii()
    (tmp_path / "table.tex").write_text(text, encoding="utf-8")
    compiled(tmp_path)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b", r"a\_b"),
        ("50 %", r"50 \%"),
        ("é", r"\'{e}"),
        ("ǖ", r"\={\"{u}}"),
        ("模", "U+6A21"),
        ("\u202e\x1b\n", "   "),
        ("a--b", "a-{}-{}b"),
        ("↑", r"$\uparrow$"),
        ("[x]", "{[}x{]}"),
        ("\\", r"\textbackslash{}"),
    ],
)
def test_escaping(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_a_cell_says_what_belongs_to_it(tmp_path: Path) -> None:
    stores = [
        ran(tmp_path, "fake/a", settings={"max_tokens": "64"}),
        ran(tmp_path, "fake/b", lambda gold: gold % 2 > 0, says="", settings={"max_tokens": "64"}),
    ]
    paper(tmp_path)
    text = render_report(stores, "latex", paper=str(tmp_path / "own.toml"))
    for words in (
        r"\caption{Sums (printed: section 1, table 1)}\label{tab:own}", r"50.0\%\textsuperscript{1,2}",
        r"\textbf{100.0}", r"98.1--\allowbreak{}100.0", "n 200", r"\_\allowbreak{}tokens=\allowbreak{}64{]}",
        r"unparsable 49 \%", "no task yet", r"accuracy, \% $\uparrow$", r"\textsuperscript{1}\,over the API.",
        "Nobody checked it.", "sig:",
    ):  # fmt: skip
        assert words in text, words
    assert len(re.findall(r"(?m)^% Needs", text)) == 1


def test_a_single_run_is_a_grid_too(tmp_path: Path) -> None:
    text = render_report([ran(tmp_path, "fake/a", count=20)], "latex")
    assert r"\begin{tabular}{@{}lr@{}}" in text
    assert "sums:once" in text
    with pytest.raises(UsageError, match="unknown"):
        render_report([ran(tmp_path, "fake/b", count=20)], "latex", paper="nowhere")
