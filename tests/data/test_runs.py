"""Two run files joined as data."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from evalkit.api import DataError, DataOptions, Runs
from evalkit.engine.plan import make_plan
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel, Script
from evalkit.runfile.slim import write_slim
from evalkit.session import execute_plan
from tests.edited import edited
from tests.made import sums


def right(request: Request, draw: int) -> str:
    """Adds up what it is asked; with another draw it says so otherwise."""
    assert isinstance(request.prompt, tuple)
    a, b = request.prompt[0].text.removeprefix("What is ").split(" + ")
    return f"draw {draw}: {int(a) + int(b)}"


def silent_on_odd(request: Request, draw: int) -> str:
    said = right(request, draw)
    return said if int(said.split()[-1]) % 2 == 0 else "no idea"


def ran(task: str, place: Path, script: Script, name: str, *, limit: int | None = None) -> Path:
    plan = make_plan(FakeModel(script, name), task.split(","), limit=limit)
    asyncio.run(execute_plan(plan, place))
    return place


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    task = sums(tmp_path, count=150)
    return (
        ran(task, tmp_path / "a.db", right, "fake/right"),
        ran(task, tmp_path / "b.db", silent_on_odd, "fake/silent"),
    )


@pytest.mark.slow
def test_each_record_has_the_sample_and_both_answers(two: tuple[Path, Path]) -> None:
    records = Runs(*two).open()
    found = list(records)
    assert records.count == len(found) == 150
    assert found == list(records), "it can be read again"
    assert [record["id"] for record in found[:3]] == ["0 + 0", "1 + 1", "2 + 2"]
    assert found[1]["input"] == "1 + 1"
    assert found[1]["target"] == ["2"]
    assert found[1]["group"] == "even"
    assert found[1]["a"] == {
        "model": "fake/right", "answers": ["2"], "texts": ["draw 0: 2"], "outcome": "correct",
    }  # fmt: skip
    odd = next(record for record in found if int(record["target"][0]) % 2)
    assert odd["b"] == {
        "model": "fake/silent", "answers": [None], "texts": ["no idea"], "outcome": "unparsable",
    }  # fmt: skip


def test_the_origin_names_both(two: tuple[Path, Path], tmp_path: Path) -> None:
    origin = Runs(*two).open().origin
    assert (origin["kind"], origin["name"]) == ("runs", "fake/right and fake/silent")
    assert (origin["config"], origin["where"]) == ("sums:once", f"{two[0]} and {two[1]}")
    assert "left out" not in origin
    again = Runs(two[0], two[0]).open().origin
    assert again["revision"] != origin["revision"], "other answers are other data"
    assert Runs(*two).open().origin["revision"] == origin["revision"]


def test_every_draw_of_the_protocol_that_is_named(tmp_path: Path) -> None:
    task = sums(tmp_path, count=3)
    both = ran(f"{task},{task}:sums:maj", tmp_path / "a.db", right, "fake/right")
    with pytest.raises(
        DataError, match=r"has 2 benchmarks, so task must name one of them; it holds sums:once"
    ):
        Runs(both, both).open()
    with pytest.raises(DataError, match="has 2 benchmarks for task 'sums'"):
        Runs(both, both, task="sums").open()
    with pytest.raises(DataError, match="has 0 benchmarks for task 'subs'"):
        Runs(both, both, task="subs").open()
    (first, *_) = Runs(both, both, task="sums:maj").open()
    assert first["a"]["texts"] == [f"draw {i}: 0" for i in range(5)]
    assert first["a"]["answers"] == ["0"]


def test_what_is_not_answered_in_both_is_an_error_or_left_out_and_said(tmp_path: Path) -> None:
    def failing(request: Request, draw: int) -> str:
        said = right(request, draw)
        if said.endswith(" 2"):
            raise RuntimeError("down")
        return said

    task = sums(tmp_path, count=8)
    a = ran(task, tmp_path / "a.db", failing, "fake/a")
    b = ran(task, tmp_path / "b.db", right, "fake/b", limit=6)
    with pytest.raises(
        DataError, match=r"3 samples are not answered in both .* the first one is 1 \+ 1: finish"
    ):
        Runs(a, b).open()
    with pytest.raises(DataError, match=r"3 samples are not answered in both"):
        Runs(b, a).open()
    records = Runs(a, b, partial=True).open()
    assert [record["id"] for record in records] == ["0 + 0", "2 + 2", "3 + 3", "4 + 4", "5 + 5"]
    assert (records.count, records.origin["left out"]) == (5, "3")


@pytest.mark.slow
def test_other_questions_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    text = Path(sums(other, count=150)).read_text("utf-8").replace('target=(record["a"],)', 'target=("2",)')
    (other / "sums.py").write_text(text, "utf-8")
    changed = ran(str(other / "sums.py"), tmp_path / "c.db", right, "fake/right")
    with pytest.raises(DataError, match=r"sample 0 \+ 0 of .*a\.db and .*c\.db: text, references"):
        Runs(two[0], changed).open()
    named = ran(sums(other, count=3, called="subs", name="subs.py"), tmp_path / "d.db", right, "fake/right")
    with pytest.raises(DataError, match=r"a\.db is a run of sums and .*d\.db of subs"):
        Runs(two[0], named).open()


def test_files_that_are_no_runs_or_damaged(two: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database")
    with pytest.raises(DataError, match=r"text\.db"):
        Runs(two[0], tmp_path / "text.db").open()
    with pytest.raises(DataError, match="no run file"):
        Runs(two[0], tmp_path / "lost.db").open()
    with pytest.raises(DataError, match="a run file has no revisions"):
        Runs(*two).open(DataOptions(revision="main"))
    slim = tmp_path / "slim.db"
    write_slim(two[1], slim)
    with pytest.raises(DataError, match="is a slim run file"):
        Runs(two[0], slim).open()
    shutil.copyfile(two[1], tmp_path / "bad.db")
    with edited(tmp_path / "bad.db") as db:
        db.execute("UPDATE cell SET spec = '{\"task\"'")
    with pytest.raises(DataError, match=r"bad\.db"):
        Runs(two[0], tmp_path / "bad.db").open()
