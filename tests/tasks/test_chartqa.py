"""ChartQA: records, both prompts, what is read as the answer, and years."""

from __future__ import annotations

import inspect
import time
from typing import Any

import pytest
from evalkit.tasks import chartqa

from evalkit.api import Image, Message, Protocol, Sample
from evalkit.benchmark.task import build

CHART = b"\x89PNG a chart"
ROW: dict[str, Any] = {
    "type": "human_test",
    "question": "How many boats were built in 1980?",
    "answer": " 42 ",
    "image": {"bytes": CHART, "path": None},
}
TASK = build(chartqa.chartqa)
SHORT, REASONED = TASK.protocols


def right(response: str, wanted: str, protocol: Protocol = SHORT, variant: str = "") -> bool:
    sample = TASK.sample({**ROW, "answer": wanted})
    answer = TASK.extract(protocol)(response, sample)
    judge = next(v.scorer for v in TASK.variants if v.name == variant) if variant else TASK.scorer
    assert judge is not None
    verdict = judge(answer, sample) if answer is not None else None
    assert not inspect.isawaitable(verdict)
    return verdict is not None and verdict.correct


def sent(protocol: Protocol) -> tuple[str, str]:
    """The text before the chart and the one behind it."""
    prompt = TASK.prompt(TASK.sample(ROW), protocol)
    assert isinstance(prompt, tuple)
    (message,) = prompt
    before, chart, after = message.parts
    assert message == Message("user", (before, Image(CHART), after))
    assert chart == Image(CHART)
    assert isinstance(before, str)
    assert isinstance(after, str)
    return before, after


def test_a_record() -> None:
    sample = TASK.sample(ROW)
    assert (sample.target, sample.group, sample.cluster) == (("42",), "human", Image(CHART).key)
    assert sample.media == (Image(CHART),)
    assert sample.id == TASK.sample({**ROW, "answer": "43"}).id
    others = [
        {**ROW, "question": "Which?"},
        {**ROW, "image": {"bytes": b"other"}},
        {**ROW, "type": "augmented_test"},
    ]
    assert len({sample.id, *(TASK.sample(row).id for row in others)}) == 4
    assert TASK.sample(others[-1]).group == "augmented"
    with pytest.raises(KeyError, match="train"):
        TASK.sample({**ROW, "type": "train"})


def test_the_reasoned_prompt_is_the_printed_one() -> None:
    before, after = sent(REASONED)
    assert before == (
        "Think step by step before giving a final answer to this question.Format your final answer as 'Final "
        "Answer: X'. For the final answer X, follow the following instructions:\n"
        "* X should contain as few words as possible.\n"
        "* Don't paraphrase or reformat the text you see in the image.\n"
        "* If the final answer has two or more items, provide it in the list format like [1, 2].\n"
        "* When asked to give a ratio, give out the decimal value like 0.25 instead of 1:4.\n"
        "* When asked to give a percentage, give out the whole value like 17 instead of decimal like 0.17%.\n"
        "* Don't include any units in the answer.\n"
        "* Try to include the full label from the graph when asked about an entity.\n"
        "Remember, don't give a final answer before step by step reasoning and always format your final "
        "answer as 'Final Answer: X'.\n"
    )
    assert after == "\nQuestion: How many boats were built in 1980?"
    assert sent(REASONED.override({"max_tokens": "64"})) == (before, after)


def test_the_short_prompt_has_the_same_rules_and_asks_for_no_reasoning() -> None:
    before, after = sent(SHORT)
    shared = {line for line in sent(REASONED)[0].splitlines() if line.startswith("*")} & {
        *before.splitlines()
    }
    assert len(shared) == 5
    assert "* The answer should contain as few words as possible.\n" in before
    assert "* If the answer has two or more items, provide it in the list format like [1, 2].\n" in before
    assert "step" not in before
    assert "X" not in before
    assert after == "\nQuestion: How many boats were built in 1980? Answer:"


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Final Answer: 42", "42"),
        ("The sum is 40 + 2.\n**Final Answer:** 42\n", "42"),
        ("**Final Answer**: 42", "42"),
        ("**Final Answer: Light blue**", "Light blue"),
        ("Final Answer:\n42", "42"),
        ("Final Answer: 41. No.\nfinal answer : 42\nThat is all.", "42"),
        ("Final Answer: [1, 2]", "[1, 2]"),
        ("Final Answer: 17%.", "17%."),
        ("Final Answer:", None),
        ("Final Answer: **", None),
        ("Final Answer: Rabbit**", "Rabbit**"),
        ("**Final Answer:** Rabbit**", "Rabbit**"),
        ("**Final Answer: Rabbit****", "Rabbit**"),
        ("Final Answer: **Rabbit**", "Rabbit"),
        ("Final Answer: _Rabbit_", "Rabbit"),
        ("__Final Answer:__ Rabbit", "Rabbit"),
        ("Final Answer: `Rabbit`", "Rabbit"),
        ("Final Answer: *Rabbit", "*Rabbit"),
        ("Final Answer: **Rabbit** and **Fox**", "Rabbit and Fox"),
        ("Final Answer: [**_Rabbit_**, `Fox`]", "[Rabbit, Fox]"),
        ("Final Answer: Rabbit* or Fox*", "Rabbit* or Fox*"),
        ("Final Answer: **Rabbit****", "Rabbit**"),
        ("Final Answer: a_b_c", "a_b_c"),
        ("The answer is 42", None),
        ("", None),
    ],
)
def test_the_reasoned_answer_follows_the_last_mark(response: str, answer: str | None) -> None:
    assert chartqa.final_answer(response, TASK.sample(ROW)) == answer


def test_the_short_answer_is_the_whole_reply() -> None:
    read = TASK.extract(SHORT)
    assert read(" Light blue\n", TASK.sample(ROW)) == "Light blue"
    assert read("Final Answer: 42", TASK.sample(ROW)) == "Final Answer: 42"
    assert read("\n", TASK.sample(ROW)) is None


def test_years_are_numbers_but_in_one_variant() -> None:
    assert right("1990", "2010")
    assert not right("1990", "2010", variant="exact years")
    assert right("2010.0", "2010", variant="exact years")
    assert right("2150", "2200", variant="exact years")
    assert right("98", "100", variant="exact years")
    assert not right("90", "100", variant="exact years")


@pytest.mark.parametrize("wanted", ["42", "0", "0.17", "17%", "2010", "-3", "Yes", "[Yes, No]", "1e-9"])
@pytest.mark.parametrize("variant", ["", "exact years"])
@pytest.mark.parametrize("protocol", TASK.protocols, ids=lambda protocol: protocol.name)
def test_gold_is_right_and_what_is_wrong_wrong(wanted: str, variant: str, protocol: Protocol) -> None:
    sample: Sample = TASK.sample({**ROW, "answer": wanted})
    assert right(TASK.gold(sample, protocol), wanted, protocol, variant)
    for response in TASK.wrong_responses(sample, protocol):
        assert not right(response, wanted, protocol, variant)


@pytest.mark.parametrize(
    "response", ["final answer " * 80_000, "final answer" + " " * 1_000_000, "final answer: " * 80_000]
)
def test_a_million_characters_take_no_time(response: str) -> None:
    start = time.process_time()
    assert chartqa.final_answer(response, TASK.sample(ROW)) is None
    assert time.process_time() - start < 60
