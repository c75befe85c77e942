"""DocVQA and InfographicVQA: records, the prompt to the letter, credit, the split without references."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from evalkit.tasks import docvqa

from evalkit.api import Hub, Image, Message, Sample, Submitted, Task, UsageError, Verdict
from evalkit.benchmark.task import build
from evalkit.metrics import MeanCredit

PAGE = b"\x89PNG a page"
ROW: dict[str, Any] = {
    "questionId": "417",
    "question": "Who signed the form?",
    "answers": ["Ada Birch", "A. Birch"],
    "docId": 93,
    "image_url": "https://pictures.example/93.png",
    "image": {"bytes": PAGE, "path": "93.png"},
}
TASKS = [build(docvqa.docvqa), build(docvqa.infographicvqa)]


def judged(task: Task, response: str, sample: Sample, variant: str = "") -> Verdict | None:
    answer = task.extract(task.protocols[0])(response, sample)
    judge = next(v.scorer for v in task.variants if v.name == variant) if variant else task.scorer
    assert judge is not None
    verdict = judge(answer, sample) if answer is not None else None
    assert not inspect.isawaitable(verdict)
    return verdict


@pytest.mark.parametrize(
    ("task", "cluster"), [(TASKS[0], "93"), (TASKS[1], ROW["image_url"])], ids=["docvqa", "infographicvqa"]
)
def test_a_record(task: Task, cluster: str) -> None:
    sample = task.sample(ROW)
    assert (sample.id, sample.input, sample.target) == ("417", ROW["question"], ("Ada Birch", "A. Birch"))
    assert (sample.cluster, sample.media) == (cluster, (Image(PAGE),))


@pytest.mark.parametrize("answers", [None, []])
def test_a_record_without_references_is_refused(answers: object) -> None:
    for task in TASKS:
        with pytest.raises(ValueError, match="question 417 has no answers"):
            task.sample({**ROW, "answers": answers})


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_prompt_is_the_printed_one(task: Task) -> None:
    assert task.prompt(task.sample(ROW), task.protocols[0]) == (
        Message(
            "user",
            (
                "Give a short and terse answer to the following question. Do not paraphrase or reformat the "
                "text you see in the image. Do not include any full stops. Just give the answer without "
                "additional explanation.\n",
                Image(PAGE),
                "\nQuestion: Who signed the form? Answer:",
            ),
        ),
    )
    assert task.media == ("image",)


def test_the_reply_is_trimmed_and_else_left_alone() -> None:
    sample = TASKS[0].sample(ROW)
    read = TASKS[0].extract(TASKS[0].protocols[0])
    assert read(" Ada Birch.\n", sample) == "Ada Birch."
    assert read("Ada  Birch", sample) == "Ada  Birch"
    assert read(" \n", sample) is None


def test_an_answer_earns_its_similarity() -> None:
    sample = TASKS[0].sample(ROW)
    assert judged(TASKS[0], "ada birch", sample) == Verdict(True, "similarity 1.000", 1.0)
    assert judged(TASKS[0], "A. Birch.", sample) == Verdict(True, "similarity 0.889", 1 - 1 / 9)
    assert judged(TASKS[0], "Bo Elm", sample) == Verdict(False, "similarity 0.000", 0.0)


def test_one_half_counts_in_the_headline_and_not_in_the_paper_s_view() -> None:
    sample = TASKS[0].sample({**ROW, "answers": ["1974"]})
    assert judged(TASKS[0], "1965", sample) == Verdict(True, "similarity 0.500", 0.5)
    assert judged(TASKS[0], "1965", sample, "paper") == Verdict(False, "similarity 0.000", 0.0)
    assert TASKS[0].metrics == (MeanCredit("ANLS"), MeanCredit("ANLS", variant="paper"))


@pytest.mark.parametrize(
    "answers", [["Ada Birch"], ["0123456789", "A"], ["ß", "STRASSE"], ["5"], ["ΐ ﬁ 0"], ["a      b"]]
)
@pytest.mark.parametrize("variant", ["", "paper"])
def test_gold_earns_everything_and_what_is_wrong_nothing(answers: list[str], variant: str) -> None:
    for task in TASKS:
        sample, protocol = task.sample({**ROW, "answers": answers}), task.protocols[0]
        right = judged(task, task.gold(sample, protocol), sample, variant)
        assert right is not None
        assert right.credit == 1
        *_, wrong = (judged(task, text, sample, variant) for text in task.wrong_responses(sample, protocol))
        assert wrong is not None
        assert wrong.credit == 0


@pytest.mark.parametrize(
    ("factory", "config"), [(docvqa.docvqa, "DocVQA"), (docvqa.infographicvqa, "InfographicVQA")]
)
def test_the_test_split_has_no_references(factory: Any, config: str) -> None:
    task = build(factory, {"split": "test"})
    for answers in (None, [], ["leaked"]):
        sample = task.sample({**ROW, "answers": answers})
        assert sample.target == ()
        assert task.gold(sample, task.protocols[0]) == ""
        assert len(task.wrong_responses(sample, task.protocols[0])) == 2
    assert isinstance(task.data, Hub)
    assert (task.data.name, task.data.config, task.data.split) == ("lmms-lab/DocVQA", config, "test")
    default = build(factory)
    assert isinstance(default.data, Hub)
    assert default.data.split == "validation"
    with pytest.raises(UsageError, match=r"unknown split 'tests': did you mean test\?"):
        build(factory, {"split": "tests"})


def test_the_submission_has_every_question() -> None:
    answers = [Submitted("417", {}, "Ada Birch"), Submitted("5", {}, None)]
    submit = TASKS[0].submission
    assert submit is not None
    assert submit is TASKS[1].submission
    assert submit(answers) == [{"questionId": 417, "answer": "Ada Birch"}, {"questionId": 5, "answer": ""}]
