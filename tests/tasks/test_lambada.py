"""LAMBADA: its prompts, how a word is read, and its figures."""

from __future__ import annotations

from pathlib import Path

import pytest
from evalkit.tasks.lambada import chat_word, first_word, prompt, score, to_sample

from evalkit.benchmark.task import load_task
from evalkit.samples import Message
from evalkit.session import run

SAMPLE = to_sample({"text": "Nobody wound the clock"})


def test_the_prompts() -> None:
    by_name = {protocol.name: protocol for protocol in load_task("lambada").protocols}
    assert prompt(SAMPLE, by_name["0-shot"]) == "Nobody wound the"
    assert prompt(SAMPLE, by_name["0-shot-likelihood"]) == "Nobody wound the"
    asked = "Which word comes last in this passage, in place of the gap? Reply with that word alone."
    assert prompt(SAMPLE, by_name["0-shot-chat"]) == (Message("user", f"{asked}\n\nNobody wound the ____"),)


def test_the_first_word_counts_in_every_letter() -> None:
    for text in ("clock", " clock.", "clock and then", "“clock”", "**clock**", "\n\nclock,\n", "... clock"):
        assert first_word(text, SAMPLE) == "clock", text
    assert first_word("can't.", SAMPLE) == "can't"
    assert first_word("Zoë!", SAMPLE) == "Zoë"
    for text in ("", "  ", "...", "“”"):
        assert first_word(text, SAMPLE) is None
    assert score("clock", SAMPLE).correct
    assert not any(score(word, SAMPLE).correct for word in ("Clock", "clocks", "the"))
    assert score("clock", to_sample({"text": "the clock."})).correct


@pytest.mark.slow
def test_accuracy_and_perplexity(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    table = run("fake/gold?wrong=0.5&seed=1", "lambada:0-shot-likelihood", output=path, data="builtin")
    accuracy, perplexity = table.cells
    assert (accuracy.metric, perplexity.metric) == ("accuracy", "perplexity")
    assert accuracy.value is not None
    assert perplexity.value is not None
    right = round(8 * accuracy.value / 100)
    assert 0 < right < 8
    assert perplexity.value == pytest.approx((1 / 0.9) ** (right / 8) * 10 ** (1 - right / 8))
    plain = run("fake/gold", "lambada:0-shot", output=tmp_path / "p.db", data="builtin")
    assert [cell.metric for cell in plain.cells] == ["accuracy"]


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("lamp", "lamp"),
        ("**lamp**.", "lamp"),
        ('The word that comes last in this passage is "lamp".', "lamp"),
        ("The missing word is **lamp**, which she lit.", "lamp"),
        ("The answer is: lamp.", "lamp"),
        ("It is dark.\nThe last word is o'clock.", "o'clock"),
        ("Nobody knows what it is, or was", "Nobody"),
        ("", None),
    ],
)
def test_a_chats_word_is_found_in_a_sentence_too(reply: str, word: str | None) -> None:
    assert chat_word(reply, SAMPLE) == word
