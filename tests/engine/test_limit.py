"""`--limit`: N of all samples, or of each group where the figure is a mean over groups."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit.data.base import data_options
from evalkit.engine.cell import CellPlan
from evalkit.engine.plan import make_plan
from evalkit.engine.progress import PlainProgress
from evalkit.models.fake import GOLD, FakeModel
from evalkit.report.table import build_table
from evalkit.runfile.completeness import completeness
from evalkit.runfile.store import Store
from evalkit.samples import Sample
from evalkit.session import execute_plan
from tests.made import sums
from tests.tongues import SIZES, tongues

LIMITED = [("de", 0, "0 + 1"), ("de", 1, "1 + 1"), ("de", 2, "2 + 1"), ("en", 5, "0 + 1"), ("en", 6, "1 + 1"),
           ("fr", 7, "0 + 1"), ("fr", 8, "1 + 1"), ("fr", 9, "2 + 1")]  # fmt: skip
"""(language, position in the data, question) of three of each."""


def planned(task: str, folder: Path, limit: int | None, **settings: str) -> CellPlan:
    data = data_options(None if settings.get("kind") in ("parts", "mixed") else folder)
    (cell,) = make_plan(FakeModel(GOLD), [task], limit=limit, settings=settings, data=data).cells
    return cell


def taken(cell: CellPlan) -> list[tuple[str, int, str]]:
    return [(found.group, at, found.input) for at, found in cell.tried() if isinstance(found, Sample)]


def read(cell: CellPlan) -> list[tuple[str, int]]:
    """What the made data noted down so far of what was read of them."""
    noted: list[tuple[str, int]] = sys.modules[cell.task.sample.__module__].READ
    return noted


@pytest.mark.parametrize(
    ("kind", "counted"),
    [("hub", False), ("parts", True), ("parts", False), ("mapped", False), ("nested", False)],
)
def test_n_of_each_group_at_their_places_in_the_data(tmp_path: Path, kind: str, counted: bool) -> None:
    cell = planned(tongues(tmp_path, counted=counted), tmp_path, 3, kind=kind)
    assert taken(cell) == LIMITED
    assert cell.count == 8
    assert taken(planned(tongues(tmp_path), tmp_path, None)) == taken(
        planned(tongues(tmp_path), tmp_path, 99)
    )


def test_of_a_counted_part_no_more_is_read_than_is_asked(tmp_path: Path) -> None:
    large = {"de": 10**9, "en": 10**9}
    cell = planned(tongues(tmp_path, large, counted=True, there=SIZES), tmp_path, 2, kind="parts")
    read(cell).clear()
    assert [at for _, at, _ in taken(cell)] == [0, 1, 10**9, 10**9 + 1]
    assert len(read(cell)) == 4
    assert cell.count == 4


def test_groups_in_turn_are_told_by_their_samples(tmp_path: Path) -> None:
    """Where sizes are stated it ends with the last group's share, else with the data."""
    task = tongues(tmp_path, {"de": 500, "en": 500, "fr": 500})
    cell = planned(task, tmp_path, 2, kind="mixed")
    read(cell).clear()
    assert [(group, at) for group, at, _ in taken(cell)] == [
        ("de", 0), ("en", 1), ("fr", 2), ("de", 3), ("en", 4), ("fr", 5)
    ]  # fmt: skip
    assert (len(read(cell)), cell.count) == (6, 6)
    unstated = planned(task, tmp_path, 2, kind="mixed", stated="no")
    assert taken(unstated) == taken(cell)
    assert unstated.count is None


def test_a_plain_figure_takes_the_first_n_of_all(tmp_path: Path) -> None:
    (cell,) = make_plan(FakeModel(GOLD), [sums(tmp_path)], limit=3).cells
    assert [at for at, _ in cell.tried()] == [0, 1, 2]
    assert cell.spec().limit_by_group is False


def ran(task: str, folder: Path, path: Path, limit: int, model: Any = GOLD, **more: Any) -> Store:
    plan = make_plan(FakeModel(model), [task], limit=limit, data=data_options(folder))
    asyncio.run(execute_plan(plan, path, **more))
    return Store.open(path)


def test_the_run_says_what_part_it_is_and_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ran(tongues(tmp_path), tmp_path, tmp_path / "r.db", 3, progress=PlainProgress()) as store:
        (cell,) = store.cells()
        whole = completeness(store, cell)
        table = build_table([store])
    assert whole.part == "a part: 8 of 11 samples (--limit 3 of each group)"
    assert not whole.unfinished
    assert any(whole.part in note for note in table.notes)
    said = capsys.readouterr().err
    assert "tongues:once: 8 samples" in said
    assert "8/8" in said


def test_a_limit_above_every_group_leaves_nothing_out(tmp_path: Path) -> None:
    with ran(tongues(tmp_path), tmp_path, tmp_path / "r.db", 5) as store:
        (cell,) = store.cells()
        assert completeness(store, cell).whole


def test_resumed_with_the_same_limit_it_asks_what_is_missing(tmp_path: Path) -> None:
    """Positions are those of the data set, so each sample is found again where it was."""
    task = tongues(tmp_path)
    down = True
    asked: list[str] = []

    def failing(request: Any, draw: int) -> str:
        asked.append(request.prompt[0].parts[0])
        if down and "2 + 1" in asked[-1]:
            raise RuntimeError("not now")
        return "2"

    with ran(task, tmp_path, tmp_path / "r.db", 3, failing) as store:
        (cell,) = store.cells()
        assert store.outcomes(cell)["failed"] == 2
    down = False
    asked.clear()
    with ran(task, tmp_path, tmp_path / "r.db", 3, failing) as store:
        (cell,) = store.cells()
        assert store.outcomes(cell)["failed"] == 0
        assert completeness(store, cell).asked == 8
        rows = store.connection.execute(
            "SELECT grp, position, input FROM sample ORDER BY position"
        ).fetchall()
    assert [(group, at, text) for group, at, text in rows] == LIMITED
    assert set(asked) == {"What is 2 + 1"}, "nothing that was answered is asked again"
