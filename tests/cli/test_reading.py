"""A run file is input: reading it runs no code, computes nothing again in silence, and needs no task file."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import evalkit
from evalkit.identity.declared import versioned
from evalkit.metrics import Accuracy
from tests.cli.conftest import Cli
from tests.edited import edited
from tests.owned import doubles
from tests.quiz import quiz

Fresh = Callable[..., str]
READERS = (
    ("report", "{run}"),
    ("report", "{run}", "--json"),
    ("report", "{run}", "--format", "markdown"),
    ("report", "{run}", "--format", "csv"),
    ("report", "{run}", "--format", "latex"),
    ("report", "{run}", "-o", "{folder}/page.html", "--no-charts"),
    ("report", "{run}", "{run}"),
    ("report", "{run}", "--disputes"),
    ("export", "{run}"),
    ("export", "{run}", "--format", "csv"),
    ("export", "{run}", "--slim", "-o", "{folder}/slim.db"),
)


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    """Calls evalkit in a process of its own, in which no task file was imported yet."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}

    def call(*arguments: object, code: int = 0) -> str:
        command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    return call


@pytest.mark.slow
def test_reading_a_run_imports_no_file_that_it_names(fresh: Fresh, tmp_path: Path) -> None:
    """An edited run file, as in a pull request, names a file beside it."""
    task, run, mark = doubles(tmp_path, ratio=True), tmp_path / "r.db", tmp_path / "mark"
    fresh("run", "-m", "fake/gold", "-t", task, "-o", run)
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(mark)!r}, 'a').write('evil ')\n", "utf-8")
    with edited(run) as db:
        ((text,),) = db.execute("SELECT spec FROM cell")
        spec = {**json.loads(text), "source": f"{evil}:doubles"}
        db.execute("UPDATE cell SET spec = ?", (json.dumps(spec),))
    mark.unlink()
    for reader in READERS:
        fresh(*(part.format(run=run, folder=tmp_path) for part in reader))
    fresh("compare", run, run)
    fresh("power", "-t", "doubles", "--effect", "5", "--from", run)
    assert not mark.exists()
    said = fresh("rescore", run, "-o", tmp_path / "new.db", code=2)
    assert "name its file with --task-file" in said
    assert not mark.exists()


@pytest.mark.slow
def test_a_run_explains_itself_without_its_task_file(fresh: Fresh, tmp_path: Path) -> None:
    task, run = doubles(tmp_path, ratio=True), tmp_path / "r.db"
    fresh("run", "-m", "fake/gold?wrong=0.4", "-t", task, "-o", run)
    before = [fresh(*(part.format(run=run, folder=tmp_path) for part in reader)) for reader in READERS[:10]]
    page = (tmp_path / "page.html").read_text("utf-8")
    same = fresh("compare", run, run)
    for file in (task, tmp_path / "helper_of_doubles.py"):
        file.unlink()
    assert [
        fresh(*(part.format(run=run, folder=tmp_path) for part in reader)) for reader in READERS[:10]
    ] == before
    assert (tmp_path / "page.html").read_text("utf-8") == page
    assert fresh("compare", run, run) == same
    with closing(sqlite3.connect(run)) as db:
        ((text,),) = db.execute("SELECT spec FROM cell")
    assert "def strictly(text, sample):" in json.loads(text)["code"]


@pytest.mark.slow
def test_a_metric_that_only_its_file_knows(fresh: Fresh, tmp_path: Path) -> None:
    """Figures are as the run measured them; a comparison needs the code, and the user names it."""
    task, run = doubles(tmp_path), tmp_path / "r.db"
    fresh("run", "-m", "fake/gold?wrong=0.4", "-t", task, "-o", run)
    told = fresh("report", run, "--json")
    (cell,) = json.loads(told)["cells"]
    assert cell["low"] < cell["value"] < cell["high"]
    said = fresh("compare", run, run, code=2)
    assert (
        "was measured by code that is not part of evalkit: name its file with --task-file doubles.py" in said
    )
    assert "no change seen (0:0)" in fresh("compare", run, run, "--task-file", task)
    text = task.read_text("utf-8").replace("100.0 * totals", "50.0 * totals")
    task.write_text(text, "utf-8")
    (again,) = json.loads(fresh("report", run, "--json"))["cells"]
    assert again == cell, "the file is another one now, and the run is not"
    (named,) = json.loads(fresh("report", run, "--json", "--task-file", task))["cells"]
    assert (named["value"], named["signature"]) == (cell["value"], cell["signature"])
    assert "an earlier state of your own code" in named["stale"][0]
    assert "--strict" in fresh("report", run, "--strict", "--task-file", task, code=2)
    said = fresh("compare", run, run, "--task-file", task, code=2)
    assert "evalkit rescore measures it again" in said
    assert "mine" in fresh("rescore", run, "-o", tmp_path / "new.db", "--task-file", task)
    (halved,) = json.loads(fresh("report", tmp_path / "new.db", "--json"))["cells"]
    assert halved["value"] == pytest.approx(cell["value"] / 2)
    assert halved["signature"] != cell["signature"]


