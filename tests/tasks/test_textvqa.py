"""TextVQA: records, the prompt to the letter, credit, the split without references."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from evalkit.tasks import textvqa

from evalkit.api import Hub, Image, MeanCredit, Message, Sample, Submitted, UsageError, Verdict
from evalkit.benchmark.task import build

PHOTO = b"\xff\xd8 a shop front"
ROW: dict[str, Any] = {
    "image_id": "0a1b2c3d4e5f6071",
    "question_id": 35001,
    "question": "what does the awning say?",
    "answers": [*["birch & sons"] * 5, *["Birch and sons"] * 3, "birch", "bakery"],
    "image": {"bytes": PHOTO, "path": None},
    "ocr_tokens": ["BIRCH", "&", "SONS"],
}
SCORED = build(textvqa.textvqa)
HIDDEN = build(textvqa.textvqa, {"split": "test"})


def judged(response: str, sample: Sample) -> Verdict | None:
    answer = SCORED.extract(SCORED.protocols[0])(response, sample)
    verdict = SCORED.scorer(answer, sample) if answer is not None else None
    assert not inspect.isawaitable(verdict)
    return verdict


def test_a_record() -> None:
    sample = SCORED.sample(ROW)
    assert (sample.id, sample.input) == ("35001", "what does the awning say?")
    assert sample.target == tuple(ROW["answers"])
    assert (sample.cluster, sample.media) == ("0a1b2c3d4e5f6071", (Image(PHOTO),))


@pytest.mark.parametrize("answers", [None, []])
def test_a_scored_record_without_answers_is_refused(answers: object) -> None:
    with pytest.raises(ValueError, match="question 35001 has no answers"):
        SCORED.sample({**ROW, "answers": answers})


def test_the_prompt_is_the_printed_one_without_any_ocr_token() -> None:
    assert SCORED.prompt(SCORED.sample(ROW), SCORED.protocols[0]) == (
        Message(
            "user",
            (
                "Answer the following question about the image using as few words as possible. Follow these "
                "additional instructions:\n"
                "* Always answer a binary question with Yes or No.\n"
                "* When asked what time it is, reply with the time seen in the image.\n"
                "* Do not put any full stops at the end of the answer.\n"
                "* Do not put quotation marks around the answer.\n"
                "* An answer with one or two words is favorable.\n"
                "* Do not apply common sense knowledge. The answer can be found in the image.\n",
                Image(PHOTO),
                "\nQuestion: what does the awning say? Answer:",
            ),
        ),
    )
    assert SCORED.media == ("image",)
    assert "BIRCH" not in repr(SCORED.sample(ROW))


def test_the_reply_is_trimmed_and_else_left_alone() -> None:
    read = SCORED.extract(SCORED.protocols[0])
    sample = SCORED.sample(ROW)
    assert read(" Birch & Sons.\n", sample) == "Birch & Sons."
    assert [read(text, sample) for text in ("", " \n")] == [None, None]


def test_an_answer_earns_its_credit_and_is_right_from_one_half_on() -> None:
    sample = SCORED.sample(ROW)
    verdicts = [judged(text, sample) for text in ("Birch & Sons", "birch, and sons?", "birch", "inn")]
    assert [v and v.correct for v in verdicts] == [True, True, False, False]
    assert [v and v.credit for v in verdicts] == pytest.approx([1, 0.9, 0.3, 0])
    unanimous = SCORED.sample({**ROW, "answers": ["yes"] * 10})
    assert judged("Yes", unanimous) == Verdict(True, "credit 1", 1.0)
    assert SCORED.metrics == (MeanCredit("VQA accuracy"),)


@pytest.mark.parametrize(
    "answers",
    [ROW["answers"], ["no"] * 10, ["29.00"] * 4 + ["29"] * 6, ["", "-"] * 3 + ["exit"] * 4, ["xx"] * 10],
    ids=["split", "unanimous", "numbers", "empty", "x"],
)
def test_the_best_answer_earns_all_and_wrong_ones_nothing(answers: list[str]) -> None:
    sample, protocol = SCORED.sample({**ROW, "answers": answers}), SCORED.protocols[0]
    best = judged(SCORED.gold(sample, protocol), sample)
    assert best is not None
    assert best.credit == 1
    wrong = [judged(text, sample) for text in SCORED.wrong_responses(sample, protocol)]
    assert [verdict and verdict.credit for verdict in wrong] == [0, 0, None]


def test_the_split_without_references_needs_no_column_for_them() -> None:
    bare = {key: ROW[key] for key in ("question_id", "image_id", "question", "image")}
    for record in (bare, {**ROW, "answers": None}, ROW):
        sample = HIDDEN.sample(record)
        assert (sample.id, sample.target) == ("35001", ())
        assert HIDDEN.prompt(sample, HIDDEN.protocols[0]) == SCORED.prompt(sample, SCORED.protocols[0])
    assert isinstance(HIDDEN.data, Hub)
    assert (HIDDEN.data.split, set(HIDDEN.data.columns)) == ("test", set(bare))
    with pytest.raises(UsageError, match="unknown split 'testdev'"):
        build(textvqa.textvqa, {"split": "testdev"})


def test_the_submission_has_every_question_and_a_text_for_each() -> None:
    assert HIDDEN.submission is not None
    answers = (Submitted("35001", {}, "birch"), Submitted("9", {}, None))
    assert HIDDEN.submission(iter(answers)) == [
        {"question_id": 35001, "answer": "birch"},
        {"question_id": 9, "answer": ""},
    ]
