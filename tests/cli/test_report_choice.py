"""`evalkit report` with columns that have names, several files in one column, and a report as a TOML file."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
from pathlib import Path

import pytest

from evalkit.report.sources import source_of
from tests.cli.conftest import Cli
from tests.made import sums
from tests.openai_server import OpenAIServer, Payload, answer, arithmetic, asked_text
from tests.report.runs import PAPER, ran


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of one name, one of them with a second file, and a printed table."""
    folder = tmp_path_factory.mktemp("runs")
    for file, wrong in (("old", 2), ("new=1+b", 5)):
        ran(folder, "fake/acme", lambda gold, n=wrong: gold % n == 0, count=40, file=file).close()  # type: ignore[misc]
    ran(folder, "fake/acme", task="gsm8k:8-shot-cot", data="builtin", file="more").close()
    ran(folder, "fake/other", count=40, file="other").close()
    (folder / "own.toml").write_text(PAPER, encoding="utf-8")
    return folder


def test_columns_have_names_and_files_of_one_model_are_one_column(cli: Cli, folder: Path) -> None:
    old, new, more = (folder / name for name in ("old.db", "new=1+b.db", "more.db"))
    code, out, err = cli("report", f"{old}+{more}=Acme 8B, 300k", new, "--title", "Two checkpoints")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "Two checkpoints"
    assert "  ".join(lines[2].split()) == "Acme  8B,  300k  fake/acme"
    assert "gsm8k:8-shot-cot" in out
    assert "Acme 8B, 300k on gsm8k" not in lines[0]
    rows = csv.DictReader(io.StringIO(cli("report", old, new, "--format", "csv").out))
    assert {row["run"] for row in rows} == {"fake/acme (old)", "fake/acme (new=1+b)"}
    rows = csv.DictReader(io.StringIO(cli("report", f"{old}+{more}=X", "--format", "csv").out))
    assert [(row["run"], row["task"]) for row in rows] == [("X", "sums"), ("X", "gsm8k"), ("X", "gsm8k")]


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (["old.db+other.db=A"], "one column is of one model, but"),
        (["old.db+new=1+b.db"], "both have sums:once, and one column has each benchmark once"),
        (["old.db=A", "other.db=A"], "two columns are called 'A'"),
        (["old.db+gone.db=A"], "gone.db"),
        (["gone.db=A"], "gone.db'"),
        (["own.toml", "old.db"], "own.toml: a report's .toml file has its own runs, and is given alone"),
        (["old.db", "--columns", "Acne"], "unknown column 'Acne'"),
        (
            ["old.db", "--disputes", "--title", "T"],
            "and cannot be used with --title",
        ),
        (["old.db", "-o", "t.docx"], "t.docx: .docx is no ending of a format"),
    ],
)
def test_what_cannot_be_a_report_is_one_line(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, runs: list[str], said: str
) -> None:
    monkeypatch.chdir(folder)
    code, out, err = cli("report", *runs)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not (folder / "t.docx").exists()


def test_names_of_files_may_have_the_signs(folder: Path) -> None:
    assert source_of("new=1+b.db", folder).paths == (folder / "new=1+b.db",)
    both = source_of("old.db+new=1+b.db=x=y", folder)
    assert both.paths == (folder / "old.db", folder / "new=1+b.db")
    assert both.name == "x=y"


RECIPE = """
runs = ["old.db=Acme, 300k", "new=1+b.db=Acme, 600k"]
paper = "own.toml"
title = "Made again"
columns = ["New", "Acme, 600k"]
rows = ["Sums"]
output = "made/again.md"
"""


def test_a_report_is_made_again_from_a_file(
    cli: Cli, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "report.toml").write_text(RECIPE, encoding="utf-8")
    code, out, err = cli("report", folder / "report.toml")
    assert (code, out) == (0, ""), err
    made = (folder / "made" / "again.md").read_text("utf-8")
    assert "|  | New | Acme, 600k | Acme, 300k |" in made
    assert "**Made again**" in made
    assert "Products" not in made
    code, out, _ = cli("report", folder / "report.toml", "--title", "Other", "-o", tmp_path / "other.md")
    assert "**Other**" in (tmp_path / "other.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("columns", "colums", "unknown key in report.toml 'colums': did you mean columns?"),
        ('title = "Made again"', "title = 3", "report.toml: title = 3 must be a text in quotes"),
        ('["old.db=Acme, 300k", "new=1+b.db=Acme, 600k"]', "[]", "report.toml: runs must name at least one"),
        ("runs", "run", "unknown key in report.toml 'run': did you mean runs?"),
        ("paper", "paper paper", "report.toml is not valid TOML"),
    ],
)
def test_a_wrong_file_is_one_line(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "report.toml").write_text(RECIPE.replace(old, new), encoding="utf-8")
    code, _, err = cli("report", "report.toml")
    assert code == 2
    assert said in err


