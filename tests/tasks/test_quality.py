"""QuALITY: its prompts in two orders, its hard subset, and answers given as the text of a choice."""

from __future__ import annotations

from typing import Any

import pytest
from evalkit.tasks.quality import prompt, text_letter, to_sample

from evalkit.benchmark.task import load_task
from evalkit.samples import Message

ROW: dict[str, Any] = {
    "article": "A ship leaves.\n\nIt returns. ", "question": "What leaves?", "answer": 1, "hard": True,
    "options": ["The sea.", "A  ship", "An owl", "the"],
}  # fmt: skip


def test_a_record_is_a_question_about_an_article() -> None:
    sample = to_sample(ROW)
    assert (sample.target, sample.group) == (("B",), "hard")
    assert sample.choices == ("The sea.", "A ship", "An owl", "the")
    other = to_sample({**ROW, "question": "What returns?", "hard": False})
    assert other.group == "easy"
    assert other.cluster == sample.cluster != to_sample({**ROW, "article": "x"}).cluster
    assert other.id != sample.id
    for answer in (4, -1):
        with pytest.raises(ValueError, match=rf"is {answer}: there are 4"):
            to_sample({**ROW, "answer": answer})


def test_the_prompts() -> None:
    sample = to_sample(ROW)
    by_name = {protocol.name: protocol for protocol in load_task("quality").protocols}
    article, marked = "A ship leaves.\n\nIt returns.", ["(A) The sea.", "(B) A ship", "(C) An owl", "(D) the"]
    lines = "\n".join(marked)
    plain = f"{article}\n\nQuestion: What leaves?\n{lines}\nAnswer:"
    assert prompt(sample, by_name["0-shot"]) == plain
    assert prompt(sample, by_name["0-shot-chat"]) == (Message("user", plain),)
    scrolls = f"What leaves?\n\n{' '.join(marked)}\n\n{article}"
    assert prompt(sample, by_name["0-shot-scrolls"]) == (Message("user", scrolls),)
    assert prompt(sample, by_name["0-shot-continuation"]) == f"{article}\n\nQuestion: What leaves?\nAnswer:"


def test_the_text_of_a_choice_is_an_answer_as_in_squad() -> None:
    sample = to_sample(ROW)
    for text, letter in (("a ship", "B"), ("Ship!", "B"), ("THE SEA", "A"), ("owl.", "C"), ("(C)", "C")):
        assert text_letter(text, sample) == letter, text
    for text in ("", "ships", "a ship or an owl", "nothing"):
        assert text_letter(text, sample) in (None, "D"), text
    assert text_letter("ships", sample) is None
