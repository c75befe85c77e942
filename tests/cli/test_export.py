"""`evalkit export`, and a task's own options from the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.album import album, square
from tests.cli.conftest import Cli
from tests.made import sums


@pytest.fixture
def finished(cli: Cli, tmp_path: Path) -> Path:
    """A run in which every fourth answer is wrong and half of the others has an odd text."""
    path = tmp_path / "run.db"
    code, _, _ = cli("run", "-m", "fake/gold?wrong=0.3", "-t", sums(tmp_path), "-o", path)
    assert code == 0
    return path


def test_json_lines_hold_every_sample(cli: Cli, finished: Path) -> None:
    code, out, _ = cli("export", finished)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert len(rows) == 20
    first = rows[0]
    assert (first["task"], first["protocol"], first["model"]) == ("sums", "once", "fake/gold?wrong=0.3")
    assert (first["id"], first["input"], first["target"]) == ("0 + 0", "0 + 0", ["0"])
    for row in rows:
        (final,) = row["finals"]
        assert row["outcome"] == ("correct" if final["correct"] else "wrong")
        assert (final["value"] == row["target"][0]) is final["correct"]
    assert {row["outcome"] for row in rows} == {"correct", "wrong"}


def test_the_ending_of_the_file_names_the_format(cli: Cli, finished: Path, tmp_path: Path) -> None:
    for ending in ("csv", "parquet", "jsonl"):
        assert cli("export", finished, "-o", tmp_path / "out" / f"rows.{ending}").code == 0
    lines = (tmp_path / "out/rows.jsonl").read_text().splitlines()
    table = pd.read_parquet(tmp_path / "out/rows.parquet")
    with (tmp_path / "out/rows.csv").open(newline="") as file:
        sheet = list(csv.DictReader(file))
    assert len(lines) == len(table) == len(sheet) == 20
    assert list(table["id"]) == [row["id"] for row in sheet] == [json.loads(line)["id"] for line in lines]
    assert json.loads(sheet[3]["finals"]) == json.loads(table["finals"][3]) == json.loads(lines[3])["finals"]


def test_a_spreadsheet_takes_no_text_for_a_formula(cli: Cli, tmp_path: Path) -> None:
    from evalkit.report.documents import no_formula

    assert [no_formula(text) for text in ("=1+1", "@x", "+x", "-x", "-5", "-0.5", "5", "a=b", "")] == [
        "'=1+1", "'@x", "'+x", "'-x", "-5", "-0.5", "5", "a=b", "",
    ]  # fmt: skip
    task = album(tmp_path, {"red.png": square("red")}, [("=cmd()", "red", ["red.png"])])
    cli("run", "-m", "fake/gold", "-t", task, "-o", tmp_path / "r.db")
    _, out, _ = cli("export", tmp_path / "r.db", "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert row["id"] == "'=cmd()"


def test_what_is_wrong_is_said(cli: Cli, finished: Path, tmp_path: Path) -> None:
    def said(*arguments: object) -> str:
        code, _, err = cli("export", *arguments)
        assert code == 2
        return err

    assert "did you mean jsonl" in said(finished, "--format", "json")
    assert "--task-file sums.py" in said(finished, "--format", "submission")
    named = ("--task-file", tmp_path / "sums.py")
    assert "no server takes the answers to sums" in said(finished, "--format", "submission", *named)
    assert "a submission needs exactly one run file" in said(finished, finished, "--format", "submission")
    assert "no run file" in said(tmp_path / "none.db")
    assert "cannot write" in said(finished, "-o", finished / "below.csv")


@pytest.fixture
def part_done(cli: Cli, tmp_path: Path) -> list[Any]:
    """The command of a run without references, of which one sample cannot be seen yet."""
    rows = [(name, "", [f"{name}.png"]) for name in ("a", "b", "c")]
    pictures = {"a.png": square("red"), "b.png": b"", "c.png": square("blue")}
    task = album(tmp_path, pictures, rows)
    return ["run", "-m", "fake/fixed?text=blue", "-t", task, "-o", tmp_path / "r.db"]


def test_a_submission_is_whole_or_refused(cli: Cli, part_done: list[Any], tmp_path: Path) -> None:
    assert cli(*part_done).code == 3
    untrusted = ("export", tmp_path / "r.db", "--format", "submission")
    code, out, err = cli(*untrusted)
    assert (code, out) == (2, "")
    assert "--task-file squares.py" in err, "a run file is not enough to import a file"
    export = (*untrusted, "--task-file", tmp_path / "squares.py")
    code, out, err = cli(*export)
    assert (code, out) == (2, "")
    assert "2 of 3 samples of squares are answered" in err
    (tmp_path / "b.png").write_bytes(square("white"))
    code, out, _ = cli(*part_done)
    assert code == 0
    assert "the references of 3 answers are not public" in out
    assert json.loads(cli(*export).out) == [{"n": n, "answer": "blue"} for n in range(3)]


def test_a_part_of_the_questions_is_no_submission(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    code, out, _ = cli(
        "run", "-m", "fake/fixed?text=dusk", "-t", "docvqa", "--data", "builtin", "--set", "split=test",
        "--limit", 1, "--json", "-o", path,
    )  # fmt: skip
    assert code == 0
    (cell, _) = json.loads(out)["cells"]
    assert (cell["value"], cell["n"], sum(cell["outcomes"].values())) == (None, 0, 0)
    assert cell["protocol"] == "0-shot[split=test]"
    assert "1 of 2 samples" in cli("export", path, "--format", "submission").err


def test_a_judge_by_name(cli: Cli, tmp_path: Path) -> None:
    task = album(tmp_path, {"red.png": square("red")}, [("one", "red", ["red.png"])])
    run = ("run", "-m", "fake/fixed?text=reddish", "-t", task, "--json")
    (alone,) = json.loads(cli(*run, "-o", tmp_path / "a.db").out)["cells"]
    (judged,) = json.loads(cli(*run, "-o", tmp_path / "b.db", "--judge", "fake/fixed?text=red").out)["cells"]
    assert (alone["outcomes"]["unparsable"], judged["outcomes"]["correct"]) == (1, 1)
    assert "fake/fixed?text=red" in judged["signature"]["parts"]["model_extractor"]
    assert judged["tokens"] == alone["tokens"]
    code, _, err = cli(*run, "-o", tmp_path / "c.db", "--judge", "fake/gpt")
    assert (code, "unknown fake model 'gpt'" in err) == (2, True)
    code, _, err = cli(*run, "-o", tmp_path / "c.db", "--judge-base-url", "http://127.0.0.1:1/v1")
    assert (code, "http://127.0.0.1:1/v1 needs --judge MODEL" in err) == (2, True)


def test_an_option_that_the_task_does_not_have(cli: Cli, tmp_path: Path) -> None:
    task = album(tmp_path, {"red.png": square("red")}, [("one", "red", ["red.png"])])
    run = ("run", "-m", "fake/gold", "-t", task, "-o", tmp_path / "r.db", "--set")
    code, _, err = cli(*run, "splti=x")
    assert (code, "unknown setting 'splti': did you mean " in err) == (2, True)
    assert cli(*run, "split=other").code == 0
    code, _, err = cli(*run, "split=another")
    assert (code, "holds another run" in err) == (2, True)
    assert cli("report", tmp_path / "r.db").code == 0
