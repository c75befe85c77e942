"""MMMLU: its locales, its English shots, its clusters, and what it says of other data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evalkit.tasks.mmmlu import ALL, REPORT, as_translated, chosen, numbered, prompt, to_sample

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.data.parts import PART
from evalkit.engine.plan import make_plan
from evalkit.errors import UsageError
from evalkit.models.fake import FakeModel
from evalkit.samples import Message
from evalkit.session import run

SMALL = DataOptions(small_sets=True)
ROW: dict[str, Any] = {
    "Question": "Was ist rot?", "A": "w", "B": "x", "C": "y", "D": "z", "Answer": " C ", "nth": 4,
    "Subject": "high_school_us_history", PART: "DE_DE",
}  # fmt: skip


def test_a_record_is_a_question_in_a_locale() -> None:
    sample = to_sample(ROW)
    assert (sample.group, sample.target, sample.choices) == ("DE_DE", ("C",), ("w", "x", "y", "z"))
    assert sample.cluster == to_sample({**ROW, PART: "IT_IT"}).cluster == "high_school_us_history/4"
    assert sample.id != to_sample({**ROW, PART: "IT_IT"}).id
    assert sample.id != to_sample({**ROW, "Answer": "A"}).id  # the same text with another answer
    assert sample.tags == ("humanities",)
    with pytest.raises(ValueError, match="is 'E': it must be A, B, C or D"):
        to_sample({**ROW, "Answer": "E"})
    with pytest.raises(ValueError, match="no subject"):
        to_sample({**ROW, "Subject": "alchemy"})


def test_questions_are_counted_within_their_subject() -> None:
    rows = [{**ROW, "Subject": subject} for subject in ("a", "b", "a", "a", "b")]
    assert [row["nth"] for row in numbered(rows)] == [0, 0, 1, 2, 1]


def test_the_locales() -> None:
    assert chosen("report") == REPORT
    assert chosen("all") == ALL
    assert chosen("SW_KE, DE_DE,SW_KE") == ("SW_KE", "DE_DE")
    with pytest.raises(UsageError, match=r"unknown locale 'DE_DF': did you mean DE_DE"):
        load_task("mmmlu", {"locales": "DE_DF"})


def test_the_prompts_show_english_questions_of_the_subject() -> None:
    import dataclasses

    english = {"question": "Who?", "subject": "high_school_us_history", "choices": list("abcd"), "answer": 1}
    (shot,) = map(to_sample, as_translated([english]))
    sample = dataclasses.replace(to_sample(ROW), shots=(shot,) * 5)
    by_name = {protocol.name: protocol for protocol in load_task("mmmlu").protocols}
    head = "The following are multiple choice questions (with answers) about  high school us history.\n\n"
    solved = "Who?\nA. a\nB. b\nC. c\nD. d\nAnswer: B\n\n"
    own = "Was ist rot?\nA. w\nB. x\nC. y\nD. z\nAnswer:"
    assert prompt(sample, by_name["5-shot"]) == head + solved * 5 + own
    told = "Continue the following text without adding any additional information or formatting:"
    asked = "Was ist rot?\n(A) w\n(B) x\n(C) y\n(D) z\nAnswer:"
    assert prompt(sample, by_name["0-shot-chat"]) == (Message("user", f"{told}\n\n{asked}"),)
    shown = "Who?\n(A) a\n(B) b\n(C) c\n(D) d\nAnswer: B\n\n"
    assert prompt(sample, by_name["5-shot-chat"]) == (Message("user", f"{told}\n\n{shown * 5}{asked}"),)


@pytest.mark.slow
def test_every_sample_gets_five_shots_and_the_figure_is_the_mean_over_locales(tmp_path: Path) -> None:
    (cell,) = make_plan(FakeModel(lambda request, draw: ""), ["mmmlu:5-shot"], data=SMALL).cells
    for _, asked in cell.samples():
        assert {(shot.group, shot.meta["subject"]) for shot in asked.shots} == {
            ("EN_US", asked.meta["subject"])
        }
        assert len(asked.shots) == 5
    table = run("fake/gold?wrong=0.5", "mmmlu", output=tmp_path / "r.db", data="builtin")
    assert [cell.metric for cell in table.cells] == ["accuracy (macro)", "accuracy"]
    assert set(REPORT) <= table.cells[0].groups.keys()
