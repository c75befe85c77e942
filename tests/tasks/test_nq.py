"""NaturalQuestions: records, drawn examples, prompts, passages in a column, retrieval recall."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks.nq import (
    FOUND,
    NOT_FOUND,
    SHOTS,
    drawn_examples,
    holds,
    nq_open,
    nq_retrieved,
    reader,
    score,
    to_sample,
)

from evalkit.api import CsvCell, DataError, Message, Sample, UsageError
from evalkit.benchmark.task import build
from evalkit.data.base import DataOptions
from evalkit.engine.check import check
from evalkit.session import run

OPEN, RETRIEVED = build(nq_open), build(nq_retrieved)
ROW: dict[str, Any] = {"question": "who keeps the light", "answer": ["Ada Holm", "A. Holm"]}
PASSAGES = [{"title": "Light", "text": "Ada Holm keeps it."}, {"title": "", "text": "Nobody."}, "Ida Berg."]


def text(prompt: object) -> str:
    assert isinstance(prompt, tuple)
    (message,) = prompt
    assert isinstance(message, Message)
    return message.text


def test_a_record() -> None:
    sample = to_sample(ROW)
    assert (sample.input, sample.target) == ("who keeps the light", ("Ada Holm", "A. Holm"))
    with pytest.raises(ValueError, match="the question 'who keeps the light' has no answer"):
        to_sample({**ROW, "answer": [" "]})


def test_the_examples_are_drawn_whatever_the_order() -> None:
    rows = [{"question": f"q{number}", "answer": ["x"]} for number in range(200)]
    drawn = drawn_examples(rows)
    assert len(drawn) == SHOTS
    assert drawn == drawn_examples(reversed(rows))
    assert drawn != rows[:SHOTS]


def test_the_closed_book_prompts() -> None:
    shots = tuple(to_sample({"question": f"q{number}?", "answer": [f"a{number}"]}) for number in range(9))
    sample = dataclasses.replace(to_sample(ROW), shots=shots)
    many, five, chat = OPEN.protocols
    pairs = [f"Q: q{number}?\nA: a{number}\n\n" for number in range(9)]
    asked = "Q: who keeps the light?\nA:"
    assert text(OPEN.prompt(sample, many)) == "".join(pairs) + asked
    assert OPEN.prompt(sample, dataclasses.replace(five, api="completion")) == "".join(pairs[:5]) + asked
    assert text(OPEN.prompt(sample, chat)).endswith("around it.\n\nwho keeps the light?")


def test_the_match_is_exact_and_keeps_commas() -> None:
    sample = Sample("1", "", ("Washington, D.C.", "Zoë"))
    right = [
        score(answer, sample).correct for answer in ("washington dc", "The Washington, D.C.", "Zoe\u0308")
    ]
    assert right == [True] * 3
    assert not score("Washington", sample).correct


def test_passages_and_what_holds_an_answer() -> None:
    row = {**ROW, "passages": PASSAGES}
    sample = reader("question", "answer", "passages", 2)(row)
    assert sample.meta["passages"] == ["Light\nAda Holm keeps it.", "Nobody."]
    assert (sample.meta["held"], sample.group) == (True, FOUND)
    berg = reader("question", "answer", "passages", 2)({**row, "answer": "Ida Berg"})
    assert (berg.meta["held"], berg.group) == (False, NOT_FOUND)
    assert reader("question", "answer", "passages", 3)({**row, "answer": "Ida Berg"}).meta["held"]
    cell = {**row, "answer": CsvCell('["Ada Holm"]'), "passages": json.dumps(PASSAGES)}
    assert reader("question", "answer", "passages", 9)(cell).target == ("Ada Holm",)
    plain, chat = RETRIEVED.protocols
    assert text(RETRIEVED.prompt(sample, plain)) == (
        "[1] Light\nAda Holm keeps it.\n\n[2] Nobody.\n\nQ: who keeps the light?\nA:"
    )
    assert text(RETRIEVED.prompt(sample, chat)).endswith("\n\n[2] Nobody.\n\nwho keeps the light?")


@pytest.mark.parametrize(
    ("passages", "said"),
    [
        ("none", "passages must be a list of passages"), ({"text": "x"}, "must be a list"),
        (None, "must be a list"),
        ([{"title": "x"}], "a passage of passages has no text: \"{'title': 'x'}\""), ([None], "has no text"),
    ],
)  # fmt: skip
def test_other_columns_are_refused(passages: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        reader("question", "answer", "passages", 2)({**ROW, "passages": passages})


def test_an_answer_is_held_as_whole_tokens() -> None:
    for passage, answer, held in [
        ("In May 1989, it fell.", "1989", True), ("In 19890 it fell.", "1989", False),
        ("the Caf\u00e9 inn", "cafe\u0301 Inn", True), ("the cafe inn", "caf\u00e9", False),
        ("Holm's boat", "Holm", True), ("Washington, D.C. is", "Washington D.C.", False),
        ("in D.C. now", "D.C.", True), ("in DC now", "D.C.", False), ("a\nb\u200bc", "b c", True),
        ("5 % of it", "5%", True), ("", "x", False), ("the light", "a light", False),
    ]:  # fmt: skip
        assert holds(passage, ["nowhere", answer]) is held, passage


@pytest.mark.parametrize("k", ["0", "-1", "1.5", "all", "", "²"])
def test_k_is_a_number_of_passages(k: str) -> None:
    with pytest.raises(UsageError, match=f"k={k}: must be a whole number of passages, at least 1"):
        build(nq_retrieved, {"k": k})


def test_without_passages_nothing_is_asked() -> None:
    with pytest.raises(DataError, match="nq-retrieved needs questions with passages"):
        RETRIEVED.data.open(DataOptions())


@pytest.mark.slow
def test_the_small_sets_and_a_folder_of_ones_own(tmp_path: Path) -> None:
    small = DataOptions(small_sets=True)
    assert [(one.gold, one.wrong, one.problems) for one in check("nq-open", small)] == [(100.0, 0.0, ())] * 3
    for one in check("nq-retrieved", small):
        assert (one.gold, one.wrong, one.problems) == (100.0, 0.0, ())
        assert one.others["retrieval recall"] == pytest.approx(100 * 4 / 6)
    (tmp_path / "found").mkdir()
    row = {
        "question": "q",
        "answers": ["x"],
        "ctxs": [{"title": "t", "text": "y"}, {"title": "t", "text": "x"}],
    }
    (tmp_path / "found" / "validation.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    for k, recall in (("1", 0.0), ("2", 100.0)):
        settings = {"dataset": str(tmp_path / "found"), "passages": "ctxs", "answers": "answers", "k": k}
        cells = run("fake/gold", "nq-retrieved", output=tmp_path / f"{k}.db", settings=settings).cells
        assert [cell.value for cell in cells] == [100.0, recall]
