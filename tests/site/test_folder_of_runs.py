"""The runs of a folder: which are found, under which names, and what is read of them, and when."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.runfile.cells import cells_of
from evalkit.runfile.store import Store
from evalkit.site.contents import Contents, contents_of
from evalkit.site.folder import RunFolder, value_text
from evalkit.site.history import compared_pairs, lines_of, predecessors
from evalkit.site.names import benchmark_name, run_name
from evalkit.site.pages import index_page
from tests.damages import KINDS, damage
from tests.report.runs import ran
from tests.site.folders import begun, going, history


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    history(folder)
    return folder


@pytest.fixture
def folder(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(runs, tmp_path / "runs")


ODD = ("../up", "CON", "a b&c?#d%", "ü—ß", "x" * 200, "", ".", "A+B...C", "</script>", "a\nb", "nul")


@pytest.mark.parametrize("name", ODD)
def test_names_are_safe_in_addresses_and_files(name: str) -> None:
    for found in (run_name(f"{name}.db"), benchmark_name(name)):
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}", found)
    assert benchmark_name(name) != benchmark_name(name.lower() + "!")


def test_a_task_cannot_take_the_page_of_another() -> None:
    assert benchmark_name("gsm8k") == "gsm8k"
    other = benchmark_name("GSM8K!")
    assert benchmark_name(other) != other


def test_names_stay_when_runs_are_added(folder: Path) -> None:
    before = set(RunFolder([folder]).files())
    shutil.copytree(folder, folder / "a")
    again = RunFolder([folder]).files()
    assert before < set(again)
    assert len(again) == 2 * len(before)


def test_one_file_in_two_places_is_one_run_and_two_of_one_name_are_two(folder: Path) -> None:
    other = shutil.copytree(folder, folder.parent / "other")
    once = RunFolder([folder, folder, folder / "run-1.db"])
    assert len(once.files()) == 3
    assert len(RunFolder([folder, other]).files()) == 6


def test_what_is_no_run_is_passed_over(folder: Path) -> None:
    (folder / "letter.db").write_text("Dear Sir")
    (folder / "empty.db").touch()
    with closing(sqlite3.connect(folder / "other.db")) as db, db:
        db.execute("CREATE TABLE run (key, value)")
    (folder / ".hidden").mkdir()
    shutil.copy(folder / "run-1.db", folder / ".hidden" / "x.db")
    (folder / "loop").symlink_to(folder)
    shutil.copy(folder / "run-1.db", folder / "run.sqlite")
    assert [run.file for run in RunFolder([folder]).runs()] == ["run-3.db", "run-2.db", "run-1.db"]


@pytest.mark.parametrize(
    ("place", "said"), [("none.db", "no run file and no folder"), ("a.txt", "a.txt is not")]
)
def test_a_named_place_must_be_there(folder: Path, place: str, said: str) -> None:
    (folder / "a.txt").write_text("x")
    with pytest.raises(UsageError, match=said):
        RunFolder([folder, folder / place])


@pytest.mark.slow
def test_damaged_files_are_listed_with_what_is_wrong(folder: Path) -> None:
    for seed in range(len(KINDS)):
        path = folder / f"damaged-{seed}.db"
        shutil.copy(folder / "run-1.db", path)
        damage(path, folder / "run-2.db", seed)
    found = RunFolder([folder])
    damaged = [run for run in found.runs() if run.state == "damaged"]
    assert len(damaged) >= 5  # others are no longer run files at all, or are hurt where nothing is read
    page = index_page(found)
    for run in damaged:
        assert run.file in run.contents.damage
        assert str(folder) not in run.contents.damage
        assert run.file in page


def _spoiled(path: Path) -> None:
    """A sample's row no longer has its checksum; size and time of the file stay."""
    about = path.stat()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE sample SET outcome = 'wrong'")
    assert path.stat().st_size == about.st_size
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def test_figures_are_those_of_a_report_and_need_no_samples(folder: Path) -> None:
    with Store.open(folder / "run-2.db") as store:
        (cell,) = cells_of(store)
    _spoiled(folder / "run-2.db")
    (run,) = RunFolder([folder / "run-2.db"]).runs(within=0)
    (one,) = run.contents.headlines
    assert one.figure is not None
    assert (one.figure.value, one.figure.low, one.figure.high) == (cell.value, cell.low, cell.high)
    assert (one.figure.n, one.metric, one.unit) == (60, "accuracy", "%")
    assert {name: group.value for name, group in one.groups.items()} == {
        name: group.value for name, group in cell.groups.items()
    }
    (run,) = RunFolder([folder / "run-2.db"]).runs()
    assert run.state == "damaged"


