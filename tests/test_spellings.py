"""The bench's spellings of right answers: each is read, on references that are written for these tests."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest

from bench.rows import Row
from bench.spelled import SPELLINGS
from bench.spellings import measure
from evalkit.benchmark.task import Task, load_task
from evalkit.data.base import data_options
from evalkit.samples import Sample
from evalkit.scoring import minerva
from evalkit.scoring.latex import plain_formula

FORMULAS = (
    "1234", "-7", r"\frac{3}{8}", r"\left(2,\frac{1}{3}\right]", "(4, -1)", "x^2-3x+1", r"2\sqrt{5}", r"6\pi",
    r"[0,\infty)", r"30^\circ", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
    r"\begin{pmatrix} 5 \\ -6 \end{pmatrix}",
)  # fmt: skip
NUMBERS = ("7", "-42", "1350", "250000", "-12000", "18.5")


def _samples(name: str, task: Task) -> list[Sample]:
    small = [task.sample(record) for record in task.data.open(data_options("builtin"))]
    written = {"math": FORMULAS, "gsm8k": NUMBERS}.get(name)
    return small[:6] if written is None else [dataclasses.replace(small[0], target=(one,)) for one in written]


@pytest.mark.parametrize("name", SPELLINGS)
def test_there_are_twenty_spellings_and_each_is_read(name: str) -> None:
    task = load_task(name.partition(":")[0])
    protocol, samples = task.protocol(name.partition(":")[2]), _samples(task.name, task)
    read, said, lost = task.extract(protocol), set(), []
    for spelling, spell in SPELLINGS[name].items():
        texts = [(sample, text) for sample in samples if (text := spell(sample)) is not None]
        said.add(tuple(text for _, text in texts))
        for sample, text in texts:
            answer = read(text, sample)
            if answer is None or not _means(task, answer, sample):
                lost.append(f"{spelling}: {text!r} is read as {answer!r}")
    assert not lost, "\n".join(lost)
    assert () not in said, "there is no reference to which a spelling applies"
    assert len(said) == len(SPELLINGS[name]) >= 20, "two spellings are the same"


def _means(task: Task, answer: str, sample: Sample) -> bool:
    """Whether the answer is the reference, as far as can be told without a worker or a sandbox."""
    if task.name == "math":
        given, reference = (minerva.normalize(plain_formula(one)) for one in (answer, sample.target[0]))
        return re.sub(r"\\cdot|[{}]|\.$", "", given) == re.sub("[{}]", "", reference)
    if task.name == "humaneval":
        compile(f"{sample.input}{answer}", sample.id, "exec")
        return sample.target[0].strip().splitlines()[-1].strip() in answer and "print(" not in answer
    verdict = task.scorer(answer, sample)
    assert not inspect.isawaitable(verdict)
    return verdict.correct


@pytest.mark.slow
def test_the_bench_finds_no_loss_on_the_small_sets() -> None:
    rows: list[Row] = measure(quick=True)
    assert len(rows) > 100
    assert [row.what for row in rows if row.measured != 100] == []
