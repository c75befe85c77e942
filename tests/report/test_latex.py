"""LaTeX of grids: what pdflatex makes of it, whatever the names say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.report.build import render_report
from evalkit.report.grids import build_grids
from evalkit.report.latex import escape
from evalkit.report.paper import load_tables
from evalkit.report.table import build_table
from tests import needs
from tests.report.runs import hostile, paper, ran
from tests.report.shown import to_latex

HOSTILE = (
    r"fake/\input{secret}\write18{touch run}$x^2$ #1 50% a_b ~ ^^5c {[*] \\ & <b> | \"q\" `a' ``b'' -- ?` !` "
    "naïve Łódź Çà ß 模型 עברית 😀 \x1b[31m\u202e\n\t\\end{table}"
)


def compiled(folder: Path, *, options: str = "") -> str:
    """The log of a document that reads `table.tex`; fails where pdflatex does."""
    head = rf"\documentclass[{options}]{{article}}\usepackage{{booktabs,graphicx}}"
    document = rf"{head}\begin{{document}}\input{{table}}\end{{document}}"
    (folder / "paper.tex").write_text(document + "\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False)
    log = (folder / "paper.log").read_text("utf-8", errors="replace")
    assert done.returncode == 0, log[-3000:]
    assert (folder / "paper.pdf").read_bytes().startswith(b"%PDF")
    return log


@pytest.mark.slow
@needs.tex
def test_every_table_of_the_report_compiles(tmp_path: Path) -> None:
    """All sixteen, with the figures of two runs; nothing overflows and no float is longer than a page."""
    tasks = "gsm8k:8-shot-cot,gsm8k:maj1@32,mmlu,mmmu"
    stores = [
        ran(tmp_path, "fake/gold", task=tasks, data="builtin"),
        ran(tmp_path, "fake/worse", lambda gold: gold % 3 == 0, task=tasks, data="builtin"),
    ]
    grids = build_grids(stores, build_table(stores), load_tables("gemini-1.0"))
    assert len(grids) == 17
    (tmp_path / "table.tex").write_text(to_latex(grids), encoding="utf-8")
    for options in ("", "11pt,a4paper", "twocolumn"):
        log = compiled(tmp_path, options=options)
        assert "Overfull" not in log
        assert "Float too large" not in log
    for grid in grids[:-1]:
        assert rf"\label{{tab:{grid.id}}}" in to_latex([grid])


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
        r"\caption{Sums (printed: section 1, table 1)}", r"\label{tab:own}", r"50.0\%\textsuperscript{1,2}",
        r"\textbf{100.0}", "98.1--100.0", "n 200", r"{[}max\_tokens=64{]}", r"unparsable 49 \%",
        "no task yet", r"accuracy, \% $\uparrow$", r"\textsuperscript{1}\,over the API.",
        "Nobody checked it.", "sig:",
    ):  # fmt: skip
        assert words in text, words
    assert len(re.findall(r"(?m)^% Needs", text)) == 1


def test_a_single_run_is_a_grid_too(tmp_path: Path) -> None:
    text = render_report([ran(tmp_path, "fake/a", count=20)], "latex")
    assert r"\begin{tabular}{lr}" in text
    assert "sums:once" in text
    with pytest.raises(UsageError, match="unknown"):
        render_report([ran(tmp_path, "fake/b", count=20)], "latex", paper="nowhere")
