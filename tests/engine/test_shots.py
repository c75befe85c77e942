"""Solved examples: those of a sample's group, of a key of the task's own, or the same for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.engine.cell import CellPlan
from evalkit.engine.plan import make_plan
from evalkit.errors import DataError, SampleError
from evalkit.models.fake import GOLD, FakeModel
from evalkit.samples import Sample

_TASK = '''"""Words, with solved examples of their own, made for a test."""

from random import Random

from evalkit.api import Accuracy, Generated, Message, Protocol, Sample, Task, Verdict, ask_once, task


def rows(chance):
    for i in range(4):
        yield {{"q": f"q{{i}}", "group": "ab"[i % 2], "language": "de" if i < 2 else "en"}}


def solved(chance):
    for i, (group, language) in enumerate({dev}):
        yield {{"q": f"s{{i}}", "group": group, "language": language}}


def to_sample(record):
    meta = {{"language": record["language"]}}
    return Sample(record["q"], record["q"], (record["q"],), group=record["group"], meta=meta)


def prompt(sample, protocol):
    return (Message("user", " ".join(s.input for s in (*sample.shots[: protocol.shots], sample))),)


@task("words")
def words():
    """Words"""
    return Task(
        data=Generated(0, rows, count=4),
        dev=Generated(0, solved),
        {by}
        sample=to_sample,
        prompt=prompt,
        answer=lambda text, sample: text,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="2-shot", solver=ask_once, shots=2),),
        max_shots=2,
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("", ),
    )
'''


def planned(folder: Path, dev: list[tuple[str, str]], by: str = "") -> CellPlan:
    path = folder / "words.py"
    path.write_text(_TASK.format(dev=dev, by=by), "utf-8")
    (cell,) = make_plan(FakeModel(GOLD), [str(path)]).cells
    return cell


def shown(cell: CellPlan) -> list[list[str]]:
    return [[shot.id for shot in sample.shots] for _, sample in cell.samples()]


def test_those_of_the_samples_group(tmp_path: Path) -> None:
    cell = planned(tmp_path, [("a", "x"), ("b", "x"), ("a", "x")])
    assert shown(cell) == [["s0", "s2"], ["s1"], ["s0", "s2"], ["s1"]]


def test_the_same_for_all_samples_whatever_their_group(tmp_path: Path) -> None:
    cell = planned(tmp_path, [("", "x"), ("", "y")], by='shots_by=lambda sample: "",')
    assert shown(cell) == [["s0", "s1"]] * 4
    assert {sample.group for _, sample in cell.samples()} == {"a", "b"}


def test_by_a_key_of_the_tasks_own(tmp_path: Path) -> None:
    cell = planned(
        tmp_path, [("", "en"), ("", "de"), ("", "en")], by='shots_by=lambda sample: sample.meta["language"],'
    )
    assert shown(cell) == [["s1"], ["s1"], ["s0", "s2"], ["s0", "s2"]]


def test_a_key_without_examples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="words has no solved examples of 'a' for the prompt"):
        planned(tmp_path, [("", "x")])


def test_a_key_that_cannot_be_read_fails_its_sample_alone(tmp_path: Path) -> None:
    by = 'shots_by=lambda sample: {"a": "", "": ""}[sample.group],'
    cell = planned(tmp_path, [("", "x")], by=by)
    found = [one for _, one in cell.tried()]
    assert [isinstance(one, Sample) for one in found] == [True, False, True, False]
    assert isinstance(found[1], SampleError)
    assert "KeyError" in str(found[1])
