"""Qasper: lines of one id are one question's references, and the prompts to the letter."""

from __future__ import annotations

from typing import Any

import pytest
from evalkit.tasks.qasper import gold, score, to_sample, with_references, wrong_responses

from evalkit.api import Message
from evalkit.benchmark.task import load_task


def line(name: str, output: str | None, question: str = "Why?", paper: str = "A\n\nB") -> dict[str, Any]:
    return {"id": name, "pid": f"{name}_0", "input": f"{question}\n\n{paper}", "output": output}


def test_lines_of_one_id_are_references_of_one_question_also_apart() -> None:
    lines = [line("1", "Yes"), line("2", "x"), line("1", "No"), line("1", "Yes")]
    found = list(with_references(lines))
    assert [(one["id"], one["outputs"]) for one in found] == [("1", ["Yes", "No", "Yes"]), ("2", ["x"])]
    assert "outputs" not in lines[0], "the lines themselves stay as they are"
    assert to_sample(found[0]).target == ("Yes", "No")


def test_a_question_is_what_stands_before_the_first_blank_line() -> None:
    (record,) = with_references([line("1", " a, b ", paper="\n Title\n\nText ")])
    sample = to_sample(record)
    assert (sample.input, sample.document, sample.target) == ("Why?", "Title\n\nText", ("a, b",))
    (other,) = with_references([line("2", "x", paper="Title\n\nText")])
    assert to_sample(other).cluster == sample.cluster
    assert not sample.meta
    for broken, words in ((line("3", " "), "3 has no answer"), (line("4", None), "4 has no answer"),
                          (line("5", "x", paper=" "), "5 has no paper")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            to_sample(next(iter(with_references([broken]))))


def test_groups_are_the_types_of_the_first_reference() -> None:
    for output, group in [
        ("Unanswerable", "unanswerable"), ("unanswerable.", "unanswerable"), ("Yes", "yes or no"),
        ("No.", "yes or no"), ("No idea", "text"), ("...", "text"),
    ]:  # fmt: skip
        (record,) = with_references([line("1", output), line("1", "Yes")])
        assert to_sample(record).group == group, output


def test_the_prompts() -> None:
    task = load_task("qasper")
    (record,) = with_references([line("1", "x")])
    sample = to_sample(record)
    plain, scrolls, chat = task.protocols
    assert task.prompt(sample, plain) == "A\n\nB\n\nQuestion: Why?\nAnswer:"
    assert task.prompt(sample, scrolls) == (Message("user", "Why?\n\nA\n\nB"),)
    asked = task.prompt(sample, chat)
    assert isinstance(asked, tuple)
    assert asked[0].text.endswith('answer "Unanswerable".\n\nPaper:\nA\n\nB\n\nQuestion: Why?')


def test_the_best_reference_counts() -> None:
    (record,) = with_references(
        [line("1", "the"), line("1", "red\nand blue boats"), line("1", "Unanswerable")]
    )
    sample = to_sample(record)
    assert score("unanswerable", sample).reason == "F1 1.000, exact"
    assert score("blue boats", sample).credit == pytest.approx(2 / 3)
    assert gold(sample, load_task("qasper").protocols[0]) == "red and blue boats"
    assert all(
        score(one, sample).credit == 0
        for one in wrong_responses(sample, load_task("qasper").protocols[0])[:1]
    )
