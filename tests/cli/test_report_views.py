"""`evalkit report --disputes` and `--breakdown`, as a person or a script calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.quiz import quiz


@pytest.fixture
def run_file(cli: Cli, tmp_path: Path) -> Path:
    """A run whose even answers begin with the right letter and whose others do not."""
    path = tmp_path / "r.db"
    spec = f"{quiz(tmp_path, test=8)}:quiz:said"
    code, _, err = cli("run", "-m", "fake/fixed?text=B or A", "-t", spec, "-o", path)
    assert code == 0, err
    return path


def test_disputes_are_listed_in_words(cli: Cli, run_file: Path) -> None:
    code, out, _ = cli("report", run_file, "--disputes")
    assert code == 0
    lines = out.splitlines()
    assert lines[-1] == "4 disputed samples"
    assert lines[:3] == [
        "quiz:said  fake/fixed?text=B or A  sample test 0",
        "    headline: right, 'A'",
        "    first: wrong, 'B'",
    ]


def test_disputes_as_json(cli: Cli, run_file: Path, tmp_path: Path) -> None:
    code, out, _ = cli("report", run_file, "--disputes", "--json")
    assert code == 0
    disputes = json.loads(out)["disputes"]
    assert [d["sample"] for d in disputes] == ["test 0", "test 1", "test 4", "test 5"]
    assert disputes[1]["readings"]["first"][0]["correct"] is True
    assert cli("report", run_file, "--disputes", "-o", tmp_path / "d.json").code == 0
    assert json.loads((tmp_path / "d.json").read_text("utf-8"))["disputes"] == disputes


def test_disputes_have_two_formats(cli: Cli, run_file: Path) -> None:
    code, _, err = cli("report", run_file, "--disputes", "--format", "csv")
    assert code == 2
    assert "unknown format of --disputes 'csv': known are json, terminal" in err


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_a_breakdown_shows_every_group(cli: Cli, run_file: Path, name: str) -> None:
    code, plain, _ = cli("report", run_file, "--format", name)
    assert code == 0
    code, out, _ = cli("report", run_file, "--breakdown", "--format", name)
    assert code == 0
    for words in ("group", "high", "low", "50 %"):
        assert words in out
    assert out.count("0 %") > plain.count("0 %")


def test_json_has_the_groups_anyway(cli: Cli, run_file: Path) -> None:
    cells = json.loads(cli("report", run_file, "--json").out)["cells"]
    assert cells[0]["group_values"] == {"a": 50.0, "b": 0.0, "high": 0.0, "low": 50.0}
    assert cells[0]["groups"]["a"]["n"] == 4
    assert set(cells[0]["groups"]["a"]) == {"value", "low", "high", "n"}


def test_a_run_beside_a_papers_figures(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    cli("run", "-m", "fake/gold", "-t", "gsm8k:8-shot-cot", "--data", "builtin", "-o", path)
    code, out, _ = cli("report", path, "--paper", "gemini-1.0/table-2")
    assert code == 0
    assert "94.4%" in out
    assert "8-shot, greedy (8-shot-cot) here, Maj1@32 there" in " ".join(out.split())
    code, out, err = cli("report", path, "--paper", "gemini-1.0/table-2", "--strict")
    assert (code, out) == (2, "")
    assert "--strict: figures are not comparable\n  GSM8K, Gemini Ultra: 8-shot, greedy" in err
    assert "evalkit's own small set" in err
    for ending, start in {
        "tex": "% Needs",
        "md": "**Table 2",
        "csv": "table,section",
        "html": "<!doctype",
    }.items():
        assert cli("report", path, "--paper", "gemini-1.0", "-o", tmp_path / f"t.{ending}").code == 0
        assert (tmp_path / f"t.{ending}").read_text("utf-8").startswith(start)
    for wrong in ("gemini-3", "gemini-1.0/table-1", "nowhere.toml"):
        code, _, err = cli("report", path, "--paper", wrong)
        assert code == 2
        assert wrong.rpartition("/")[2] in err