@pytest.mark.slow
def test_an_unfinished_run_with_a_metric_of_its_own_says_why_there_is_no_figure(
    fresh: Fresh, tmp_path: Path
) -> None:
    task, run = doubles(tmp_path), tmp_path / "r.db"
    fresh("run", "-m", "fake/gold", "-t", task, "-o", run)
    with edited(run) as db:
        db.execute("UPDATE cell SET finished = NULL")
        db.execute("DELETE FROM figure")
        db.execute("DELETE FROM sample WHERE position > 6")
    (cell,) = json.loads(fresh("report", run, "--json"))["cells"]
    assert (cell["value"], cell["finished"]) == (None, False)
    assert "--task-file names that code" in cell["stale"][0]
    (named,) = json.loads(fresh("report", run, "--json", "--task-file", task))["cells"]
    assert named["value"] == 100.0


@pytest.mark.slow
def test_a_metric_that_fails_loses_no_answer(fresh: Fresh, tmp_path: Path) -> None:
    """It is no sample's fault, and no regression either (exit code 1)."""
    task, run, new = doubles(tmp_path), tmp_path / "r.db", tmp_path / "new.db"
    whole = task.read_text("utf-8")
    task.write_text(
        whole.replace("return 100.0", "raise ZeroDivisionError('by hand')\n        return 100.0"), "utf-8"
    )
    said = fresh("run", "-m", "fake/gold", "-t", task, "-o", run, code=2)
    assert "the metric 'mine' fails (ZeroDivisionError: by hand); every response is stored" in said
    assert "Traceback" not in said
    task.write_text(whole, "utf-8")
    fresh("rescore", run, "-o", new, "--task-file", task)
    (cell,) = json.loads(fresh("report", new, "--json", "--task-file", task))["cells"]
    assert (cell["value"], cell["n"], cell["finished"]) == (100.0, 12, True)


# -- versions ------------------------------------------------------------------------------------------


@pytest.fixture
def accuracy_2() -> Iterator[None]:
    """An evalkit whose accuracy is another one: half as much."""
    finish = Accuracy.finish
    versioned("accuracy", 2)(Accuracy)
    Accuracy.finish = lambda self, totals: finish(self, totals) / 2  # type: ignore[method-assign]
    yield
    versioned("accuracy", 1)(Accuracy)
    del Accuracy.finish


