"""Descriptions of evalkit's own tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.benchmark.described import description
from evalkit.benchmark.task import index
from tests.made import sums


@pytest.mark.parametrize("name", sorted(index()))
def test_every_task_is_described(name: str) -> None:
    assert len(description(name)) > 300


def test_a_task_of_a_file_is_not_described_because_its_file_is_not_read(tmp_path: Path) -> None:
    assert description(str(sums(tmp_path))) == ""
    assert description("no-such-task") == ""
