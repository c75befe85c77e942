"""BoolQ: records, the prompts, how yes and no are read, likelihoods, and the constant answer beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks.boolq import boolq, likelier_word, to_sample, yes_or_no

from evalkit.api import Message, Reading, Response, Transcript
from evalkit.benchmark.task import build
from evalkit.benchmark.transcript import Turn
from evalkit.data.base import DataOptions
from evalkit.engine.check import check
from evalkit.errors import ScorerError
from evalkit.models.base import Likelihood
from evalkit.models.fake import FakeModel
from evalkit.samples import Final
from evalkit.session import run

TASK = build(boolq)
ROW: dict[str, Any] = {"question": "is the pond dry", "answer": False, "passage": "The pond is full."}


def test_a_record() -> None:
    sample = to_sample(ROW)
    assert (sample.input, sample.target, sample.meta["yes"]) == ("is the pond dry", ("no",), False)
    other = to_sample({**ROW, "question": "is the pond full", "answer": True})
    assert other.target == ("yes",)
    assert other.cluster == sample.cluster
    assert other.id != sample.id
    with pytest.raises(ValueError, match="the answer to 'is the pond dry' is 1, not true or false"):
        to_sample({**ROW, "answer": 1})


def test_the_prompts() -> None:
    sample = to_sample(ROW)
    plain, likely, chat = TASK.protocols
    text = "The pond is full.\nQuestion: is the pond dry?\nAnswer:"
    assert TASK.prompt(sample, plain) == (Message("user", text),)
    assert TASK.prompt(sample, likely) == text
    sent = TASK.prompt(sample, chat)
    assert isinstance(sent, tuple)
    assert sent[0].text.endswith("nothing else.\n\nPassage: The pond is full.\nQuestion: is the pond dry?")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" yes", "yes"), ("Yes.", "yes"), ("YES, it is", "yes"), ("**No**", "no"), ("\n\nNo\n", "no"),
        ("“No”", "no"), ("True", "yes"), ("false.", "no"), ("(yes)", "yes"), ("No. Yes.", "no"),
        ("The answer is yes.", "yes"), ("I think the answer to that is: **No**.", "no"),
        ("Answer: yes", "yes"), ("The answer is no. Or rather, the answer is yes.", "yes"),
        ("Nothing says so.", None), ("Not at all", None), ("yesterday", None), ("", None), ("  ", None),
        ("It depends, yes or no", None), ("The answer is unclear. Is it no?", None), ("1", None),
        ("The passage says the pond is full, so no", None), ("oui", None),
    ],
)  # fmt: skip
def test_yes_and_no_are_read_where_they_answer(text: str, answer: str | None) -> None:
    assert yes_or_no(text, to_sample(ROW)) == answer


def test_the_likelier_word_and_a_tie() -> None:
    def read(*scores: float) -> str | None:
        likelihoods = tuple(Likelihood("", score) for score in scores)
        turns = (Turn(Response("", likelihoods=likelihoods), 0),)
        reading = Reading(Transcript(turns), to_sample(ROW), TASK.protocols[1], yes_or_no)
        (final,) = likelier_word(reading).finals
        assert isinstance(final, Final)
        return final.value

    assert [read(-2.0, -1.0), read(-1.0, -2.0), read(-1.0, -1.0)] == ["yes", "no", "no"]
    with pytest.raises(ScorerError, match="no likelihoods of yes and no"):
        read(-1.0)


@pytest.mark.slow
def test_the_small_set_and_the_constant_answer(tmp_path: Path) -> None:
    results = list(check("boolq", DataOptions(small_sets=True)))
    assert [(one.gold, one.wrong, one.problems) for one in results] == [(100.0, 0.0, ())] * 3
    yes = FakeModel(lambda request, draw: " yes")
    for protocol in ("0-shot", "0-shot-likelihood"):
        path = tmp_path / f"{protocol}.db"
        found = run(yes, f"boolq:{protocol}", output=path, data="builtin").cells
        assert [cell.value for cell in found] == [62.5, 62.5], protocol