def test_a_comment_begins_with_the_verdicts_and_fits(cli: Cli, folder: Path) -> None:
    code, out, err = cli("report", folder / "old.db", folder / "new=1+b.db", "--format", "markdown")
    assert code == 0
    assert "characters" not in err
    lines = out.splitlines()
    assert lines[0].startswith(
        "### ✅ benchmarks against fake/acme (old): fake/acme (new=1+b) 1 better, 0 worse"
    )
    (row,) = (line for line in lines if line.startswith("| sums:once |"))
    assert re.fullmatch(r"\| sums:once \| \d+:\d+, p (< |)[\d.]+ ✓ \|", row.replace("&lt;", "<"))
    long = "A long note. " * 6000
    (folder / "long.toml").write_text(PAPER.replace("Nobody checked it.", long), encoding="utf-8")
    code, _, err = cli("report", folder / "old.db", "--paper", folder / "long.toml", "--format", "markdown")
    assert code == 0
    assert "a comment on GitHub has at most 65,536: choose tables" in err


def unpacked(page: str) -> str:
    """The page with its packed samples as text."""
    blocks = re.findall(r"H4sI[A-Za-z0-9+/=]{20,}", page)
    assert blocks
    return page + "".join(gzip.decompress(base64.b64decode(block)).decode() for block in blocks)


def test_no_address_and_no_path_goes_along_unless_asked(cli: Cli, tmp_path: Path) -> None:
    """Of an endpoint that fails for some samples, with its address in what it says."""
    run = tmp_path / "secret-folder" / "r.db"

    def script(payload: Payload, route: str) -> str | Payload:
        text = asked_text(payload)
        return text if len(text) % 2 else {"error": "down"}

    with OpenAIServer(script) as server:
        task = sums(tmp_path, 12)
        cli("run", "-m", "openai/m", "--base-url", server.url, "-t", task, "-o", run, "--retries", "0")
        (tmp_path / "own.toml").write_text(PAPER, encoding="utf-8")
        places = (server.url.split("//")[1].split("/")[0], str(tmp_path), "secret-folder")
    for ending in ("html", "md", "tex", "csv", "json", "txt"):
        made = tmp_path / f"t.{ending}"
        assert cli("report", run, "--paper", tmp_path / "own.toml", "-o", made).code == 0
        text = made.read_text("utf-8")
        text = unpacked(text) if ending == "html" else text
        assert not [place for place in places if place in text], ending
    assert cli("report", run, "-o", tmp_path / "t.html", "--private").code == 0
    assert places[0] in (tmp_path / "t.html").read_text("utf-8")


def test_a_report_says_the_same_of_figures_with_and_without_private(cli: Cli, tmp_path: Path) -> None:
    """Of a part of a run of a task file, with a note on what the endpoint did, and of its slim form."""

    def script(payload: Payload, route: str) -> str | Payload:
        return {**answer(payload, route, arithmetic(payload, route)), "model": "small"}

    run, slim, task = tmp_path / "r.db", tmp_path / "slim.db", sums(tmp_path, 12)
    with OpenAIServer(script) as server:
        cli("run", "-m", "openai/m", "--base-url", server.url, "-t", task, "--shard", "1/2", "-o", run)
    assert cli("export", run, "--slim", "-o", slim).code == 0
    for file in (run, slim):
        shared, whole = (
            json.loads(cli("report", file, "--json", "--task-file", task, *more).out)
            for more in ((), ("--private",))
        )
        assert any("answered as small" in note for note in shared["notes"])
        assert any("shard 1/2" in note for note in shared["notes"])
        assert [cell["data"].pop("where") for cell in (*shared["cells"], *whole["cells"])] == ["", "here"]
        assert shared == whole
