"""TyDi QA: records, languages, examples of the same language, prompts, SQuAD's rule and the harness's."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks.tydiqa import (
    SETS,
    SIZES,
    first_of_each,
    in_languages,
    score,
    score_as_harness,
    to_sample,
    tydiqa,
)

from evalkit.api import Message
from evalkit.benchmark.task import build
from evalkit.data.base import DataOptions
from evalkit.engine.check import check
from evalkit.errors import UsageError
from evalkit.session import run

TASK = build(tydiqa)


def row(name: str, *answers: str) -> dict[str, Any]:
    return {
        "id": name, "title": "Light", "context": f"Context of {name}.", "question": f"Q {name}?",
        "answers": {"text": list(answers), "answer_start": [0] * len(answers)},
    }  # fmt: skip


def test_a_record() -> None:
    sample = to_sample(row("korean-1-0", "김하늘", " "))
    assert (sample.id, sample.group, sample.target) == ("korean-1-0", "korean", ("김하늘",))
    assert sample.cluster == to_sample(row("korean-2", "x")).cluster
    assert sample.cluster != to_sample(row("telugu-2", "x")).cluster
    with pytest.raises(ValueError, match="the id 'thai-1' does not begin with one of arabic, bengali"):
        to_sample(row("thai-1", "x"))
    with pytest.raises(ValueError, match="question korean-1 has no answer"):
        to_sample(row("korean-1", ""))


def test_the_example_is_the_language_s_first_and_no_more_is_read() -> None:
    rows = [row(f"{language}-{number}", "x") for number in range(2) for language in SIZES]
    left = iter([rows[0], *rows])
    assert [one["id"] for one in first_of_each(left)] == [f"{language}-0" for language in SIZES]
    assert next(left)["id"] == "arabic-1"


def test_languages_are_chosen() -> None:
    rows = [row(f"{language}-1", "x") for language in SIZES]
    assert len(list(in_languages(rows, SETS["authors"]))) == 8
    assert [one["id"] for one in in_languages(rows, ("korean",))] == ["korean-1"]
    assert build(tydiqa, {"languages": "korean,telugu"}).group_sizes == {"korean": 276, "telugu": 669}
    with pytest.raises(UsageError, match="language of TyDi QA"):
        build(tydiqa, {"languages": "korean,thai"})


def test_the_prompts() -> None:
    sample = dataclasses.replace(
        to_sample(row("korean-2", "y")), shots=(to_sample(row("korean-1", "x", "z")),)
    )
    goldp, closed, chat, closed_chat = TASK.protocols
    shown = "Context: Context of korean-1.\nQuestion: Q korean-1?\nAnswer: x\n\n"
    asked = "Context: Context of korean-2.\nQuestion: Q korean-2?\nAnswer:"
    assert TASK.prompt(sample, goldp) == (Message("user", shown + asked),)
    completion = dataclasses.replace(closed, api="completion")
    assert (
        TASK.prompt(sample, completion)
        == "Question: Q korean-1?\nAnswer: x\n\nQuestion: Q korean-2?\nAnswer:"
    )
    for protocol, ending in ((chat, asked), (closed_chat, "Question: Q korean-2?\nAnswer:")):
        sent = TASK.prompt(sample, protocol)
        assert isinstance(sent, tuple)
        assert sent[0].text.endswith("nothing else.\n\n" + ending.removesuffix("\nAnswer:"))


@pytest.mark.parametrize(
    ("language", "reference", "answer", "squad", "harness"),
    [
        ("english", "the old mill", "Old Mill.", (True, 1.0), (True, 1.0)),
        ("finnish", "an der", "der", (True, 1.0), (False, 2 / 3)),
        ("arabic", "ساحة قديمة", "الساحة القديمة", (False, 0.0), (True, 1.0)),
        ("russian", "Орлов", "«Орлов»", (False, 0.0), (True, 1.0)),
        ("korean", "푸른 서점", "푸른 역", (False, 0.5), (False, 0.5)),
    ],
)
def test_squad_s_rule_and_the_harness_s(
    language: str, reference: str, answer: str, squad: tuple[bool, float], harness: tuple[bool, float]
) -> None:
    sample = to_sample(row(f"{language}-1", "nowhere near", reference))
    for scorer, (exact, f1) in ((score, squad), (score_as_harness, harness)):
        verdict = scorer(answer, sample)
        assert verdict.correct is exact
        assert verdict.values["F1"] == pytest.approx(f1)


@pytest.mark.slow
def test_the_small_set(tmp_path: Path) -> None:
    for one in check("tydiqa", DataOptions(small_sets=True)):
        assert (one.gold, one.wrong, one.problems) == (100.0, 0.0, ())
    settings = {"languages": "english,korean"}
    cells = run(
        "fake/gold", "tydiqa:no-context", output=tmp_path / "r.db", data="builtin", settings=settings
    ).cells
    assert [cell.n for cell in cells] == [4] * 6
    assert [cell.value for cell in cells] == [100.0] * 6
