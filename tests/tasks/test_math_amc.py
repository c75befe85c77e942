"""AMC: the public set of integers, and papers of one's own by letters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks.math_amc import prompt, to_choices, to_sample

from evalkit.benchmark.task import load_task
from evalkit.samples import Message

PUBLIC: dict[str, Any] = {
    "problem": "What is $m + n$?", "answer": 142.0, "url": "https://x/2022_AMC_12A_Problems/Problem_1",
}  # fmt: skip
OWN: dict[str, Any] = {"problem": "What is $2^3$?", "choices": list("56789"), "answer": "(D)", "paper": "12A"}


def test_the_public_answers_are_whole_numbers() -> None:
    sample = to_sample(PUBLIC)
    assert (sample.target, sample.group, sample.tags) == (("142",), "2022", ("2022 12A",))
    with pytest.raises(ValueError, match=r"is 2\.5: it must be a whole number"):
        to_sample({**PUBLIC, "answer": 2.5})
    with pytest.raises(ValueError, match="no paper of the AMC in the URL 'x'"):
        to_sample({**PUBLIC, "url": "x"})


def test_papers_of_ones_own_are_asked_by_letters(tmp_path: Path) -> None:
    sample = to_choices(OWN)
    assert (sample.target, sample.group, sample.choices) == (("D",), "12A", tuple("56789"))
    assert to_choices({**OWN, "paper": None}).group == ""
    with pytest.raises(ValueError, match="is 'F': it must be a letter"):
        to_choices({**OWN, "answer": "F"})
    with pytest.raises(ValueError, match="must be a list of texts, not '5 6 7'"):
        to_choices({**OWN, "choices": "5 6 7"})
    task = load_task("math-amc", {"papers": str(tmp_path / "amc.csv")})
    (tmp_path / "amc.csv").write_text(
        'problem,choices,answer\nWhat?,"[""1"", ""2""]",B\nWhich?,"[""x""]",A\n', "utf-8"
    )
    first, second = task.data.open()
    assert task.sample(first).choices == ("1", "2")
    with pytest.raises(ValueError, match="choices of 'Which"):
        task.sample(second)
    cot, chat = task.protocols
    shown = "What is $2^3$?\n(A) 5\n(B) 6\n(C) 7\n(D) 8\n(E) 9\n\n"
    asked = 'Think step by step. End with "The answer is (X)." where X is the letter of the right choice.'
    assert prompt(sample, cot) == (Message("user", shown + asked),)
    assert prompt(sample, chat) == (
        Message("user", f"{shown}Answer with the letter of the right choice alone."),
    )
    assert task.extract(cot)("So the answer is (D).", sample) == "D"
    assert task.extract(chat)("D", sample) == "D"