def test_a_stored_figure_is_not_computed_again_by_other_code(
    cli: Cli, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run, new = tmp_path / "r.db", tmp_path / "new.db"
    cli("run", "-m", "fake/gold?wrong=0.4", "-t", "gsm8k:8-shot-cot", "--data", "builtin", "-o", run)
    (before, _) = json.loads(cli("report", run, "--json").out)["cells"]
    request.getfixturevalue("accuracy_2")
    (cell, _) = json.loads(cli("report", run, "--json").out)["cells"]
    assert (cell["value"], cell["low"], cell["high"]) == (before["value"], before["low"], before["high"])
    assert cell["signature"] == before["signature"]
    assert cell["stale"] == ["measured by accuracy@1, and this evalkit has accuracy@2"]
    out = " ".join(cli("report", run).out.split())
    assert "measured by accuracy@1, and this evalkit has accuracy@2: evalkit rescore" in out
    assert cli("report", run, "--strict").code == 2
    assert "accuracy@1" in cli("compare", run, run).out
    said = cli("rescore", run, "-o", new)
    assert said.code == 0
    assert "0 of 16 verdicts changed" in said.out
    (after, _) = json.loads(cli("report", new, "--json").out)["cells"]
    assert (after["value"], after["stale"]) == (pytest.approx(before["value"] / 2), [])
    said = cli("compare", run, new)
    assert said.code == 2
    assert "metric: accuracy@1 and accuracy@2" in " ".join((said.out + said.err).split())


def test_the_version_that_is_printed_is_the_runs(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "r.db"
    cli("run", "-m", "fake/gold", "-t", "gsm8k:8-shot-cot", "--data", "builtin", "-o", run)
    made = evalkit.__version__
    monkeypatch.setattr(evalkit, "__version__", "99.0")
    assert f"evalkit:{made}|" in cli("report", run, "--format", "markdown").out
    cli("rescore", run, "-o", tmp_path / "new.db")
    assert "evalkit:99.0|" in cli("report", tmp_path / "new.db", "--format", "markdown").out


# -- what is resumed -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('(str(2 * record["n"]),)', '(str(3 * record["n"]),)'),
        ('str(record["n"]), (str', '"n is " + str(record["n"]), (str'),
        ('(str(2 * record["n"]),))', '(str(2 * record["n"]),), meta={"tolerance": 1})'),
        ('(str(2 * record["n"]),))', '(str(2 * record["n"]),), choices=("a", "b"))'),
    ],
)
def test_a_run_is_not_finished_on_other_questions(fresh: Fresh, tmp_path: Path, old: str, new: str) -> None:
    """Ids are the same; references, texts, choices or what judges need are others."""
    task, run = doubles(tmp_path, ratio=True), tmp_path / "r.db"
    fresh("run", "-m", "fake/gold", "-t", task, "-o", run)
    with edited(run) as db:
        db.execute("DELETE FROM sample WHERE position > 5")
        db.execute("UPDATE cell SET finished = NULL")
    text = task.read_text("utf-8")
    assert old in text
    task.write_text(text.replace(old, new), "utf-8")
    said = fresh("run", "-m", "fake/gold", "-t", task, "-o", run, code=2)
    assert "the data changed since" in said
    with closing(sqlite3.connect(run)) as db:
        assert db.execute("SELECT count(*) FROM sample").fetchone() == (6,)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("helper_of_doubles.py", "answer == reference", "answer != reference", "scorer: own#"),
        ("doubles.py", "text.strip() or None", "text.strip()", "extract: own#"),
        ("doubles.py", "float(scored.correct[0])", "1.0", "metrics"),
    ],
)
def test_a_run_is_not_finished_by_other_code(
    fresh: Fresh, tmp_path: Path, file: str, old: str, new: str, words: str
) -> None:
    task, run = doubles(tmp_path, ratio=True), tmp_path / "r.db"
    fresh("run", "-m", "fake/gold", "-t", task, "-o", run)
    place = tmp_path / file
    text = place.read_text("utf-8")
    assert old in text
    place.write_text(text.replace(old, new), "utf-8")
    said = fresh("run", "-m", "fake/gold", "-t", task, "-o", run, code=2)
    assert "holds another run" in said
    assert words in said


@pytest.mark.slow
def test_a_tasks_option_that_its_judge_closes_over_is_in_the_signature(fresh: Fresh, tmp_path: Path) -> None:
    task = doubles(tmp_path, ratio=True)
    signatures = {}
    for factor in ("2", "3"):
        run = tmp_path / f"{factor}.db"
        fresh("run", "-m", "fake/gold", "-t", task, "--set", f"factor={factor}", "-o", run)
        (cell,) = json.loads(fresh("report", run, "--json"))["cells"]
        signatures[factor] = (cell["value"], cell["signature"]["parts"]["scorer"])
    assert signatures["2"][0] > signatures["3"][0]
    assert signatures["2"][1] != signatures["3"][1]
    said = fresh("compare", tmp_path / "2.db", tmp_path / "3.db", code=2)
    assert "scorer: own#" in " ".join(said.split())


@pytest.mark.slow
def test_editing_the_source_of_a_protocol_changes_nothing(fresh: Fresh, tmp_path: Path) -> None:
    task, run = doubles(tmp_path, ratio=True), tmp_path / "r.db"
    fresh("run", "-m", "fake/gold", "-t", task, "-o", run)
    text = task.read_text("utf-8").replace('name="once", solver', 'name="once", source="a paper", solver')
    task.write_text(text, "utf-8")
    fresh("run", "-m", "fake/gold", "-t", task, "-o", run)
    fresh("run", "-m", "fake/gold", "-t", task, "-o", tmp_path / "again.db")
    assert "no change seen" in fresh("compare", run, tmp_path / "again.db")


def test_a_protocol_that_is_gone_keeps_no_variant_from_being_reported(cli: Cli, tmp_path: Path) -> None:
    """Also of a variant with an extractor of its own, whose reader was the protocol's."""
    task = quiz(tmp_path, test=4, validation=4)
    assert cli("run", "-m", "fake/gold", "-t", f"{task}:quiz:said", "-o", tmp_path / "r.db").code == 0
    other = tmp_path / "later" / "quiz.py"
    other.parent.mkdir()
    text = Path(task).read_text("utf-8").replace('name="said"', 'name="told"')
    other.write_text(text.replace('"said"', '"told"'), "utf-8")
    code, out, err = cli("report", tmp_path / "r.db", "--task-file", other, "--json")
    assert (code, err) == (0, "")
    assert [cell["metric"] for cell in json.loads(out)["cells"]] == ["accuracy", "accuracy (first)"]
