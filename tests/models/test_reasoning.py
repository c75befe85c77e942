"""Reasoning in the text of a response: each family's marks, and texts that only look like them."""

from __future__ import annotations

import pytest

from evalkit.models.reasoning import MARKS, Split, split_reasoning


@pytest.mark.parametrize("marks", MARKS, ids=[marks.opener for marks in MARKS])
def test_what_stands_between_a_familys_marks_is_reasoning(marks: tuple[str, str, bool]) -> None:
    opener, closer, words = marks
    whole = f"{opener}Is it Rome? No.{closer}\n\nParis"
    assert split_reasoning(whole) == Split("Paris", "Is it Rome? No.")
    assert split_reasoning(whole.replace(opener, opener.upper()).replace(closer, closer.upper()))[:1] == (
        "Paris",
    )
    assert split_reasoning(f"\n{opener}Is it Rome?") == Split("", "Is it Rome?", cut=True)
    if not words:
        assert split_reasoning(f"Is it Rome?{closer}Paris") == Split("Paris", "Is it Rome?")
        assert split_reasoning(f"Paris{opener}done{closer}") == Split("Paris", "done")
        assert split_reasoning(f"{opener}one{closer}{opener}two{closer}Paris") == Split("Paris", "one\ntwo")


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("<think></think>\n\n42", Split("42")),  # Qwen3 without thinking
        ("<think>a <think> b</think> c</think>42", Split("42", "a <think> b\nc")),  # nested
        (
            "<think>so I write `</think>` at the end</think>42",
            Split("42", "so I write `</think>` at the end"),
        ),
        ('<think>it is "Paris"</think>"Paris"', Split('"Paris"', 'it is "Paris"')),
        ("42\n<think>or is it", Split("42\n", "or is it", cut=True)),
        ("<think>a</think>    return 1", Split("    return 1", "a")),  # code keeps its indentation
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>42<|END_RESPONSE|>", Split("42", "a")),
        ("<|START_THINKING|>a<|END_THINKING|><|START_TEXT|>42<|END_TEXT|>", Split("42", "a")),
        ("<think>\na\n</think>\n<answer>\n42\n</answer>", Split("42", "a")),  # Hunyuan
        (
            "<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>42<|end_of_solution|>",
            Split("42", "a"),
        ),
        (
            "<|open|>think<|sep|>a<|close|>think<|sep|><|open|>response<|sep|>42<|close|>response<|sep|>",
            Split("42", "a"),
        ),
        (
            "Here are my reasoning steps:\na\n[BEGIN FINAL RESPONSE]\n42\n[END FINAL RESPONSE]",
            Split("42", "a"),
        ),
        ("<|channel>thought\na<channel|>42", Split("42", "a")),
    ],
)
def test_blocks_repeat_nest_and_are_wrapped(text: str, split: Split) -> None:
    assert split_reasoning(text) == split


def test_a_wrapper_that_the_prompt_asks_for_stays() -> None:
    text = "<think>a</think><answer>42</answer>"
    assert split_reasoning(text, lambda mark: mark == "<answer>").answer == "<answer>42</answer>"


@pytest.mark.parametrize(
    ("text", "split"),
    [
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>42<|return|>",
            Split("42", "a"),
        ),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=functions.f "
            "<|constrain|>json<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>42",
            Split("42", "a\n{}"),
        ),
        ("<|channel|>analysis<|message|>a, and", Split("", "a, and", cut=True)),
        ("<|channel|>analysis", Split("", "<|channel|>analysis", cut=True)),
        ("analysisWe need 42.assistantfinal42", Split("42", "We need 42.")),
        ("analysisWe need 42", Split("", "We need 42", cut=True)),
        ("We need 42.assistantfinal42", Split("42", "We need 42.")),
    ],
)
def test_the_channels_of_gpt_oss_with_and_without_their_tokens(text: str, split: Split) -> None:
    assert split_reasoning(text) == split


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n42 ",
        "It is <think",
        "Use `<think>` to open a block and `</think>` to close it.",
        'mark = "<think>"\nprint(mark + "</think>")',
        "The tag <think> opens it.",
        "analysis of variance",
        "analysis",
        "Analysis: We see that it is 42.",
        "Sure. Here is my response: 42",
        "He wrote: [BEGIN FINAL RESPONSE]",
        "<answer>42</answer>",
        "I think it is 42.",
        "see <|channel|> in the template",
    ],
)
def test_a_text_without_reasoning_stays_as_it_is(text: str) -> None:
    assert split_reasoning(text) == Split(text)
