"""The index of `evalkit view`: what it says of itself is true for whoever reads it meanwhile."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from evalkit.view import building
from evalkit.view.building import Builder, Progress
from evalkit.view.tables import connect
from tests.report.pages import made_run

TABLES = {"lines": "line", "texts": "texts"}


def test_what_is_said_to_be_there_is_committed_under_a_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "index.db"
    said: list[tuple[str, int, int, int]] = []

    class Watched(Progress):
        """Looks into the index, as another thread would, before it says more."""

        def __setattr__(self, name: str, value: object) -> None:
            if name in TABLES and isinstance(value, int) and value:
                with closing(connect(place)) as db:
                    (rows,) = db.execute(f"SELECT count(*) FROM {TABLES[name]}").fetchone()
                said.append((name, value, rows, self.version))
            super().__setattr__(name, value)

    monkeypatch.setattr(building, "Progress", Watched)
    builder = Builder(place, [made_run(tmp_path, "a", "wrong")])
    builder.index_texts()
    builder.start()
    deadline = time.monotonic() + 60
    while builder.progress.texts != 20:
        assert time.monotonic() < deadline, builder.progress
        time.sleep(0.01)
    builder.close()
    assert {name for name, *_ in said} == {"lines", "texts"}
    assert all(rows >= value for _, value, rows, _ in said)
    listed = max(version for name, _, _, version in said if name == "lines")
    assert all(version > listed + 1 for name, _, _, version in said if name == "texts")
