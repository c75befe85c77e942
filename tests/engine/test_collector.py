"""How the garbage collector works during a run, and that it is as before afterwards."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.engine.plan import make_plan
from evalkit.engine.run import execute, open_run
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel, Hinted, Hints
from tests.made import sums

PYTHONS = 700, 10, 10


@pytest.fixture(autouse=True)
def _threshold() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*PYTHONS)
    yield
    gc.set_threshold(*before)


def seen(path: Path) -> set[tuple[int, bool]]:
    """(the collector's first threshold, whether it skips older objects) during the requests of a run."""
    found = set()

    def answered(request: Request, draw: int, hints: Hints) -> str:
        found.add((gc.get_threshold()[0], gc.get_freeze_count() > 10_000))
        return hints.gold()

    with open_run(path, plan := make_plan(FakeModel(Hinted(answered)), [sums(path.parent)])) as store:
        asyncio.run(execute(plan, store))
    return found


def test_the_collector_looks_seldom_during_a_run_and_as_before_afterwards(tmp_path: Path) -> None:
    assert seen(tmp_path / "r.db") == {(10_000, True)}
    assert (gc.get_threshold(), gc.get_freeze_count()) == (PYTHONS, 0)


@pytest.mark.parametrize("users", [0, 50_000])
def test_a_collector_that_looks_more_seldom_is_left_alone(tmp_path: Path, users: int) -> None:
    gc.set_threshold(users, 10, 10)
    assert seen(tmp_path / "r.db") == {(users, True)}
    assert gc.get_threshold()[0] == users
