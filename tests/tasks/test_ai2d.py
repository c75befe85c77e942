"""AI2D: records, the prompt to the letter, which replies name which choice, both renderings of the labels."""

from __future__ import annotations

import inspect
import time
from typing import Any

import pytest
from evalkit.tasks import ai2d

from evalkit.api import Hub, Image, Message, Sample, UsageError
from evalkit.benchmark.task import build

DIAGRAM = b"\x89PNG a diagram"
ROW: dict[str, Any] = {
    "question": "Which part takes in water?",
    "options": ["leaf", "root", "stem", "Root hair"],
    "answer": "1",
    "image": {"bytes": DIAGRAM, "path": None},
}
TASK = build(ai2d.ai2d)
PARTS = TASK.sample(ROW)


def labelled(*options: str) -> Sample:
    return TASK.sample({**ROW, "options": list(options)})


def test_a_record() -> None:
    assert PARTS.target == ("root",)
    assert PARTS.choices == ("leaf", "root", "stem", "Root hair")
    assert (PARTS.cluster, PARTS.media) == (Image(DIAGRAM).key, (Image(DIAGRAM),))
    assert PARTS.id == TASK.sample({**ROW, "answer": "0"}).id
    assert PARTS.id != labelled("leaf", "root", "stem", "bark").id


def test_the_prompt_is_the_printed_one() -> None:
    asked = "\nQuestion: Which part takes in water? The Choices are: leaf; root; stem; Root hair Answer:"
    expected = Message("user", ("Answer exactly as one of the choices.\n", Image(DIAGRAM), asked))
    assert TASK.prompt(PARTS, TASK.protocols[0]) == (expected,)


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("root", "root"),
        (" Root.\n", "root"),
        ("ROOT HAIR", "Root hair"),
        ("root\n hair", "Root hair"),
        ("**root**", "root"),
        ("“root”", "root"),
        ("The answer is root.", "root"),
        ("Answer: stem", "stem"),
        ("**Answer:** stem", "stem"),
        ("the correct answer is: Root hair", "Root hair"),
        ("B", "root"),
        ("(B)", "root"),
        ("b.", "root"),
        ("B. root", "root"),
        ("The answer is (C).", "stem"),
        ("Option D", "Root hair"),
        ("(E)", None),
        ("roots", None),
        ("root or stem", None),
        ("not root", None),
        ("The root takes in water.", None),
        ("A and B", None),
        ("", None),
        (" \n", None),
        ("...", None),
    ],
)
def test_a_reply_names_a_choice_by_its_text_or_its_place(response: str, answer: str | None) -> None:
    assert ai2d.read_choice(response, PARTS) == answer


@pytest.mark.parametrize(
    ("options", "response", "answer"),
    [
        (("C", "A", "D", "B"), "A", "A"),
        (("C", "A", "D", "B"), "a.", "A"),
        (("C", "A", "D", "B"), "(A)", None),
        (("C", "A", "D", "B"), "The answer is B.", "B"),
        (("C", "A", "D", "root"), "(B)", None),
        (("A and B", "C", "D", "all"), "A", None),
        (("A & B", "B & C", "C & D", "A & D"), "B", None),
        (("bird's beak", "root", "stem", "bark"), "(B)", "root"),
        (("a", "A", "b", "B"), "A", "A"),
        (("a", "A", "b", "B"), "b.", "b"),
        (("a", "A", "c", "B"), "b", "B"),
        (("4", "4", "2", "1"), "4", "4"),
        (("4", "4", "2", "1"), "4.", "4"),
        (("x.", "x", "y", "z"), "x", "x"),
        (("x.", "x", "y", "z"), "x.", "x."),
        (("x.", "x", "y", "z"), "X", None),
        ((" leaf ", "root", "stem", "bark"), "leaf", " leaf "),
        (("answer key", "root", "stem", "bark"), "Answer key", "answer key"),
        (("5", "６", "7", "8"), "６", "６"),
    ],
)
def test_choices_that_are_letters_or_look_alike(
    options: tuple[str, ...], response: str, answer: str | None
) -> None:
    assert ai2d.read_choice(response, labelled(*options)) == answer


@pytest.mark.parametrize(
    "options", [ROW["options"], list("CADB"), ["4", "4", "2", "1"], ["a, b", "a; b", "...", "."]]
)
@pytest.mark.parametrize("place", range(4))
def test_gold_is_right_and_what_is_wrong_wrong(options: list[str], place: int) -> None:
    sample = TASK.sample({**ROW, "options": options, "answer": str(place)})

    def right(response: str) -> bool:
        answer = ai2d.read_choice(response, sample)
        verdict = TASK.scorer(answer, sample) if answer is not None else None
        assert not inspect.isawaitable(verdict)
        return verdict is not None and verdict.correct

    assert right(TASK.gold(sample, TASK.protocols[0]))
    first, last, *rest = TASK.wrong_responses(sample, TASK.protocols[0])
    assert {first, last} < {*options}
    assert len(rest) == 3
    assert not any(right(text) for text in (first, last, *rest))


def test_both_renderings_of_the_labels() -> None:
    names = []
    for boxes in ("opaque", "transparent"):
        data = build(ai2d.ai2d, {"boxes": boxes}).data
        assert isinstance(data, Hub)
        names.append(data.name)
    assert names == ["lmms-lab/ai2d", "lmms-lab/ai2d-no-mask"]
    assert TASK.data == build(ai2d.ai2d, {"boxes": "opaque"}).data
    with pytest.raises(UsageError, match=r"unknown boxes 'opake': did you mean opaque\?"):
        build(ai2d.ai2d, {"boxes": "opake"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "response",
    [
        " " * 1_000_000,
        "*" * 1_000_000 + "x",
        "answer " * 150_000,
        "B " * 500_000,
        "the answer is" + " " * 1_000_000,
    ],
)
def test_a_million_characters_take_no_time(response: str) -> None:
    start = time.process_time()
    ai2d.read_choice(response, PARTS)
    assert time.process_time() - start < 60


def test_an_article_in_a_choice_does_not_hide_a_letter() -> None:
    fish = Sample("f", "Which?", ("a shark",), choices=("a small fish", "a shark", "A crab", "algae"))
    assert [ai2d.read_choice(reply, fish) for reply in ("B", "(b)", "B. a shark")] == ["a shark"] * 3
    fish = Sample("f", "Which?", ("A Fish",), choices=("A Frog", "A Fish", "a Venus flytrap", "e.g. a newt"))
    assert [ai2d.read_choice(reply, fish) for reply in ("B", "(b)", "B. A Fish")] == ["A Fish"] * 3
    labels = Sample("l", "Which?", ("B and C",), choices=("A and B", "B and C", "a to b", "D"))
    assert ai2d.read_choice("(B)", labels) is None
