"""A response that is too long to be read has no answer; the table says so, and the others are read."""

from __future__ import annotations

import contextlib
from pathlib import Path

import evalkit
from evalkit.benchmark.readable import LONGEST
from evalkit.runfile.store import Store
from tests.made import sums


def test_a_response_that_is_too_long_has_no_answer_and_is_counted(tmp_path: Path) -> None:
    read: list[str] = []

    def runaway(prompt: str) -> str:
        read.append(prompt)
        left, right = prompt.split()[-3::2]
        return f"{left} + {right} = {int(left) + int(right)}" + "\n" * (LONGEST if len(read) == 1 else 0)

    task = f"{sums(tmp_path, count=3)}:sums:once"
    table = evalkit.run(runaway, task, output=tmp_path / "r.db", concurrency=1)
    (cell,) = table.cells
    assert cell.outcomes == {
        "correct": 2,
        "wrong": 0,
        "unparsable": 1,
        "truncated": 0,
        "refused": 0,
        "failed": 0,
    }
    note = f"1 sample has a response of over {LONGEST:,} characters, which is not read: no answer"
    assert any(found.endswith(note) for found in table.notes)
    with contextlib.closing(Store.open(tmp_path / "r.db")) as store:
        answers = dict(store.answers(store.cells()[0]))
    assert [answer["detail"] for answer in answers.values()] == [{"unread": 1}, {}, {}]