def test_samples_are_read_once_for_each_state_of_a_file(folder: Path) -> None:
    path = folder / "run-1.db"
    (before,) = RunFolder([path]).runs()
    with Store.open(path) as store:
        (cell,) = cells_of(store)
    (one,) = before.contents.headlines
    assert (one.signature, one.line, one.outcomes) == (cell.signature.short, cell.signature.line(), cell.told)
    _spoiled(path)
    assert RunFolder([path]).runs() == [before]
    path.touch()
    (after,) = RunFolder([path]).runs()
    assert after.state == "damaged"


def test_a_spoiled_cache_costs_only_time(folder: Path, tmp_path: Path) -> None:
    before = RunFolder([folder]).runs()
    stored = list((tmp_path / "cache" / "runs").iterdir())
    assert len(stored) == 3
    for path, text in zip(stored, ("", "[]", '{"stamp": 1}'), strict=True):
        path.write_text(text)
    assert RunFolder([folder]).runs() == before


def test_a_run_that_goes_on_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "runs"
    place.mkdir()
    with going(place / "live.db") as run:
        (state,) = RunFolder([place]).state().values()
        assert isinstance(state, dict)
        assert (state["state"], state["done"], state["total"]) == ("going on", 8, 12)
        assert state["outcomes"] == {"correct": 8}
        assert state["headlines"] == {"sums:once": "100 %"}
        other = tmp_path / "killed"
        shutil.copytree(place, other, ignore=shutil.ignore_patterns("*.lock"))
        (stopped,) = RunFolder([other]).runs()
        assert (stopped.state, stopped.done, stopped.total) == ("stopped", 8, 12)
        run.finish()
        (state,) = RunFolder([place]).state().values()
        assert isinstance(state, dict)
        assert (state["state"], state["done"], state["total"]) == ("finished", 12, 12)


def test_figures_are_in_one_line_only_with_one_signature(folder: Path) -> None:
    ran(folder, "a", count=60, ask="Add", file="other").close()
    begun(folder / "other.db", "2026-01-09T12:00:00+00:00")
    found = RunFolder([folder]).runs()
    lines = [[point.run.file for point in line.points] for line in lines_of(found)]
    assert lines == [["other.db"], ["run-1.db", "run-2.db", "run-3.db"]]
    assert {name.rpartition("-")[0]: run.file for name, run in predecessors(found).items()} == {
        "run-3": "run-2.db",
        "run-2": "run-1.db",
    }
    assert [(base.file, head.file) for base, head in compared_pairs(found)] == [
        ("run-2.db", "run-3.db"),
        ("run-1.db", "run-2.db"),
    ]


def test_a_live_index_does_not_wait_for_the_samples_of_large_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()

    def slowly(path: Path, called: str) -> Contents | None:
        assert free.wait(60)
        return contents_of(path, called)

    monkeypatch.setattr("evalkit.site.folder.contents_of", slowly)
    monkeypatch.setattr("evalkit.site.pages._SECONDS", 0.1)
    found = RunFolder([folder / "run-1.db"])
    page = index_page(found, live=True)
    assert "The samples of run-1.db are being read" in page
    (run,) = found.runs(within=0)
    assert f"sums:once {value_text(run.contents.headlines[0])}<" in page
    assert 'id="history"' not in page
    free.set()
    (run,) = found.runs()
    assert run.contents.headlines[0].signature
    page = index_page(found, live=True)
    assert "are being read" not in page
    assert 'id="history"' in page
