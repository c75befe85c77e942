"""VQAv2: records, the prompt to the letter, credit, the splits without references."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from evalkit.tasks import vqav2

from evalkit.api import Hub, Image, MeanCredit, Message, Sample, Submitted, Task, UsageError, Verdict
from evalkit.benchmark.task import build

PHOTO = b"\xff\xd8 a photograph"


def row(*answers: str, most_common: str = "kite", **others: object) -> dict[str, Any]:
    given = [{"answer": a, "answer_confidence": "yes", "answer_id": i + 1} for i, a in enumerate(answers)]
    return {
        "question_id": 262148007,
        "image_id": 262148,
        "question": "What flies over the barn?",
        "multiple_choice_answer": most_common,
        "answers": given,
        "image": {"bytes": PHOTO, "path": "262148.jpg"},
    } | others


ROW = row(*["kite"] * 6, *["a red kite"] * 3, "bird")
UNANIMOUS = row(*["yes"] * 10, most_common="yes")
SCORED = build(vqav2.vqav2)
HIDDEN = [build(vqav2.vqav2, {"split": split}) for split in ("testdev", "test-dev", "test")]


def judged(response: str, sample: Sample, variant: str = "") -> Verdict | None:
    answer = SCORED.extract(SCORED.protocols[0])(response, sample)
    judge = next(v.scorer for v in SCORED.variants if v.name == variant) if variant else SCORED.scorer
    assert judge is not None
    verdict = judge(answer, sample) if answer is not None else None
    assert not inspect.isawaitable(verdict)
    return verdict


def test_a_record() -> None:
    sample = SCORED.sample(ROW)
    assert (sample.id, sample.input, sample.cluster) == ("262148007", ROW["question"], "262148")
    assert sample.target == ("kite",) * 6 + ("a red kite",) * 3 + ("bird",)
    assert (sample.group, sample.media) == ("other", (Image(PHOTO),))


@pytest.mark.parametrize(
    ("most_common", "group"),
    [
        ("yes", "yes/no"),
        ("no", "yes/no"),
        ("yes and no", "other"),
        ("0", "number"),
        ("12", "number"),
        ("2.5", "number"),
        ("1,000", "number"),
        ("", "other"),
        ("10 feet", "other"),
        ("12:05", "other"),
        ("٣", "other"),
        ("many", "other"),
    ],
)
def test_the_answer_type_is_derived_where_no_column_has_it(most_common: str, group: str) -> None:
    answers = [most_common] * 10
    assert SCORED.sample(row(*answers, most_common=most_common)).group == group
    assert SCORED.sample(row(*answers, most_common=most_common, answer_type=None)).group == group
    assert SCORED.sample(row(*answers, most_common=most_common, answer_type="number")).group == "number"


@pytest.mark.parametrize("answers", [None, []])
def test_a_scored_record_without_answers_is_refused(answers: object) -> None:
    with pytest.raises(ValueError, match="question 262148007 has no answers"):
        SCORED.sample({**ROW, "answers": answers})


def test_the_prompt_is_the_printed_one() -> None:
    assert SCORED.prompt(SCORED.sample(ROW), SCORED.protocols[0]) == (
        Message(
            "user",
            (
                "Answer the following question about the image using only a word or two. Always answer a "
                "binary question with Yes or No.\n",
                Image(PHOTO),
                "\nQuestion: What flies over the barn? Answer:",
            ),
        ),
    )
    assert SCORED.media == ("image",)


def test_the_reply_is_trimmed_and_else_left_alone() -> None:
    read = SCORED.extract(SCORED.protocols[0])
    sample = SCORED.sample(ROW)
    assert read(" The kite.\n", sample) == "The kite."
    assert [read(text, sample) for text in ("", " \n")] == [None, None]


def test_an_answer_earns_its_credit_and_is_right_from_one_half_on() -> None:
    sample = SCORED.sample(row(*["kite"] * 4, *["red kite"] * 3, *["bird"] * 2, "hawk"))
    verdicts = [judged(text, sample) for text in ("Kite.", "a red kite", "bird", "hawk", "plane")]
    assert [v and (v.correct, v.reason) for v in verdicts] == [
        (True, "credit 1"),
        (True, "credit 0.9"),
        (True, "credit 0.6"),
        (False, "credit 0.3"),
        (False, "credit 0"),
    ]
    assert [v and v.credit for v in verdicts] == pytest.approx([1, 0.9, 0.6, 0.3, 0])


def test_unanimous_answers_are_compared_raw_in_the_headline_alone() -> None:
    sample = SCORED.sample(UNANIMOUS)
    assert [judged("Yes", sample, variant) for variant in ("", "normalised")] == [
        Verdict(False, "credit 0", 0.0),
        Verdict(True, "credit 1", 1.0),
    ]
    assert judged("yes", sample) == Verdict(True, "credit 1", 1.0)
    assert SCORED.metrics == (MeanCredit("VQA accuracy"), MeanCredit("VQA accuracy", variant="normalised"))


@pytest.mark.parametrize(
    "record",
    [
        ROW,
        UNANIMOUS,
        row(*["3"] * 5, *["three"] * 5),
        row(*["", "the"] * 3, *["kite"] * 4),
        row(*["x" * 9] * 10),
    ],
    ids=["split", "unanimous", "numbers", "empty", "x"],
)
def test_the_best_answer_earns_all_and_wrong_ones_nothing(record: dict[str, Any]) -> None:
    sample, protocol = SCORED.sample(record), SCORED.protocols[0]
    for variant in ("", "normalised"):
        best = judged(SCORED.gold(sample, protocol), sample, variant)
        assert best is not None
        assert best.credit == 1
        wrong = [judged(text, sample, variant) for text in SCORED.wrong_responses(sample, protocol)]
        assert [verdict and verdict.credit for verdict in wrong] == [0, 0, None]


def test_where_people_agree_little_the_best_answer_is_the_one_that_earns_most() -> None:
    sample = SCORED.sample(row("hawk", *["red kite"] * 2, "kite", "The kite", "a kite", *"abcd"))
    assert SCORED.gold(sample, SCORED.protocols[0]) == "kite"


@pytest.mark.parametrize("task", HIDDEN, ids=["testdev", "test-dev", "test"])
def test_a_split_without_references_needs_no_column_for_them(task: Task) -> None:
    bare = {key: ROW[key] for key in ("question_id", "image_id", "question", "image")}
    filled = {**ROW, "answers": None, "multiple_choice_answer": None, "answer_type": None}
    for record in (bare, filled, ROW):
        sample = task.sample(record)
        assert (sample.id, sample.target, sample.group) == ("262148007", (), "")
        assert task.prompt(sample, task.protocols[0]) == SCORED.prompt(sample, SCORED.protocols[0])
    assert isinstance(task.data, Hub)
    assert set(task.data.columns) == bare.keys()


def test_the_splits() -> None:
    data = [task.data for task in (SCORED, *HIDDEN)]
    assert [d.split for d in data if isinstance(d, Hub)] == ["validation", "testdev", "testdev", "test"]
    with pytest.raises(UsageError, match="unknown split 'tst': did you mean test"):
        build(vqav2.vqav2, {"split": "tst"})
    assert "not the report's hidden test-dev" in SCORED.summary


def test_the_submission_has_every_question_and_a_text_for_each() -> None:
    assert SCORED.submission is not None
    answers = (Submitted("262148007", {}, "Yes"), Submitted("9", {}, None))
    assert SCORED.submission(iter(answers)) == [
        {"question_id": 262148007, "answer": "Yes"},
        {"question_id": 9, "answer": ""},
    ]
