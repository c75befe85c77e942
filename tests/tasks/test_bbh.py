"""BIG-Bench-Hard: its prompts, its 23 tasks of 27 files, its answers, its figures on the small set."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from evalkit.tasks.bbh import (
    COT,
    DIRECT,
    SIZES,
    ZERO_SHOT,
    chat_answer,
    direct_answer,
    family_of,
    flexible_answer,
    prompt,
    score,
    score_flexibly,
    stated_answer,
    to_sample,
)

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.data.exemplars import fewshot_description, fewshot_samples
from evalkit.data.parts import PART
from evalkit.engine.check import check
from evalkit.samples import Message, Sample
from evalkit.session import run

SMALL = DataOptions(small_sets=True)
PROTOCOLS = {protocol.name: protocol for protocol in load_task("bbh").protocols}


def sample(name: str, question: str, target: str) -> Sample:
    found: Sample = to_sample({PART: name, "input": question, "target": target})
    return found


def sent(name: str, protocol: Protocol) -> str:
    asked = prompt(sample(name, "How many?", "3"), protocol)
    assert isinstance(asked, tuple)
    (message,) = asked
    assert isinstance(message, Message)
    return message.text


def test_the_chain_of_thought_prompt_is_the_authors() -> None:
    """cot-prompts/*.txt after its line of dashes, then the question; a blank in sports_understanding."""
    for name in SIZES:
        path = f"bbh/cot_fewshot/{name}.yaml"
        shots = fewshot_samples(path)
        assert len(shots) == 3
        gap = " " if name == "sports_understanding" else "\n"
        parts = [
            fewshot_description(path),
            *(f"Q: {s['input']}\nA: Let's think step by step.{gap}{s['target']}\n\n" for s in shots),
            "Q: How many?\nA: Let's think step by step.",
        ]
        assert sent(name, PROTOCOLS[COT]) == "".join(parts)
        assert all(shot["target"].endswith(".") and stated_answer(shot["target"]) for shot in shots)


def test_the_other_prompts() -> None:
    direct = sent("web_of_lies", PROTOCOLS[DIRECT])
    shots = fewshot_samples("bbh/cot_fewshot/web_of_lies.yaml")
    assert direct.count("\nA: ") == 3
    assert f"Q: {shots[0]['input']}\nA: {stated_answer(shots[0]['target'])}\n\nQ: " in direct
    assert direct.endswith("\n\nQ: How many?\nA:")
    assert "step by step" not in direct
    assert sent("web_of_lies", PROTOCOLS[ZERO_SHOT]).startswith("How many?\n\nThink step by step.")
    asked = sample("web_of_lies", "How many?", "3")
    assert prompt(asked, dataclasses.replace(PROTOCOLS[DIRECT], api="completion")) == direct
    none = prompt(asked, dataclasses.replace(PROTOCOLS[COT], api="completion", shots=0))
    assert none == (
        fewshot_description("bbh/cot_fewshot/web_of_lies.yaml") + "Q: How many?\nA: Let's think step by step."
    )


def test_six_files_are_two_tasks() -> None:
    task = load_task("bbh")
    assert len(SIZES) == 27
    assert sum(SIZES.values()) == task.size == 6511
    assert len(task.group_sizes) == len({family_of(name) for name in SIZES}) == 23
    assert Counter(task.group_sizes.values()) == {250: 18, 750: 2, 187: 1, 146: 1, 178: 1}
    three = sample("tracking_shuffled_objects_three_objects", "Who?", "(A)")
    assert (three.group, three.tags) == (
        "tracking_shuffled_objects",
        ("tracking_shuffled_objects_three_objects",),
    )
    alone = sample("navigate", "Where?", "No")
    assert (alone.group, alone.tags) == ("navigate", ())


def test_questions_of_one_story_are_a_cluster() -> None:
    dates = [f"Today is Monday. What is the date {when}?\nOptions:\n(A) x" for when in ("today", "tomorrow")]
    one, other = (sample("date_understanding", question, "(A)") for question in dates)
    assert one.cluster == other.cluster != ""
    assert one.id != other.id
    puzzle = "Three cats.\nOptions:\n(A) "
    assert (
        sample("logical_deduction_three_objects", puzzle + "a", "(A)").cluster
        == sample("logical_deduction_three_objects", puzzle + "b", "(A)").cluster
        != sample("logical_deduction_five_objects", puzzle + "b", "(A)").cluster
    )
    assert sample("snarks", puzzle + "a", "(A)").cluster == ""
    game = "Ann has a hat. At the end of the day, Ann has"
    assert sample("tracking_shuffled_objects_three_objects", game, "(A)").cluster


def test_an_answer_is_equal_in_every_letter() -> None:
    asked = sample("navigate", "Where?", "Yes")
    assert [score(answer, asked).correct for answer in ("Yes", "yes", "Yes.", "No")] == [True, *[False] * 3]
    assert direct_answer(" Yes.\n\nQ: and?") == "Yes"
    assert direct_answer(" \n ") is None
    assert direct_answer(".") is None


FLEXIBLE = [
    ("(B)", "The answer is **B**.", True),
    ("(B)", "**So the answer is (B).**", True),
    ("(B)", "So the answer is: (b) a cap", True),
    ("(B)", "It is a cap.\n\\boxed{B}", True),
    ("(B)", "\\boxed{\\text{(B)}}", True),
    ("(B)", "So the answer is \\boxed{(B)}.", True),
    ("(B)", "B", True),
    ("(B)", "B. a cap", True),
    ("(B)", "The answer is (A). No, the answer is (B).", True),
    ("(B)", "The answer is Bert.", False),
    ("(B)", "The answer is (A).", False),
    ("(B)", "The answer is:\n\n**(B)** a cap", True),
    ("Yes", "the answer is yes", True),
    ("Yes", "The answer is no.", False),
    ("True", "So the answer is `True`.", True),
    ("-35", "So the answer is −35.", True),
    ("8", "So the answer is 8.0.", True),
    ("8", "So the answer is 18.", False),
    ("} ] >", "So the answer is }]>", True),
    ("anvil lentil", "So the answer is anvil, lentil.", True),
    ("anvil lentil", "So the answer is lentil, anvil.", False),
    ("valid", "I think it follows.\nvalid.", True),
    ("valid", "So the answer is invalid.", False),
]


def test_the_flexible_view_reads_what_chat_models_write() -> None:
    for target, response, right in FLEXIBLE:
        answer = flexible_answer(response)
        assert answer is not None
        assert score_flexibly(answer, sample("navigate", "?", target)).correct is right, response
    assert flexible_answer("") is flexible_answer(" \n") is None
    assert flexible_answer("The answer is") == "The answer is"


@pytest.mark.slow
def test_references_score_all_and_wrong_responses_nothing(tmp_path: Path) -> None:
    results = list(check("bbh", SMALL))
    assert [(r.protocol, r.samples, r.gold, r.wrong) for r in results] == [
        (name, 54, 100.0, 0.0) for name in (COT, DIRECT, ZERO_SHOT)
    ]
    assert all(result.passed for result in results)
    table = run("fake/gold?wrong=0.5&seed=1", "bbh", output=tmp_path / "r.db", data="builtin", limit=1)
    assert [cell.metric for cell in table.cells] == [
        "accuracy (macro)", "accuracy", "accuracy (flexible, macro)", "accuracy (flexible)"
    ]  # fmt: skip
    assert table.cells[0].n == 27
    small = [load_task("bbh").sample(record) for record in load_task("bbh").data.open(SMALL)]
    assert Counter(Counter(one.cluster for one in small if one.cluster).values()) == {1: 8, 2: 4}


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("So the answer is (B).", "(B)"),
        ("**So the answer is (B).**", "(B)"),
        ("So the answer is **B**.", "(B)"),
        ("The answer is: B. the second one", "(B)"),
        ("Thus \\boxed{\\text{b}}", "(B)"),
        ("I think it is the second.", "I think it is the second"),
        ("The answer is Z.", "Z"),
        ("True.", "True"),
        ("So the answer is **True**", "True"),
        ("So the answer is 12.", "12"),
        ("So the answer is ) ] >.", ") ] >"),
        ("", None),
        ("So the answer is **.", "So the answer is"),
    ],
)
def test_a_chats_answer_is_read_without_its_marks(reply: str, read: str | None) -> None:
    sample = Sample("1", "Which?\nOptions:\n(A) one\n(B) two\n(I) nine", ("(B)",), group="hyperbaton")
    assert chat_answer(reply, sample) == read
