"""DROP: records, earlier questions, the prompt to the letter, F1 and the official figures."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
from evalkit.tasks.drop import FIXED, drop, fixed_examples, to_sample, with_earlier

from evalkit.api import Message, Sample, Verdict
from evalkit.benchmark.task import build
from evalkit.data.base import DataOptions
from evalkit.engine.check import check
from evalkit.engine.plan import make_plan
from evalkit.models.fake import FakeModel

SMALL = DataOptions(small_sets=True)
TASK = build(drop)
NOBODY = FakeModel(lambda request, draw: "")
NO_DATE = {"day": "", "month": "", "year": ""}


def answer(number: str = "", spans: tuple[str, ...] = (), **date: str) -> dict[str, Any]:
    return {"number": number, "date": NO_DATE | date, "spans": list(spans)}


def row(query: str, given: dict[str, Any], *validated: dict[str, Any], passage: str = "p") -> dict[str, Any]:
    others = {key: [one[key] for one in validated] for key in ("number", "date", "spans")}
    return {
        "section_id": passage, "query_id": query, "passage": f"Text of {passage}.",
        "question": f"Question {query}?", "answer": given, "validated_answers": others,
    }  # fmt: skip


def verdict(response: str, sample: Sample, variant: str = "") -> Verdict | None:
    read = TASK.extract(TASK.protocols[0])(response, sample)
    scorer = TASK.variants[0].scorer if variant else TASK.scorer
    assert scorer is not None
    found = scorer(read, sample) if read is not None else None
    assert not inspect.isawaitable(found)
    return found


def test_a_record_with_every_type_of_answer() -> None:
    dated = answer(day="4", month="May", year="")
    sample = to_sample(row("q", answer("0"), answer(spans=("a b", "c")), dated, answer("0"), answer()))
    assert sample.target == ("0", "a b; c", "4 May")
    assert (sample.id, sample.cluster, sample.group) == ("q", "p", "number")
    assert sample.meta["answers"] == [["0"], ["a b", "c"], ["4 May "], ["0"], ["  "]]
    types = [answer(spans=("a",)), answer(spans=("a", "b")), dated, answer("1", spans=("a",))]
    assert [to_sample(row("q", one)).group for one in types] == ["span", "spans", "date", "number"]
    with pytest.raises(ValueError, match="question q has no answer"):
        to_sample(row("q", answer(), answer(spans=(" ",))))


def test_earlier_questions_are_those_of_the_passage_also_if_it_comes_again() -> None:
    rows = [row("1", answer("5")), row("2", answer(spans=("a", "b")), answer("9")),
            row("3", answer("6"), passage="q"), row("2", answer("7"))]  # fmt: skip
    found = list(with_earlier(rows))
    assert [one["query_id"] for one in found] == ["1", "2", "3", "2#2"]
    assert [len(one["earlier"]) for one in found] == [0, 1, 0, 2]
    assert found[3]["earlier"] == [["Question 1?", "5"], ["Question 2?", "a; b"]]


def test_the_fixed_examples_open_their_passages_and_no_more_is_read() -> None:
    rows = iter([row(str(i), answer("1"), passage=passage) for i, passage in enumerate("aabbccdd")])
    assert [one["query_id"] for one in fixed_examples(rows)] == ["0", "2", "4"]
    assert next(rows)["query_id"] == "5"


def test_the_prompts() -> None:
    shots = tuple(to_sample(row(f"s{i}", answer(str(i)), passage=f"s{i}")) for i in range(FIXED))
    asked = to_sample({**row("q", answer("1")), "earlier": [["Before?", "a; b"]]})
    asked = dataclasses.replace(asked, shots=shots)
    blocks = [f"Passage: Text of s{i}.\nQuestion: Question s{i}?\nAnswer: {i}\n\n" for i in range(FIXED)]
    fixed = "".join(blocks)
    own = "Passage: Text of p.\n"
    earlier = "Question: Before?\nAnswer: a; b\n"
    last = "Question: Question q?\nAnswer:"
    variable, three, chat = TASK.protocols
    assert TASK.prompt(asked, variable) == (Message("user", fixed + own + earlier + last),)
    fewer = dataclasses.replace(variable, shots=1, api="completion")
    assert TASK.prompt(asked, fewer) == blocks[0] + own + earlier + last
    assert TASK.prompt(asked, three) == (Message("user", fixed + own + last),)
    sent = TASK.prompt(asked, chat)
    assert isinstance(sent, tuple)
    assert sent[0].text.endswith("on one line.\n\nPassage: Text of p.\nQuestion: Question q?")


def test_only_the_first_line_counts() -> None:
    sample = to_sample(row("q", answer(spans=("Ada Holm", "Ida Berg"))))
    assert verdict("\n Ada Holm; Ida Berg \nQuestion: x", sample) == Verdict(True, "F1 1.000, exact", 1.0)
    assert verdict("nobody\nAda Holm; Ida Berg", sample) == Verdict(False, "F1 0.000", 0.0)
    assert verdict("Ada Holm", sample) == Verdict(True, "F1 0.667", 2 / 3)
    assert verdict(" \n", sample) is None
    for label in ("A: ", "Answer: ", "**Answer:** ", "Final answer:\n", "answer:"):
        assert verdict(f"{label}Ada Holm; Ida Berg", sample) == Verdict(True, "F1 1.000, exact", 1.0), label
    assert verdict("Answer:", sample) is None


def test_the_official_figures_differ_for_numbers_and_several_spans() -> None:
    spans = to_sample(row("q", answer(spans=("Ada Holm", "Ida Berg"))))
    number = to_sample(row("q", answer("1,250"), answer(spans=("1250 crates",))))
    for response, sample, t5, official, exact in [
        ("Ida Berg; Ada Holm", spans, 1.0, 1.0, 1.0),
        ("Ada Berg; Ida Holm", spans, 1.0, 0.5, 0.0),
        ("Ada Holm", spans, 2 / 3, 0.5, 0.0),
        ("1250.0", number, 0.0, 1.0, 1.0),
        ("1251 crates", number, 0.5, 0.0, 0.0),
        (";", spans, 0.0, 0.0, 0.0),
    ]:
        plain, own = verdict(response, sample), verdict(response, sample, "official")
        assert plain
        assert own
        assert plain.credit == pytest.approx(t5)
        assert (own.credit, own.values) == (official, {"EM": exact})


@pytest.mark.slow
def test_the_small_set_is_scored() -> None:
    results = list(check("drop", SMALL))
    assert [(one.gold, one.wrong, one.problems) for one in results] == [(100.0, 0.0, ())] * 3


@pytest.mark.slow
def test_the_small_set_is_asked() -> None:
    (cell,) = make_plan(NOBODY, ["drop"], data=SMALL).cells
    shown = [len(sample.meta["earlier"]) for _, sample in cell.samples()]  # type: ignore[arg-type]
    assert shown == [0, 1, 2, 3, 4] * 2
    assert all(len(sample.shots) == FIXED for _, sample in cell.samples())
