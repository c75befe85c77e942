"""MMMU: its prompt to the letter, pictures in their places, hostile records, its figures and its file."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from evalkit.tasks.mmmu import COLUMNS, LETTER, mmmu, prompt, score, submission, to_sample
from evalkit.tasks.mmmu_fields import DISCIPLINES, SUBJECTS, discipline_of, subject_of

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readers import Reading
from evalkit.benchmark.task import Submitted, Task, build
from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.data.hub import Hub
from evalkit.errors import UsageError
from evalkit.models.base import Response
from evalkit.samples import Answer, Image, Prompt, Sample

TASK = build(mmmu)
PASS, VOTE = TASK.protocols
PICTURES = {f"image_{n}": {"bytes": bytes([n]), "path": None} for n in range(1, 8)}


def record(**changes: Any) -> dict[str, Any]:
    return {
        "id": "validation_Art_Theory_7",
        "question": "Which metal does <image 1> show?",
        "options": "['tin', 'iron', \"gold's leaf\"]",
        "answer": "B",
        "question_type": "multiple-choice",
        **dict.fromkeys(PICTURES),
        "image_1": PICTURES["image_1"],
        **changes,
    }


def open_record(**changes: Any) -> dict[str, Any]:
    asked = {
        "question": "How heavy is <image 1>?",
        "options": "[]",
        "answer": "29.0",
        "question_type": "open",
    }
    return record(**{**asked, **changes})


def shown(sample: Sample) -> list[str | int]:
    """The prompt's parts, with the number of each picture in place of it."""
    sent: Prompt = prompt(sample, PASS)
    assert isinstance(sent, tuple)
    (message,) = sent
    assert message.role == "user"
    assert not isinstance(message.content, str)
    return [part if isinstance(part, str) else part.data[0] for part in message.content]


def test_the_prompt_of_a_choice() -> None:
    assert shown(to_sample(record())) == [
        "Which metal does ",
        1,
        " show?\n(A) tin\n(B) iron\n(C) gold's leaf\n\n"
        "Answer with the option's letter from the given choices directly.",
    ]


def test_the_prompt_of_an_open_question() -> None:
    assert shown(to_sample(open_record())) == [
        "How heavy is ", 1, "?\nAnswer the question using a single word or phrase."
    ]  # fmt: skip


def test_pictures_stand_where_they_are_named() -> None:
    sample = to_sample(
        record(
            question="<image 3><image 1> or <image 3>? {0} <image> <img='a.png'>",
            options="['<image 7>', 'as <image 2>', '<image 7> again']",
            **PICTURES,
        )
    )
    assert [picture.data[0] for picture in sample.media] == [3, 1, 7, 2]
    parts = shown(sample)
    assert parts[:5] == [3, 1, " or ", 3, "? {0} <image> <img='a.png'>\n(A) "]
    assert parts[5:9] == [7, "\n(B) as ", 2, "\n(C) "]
    assert parts[9] == 7
    assert str(parts[10]).startswith(" again\n\nAnswer with")
    assert sample.cluster == Image(bytes([3])).key


def test_pictures_that_no_mark_names_are_not_shown() -> None:
    assert [part for part in shown(to_sample(record(**PICTURES))) if isinstance(part, int)] == [1]


def test_without_marks_the_first_picture_stands_before_the_text() -> None:
    parts = shown(to_sample(record(question="Which metal?", **PICTURES)))
    assert parts[0] == 1
    assert str(parts[1]).startswith("\nWhich metal?\n(A) tin\n")
    assert len(parts) == 2
    bare = to_sample(record(question="Which metal?", image_1=None))
    assert bare.media == ()
    assert len(shown(bare)) == 1


@pytest.mark.parametrize("mark", ["2", "7", "8", "0", "01", "999"])
def test_a_mark_without_a_picture_is_an_empty_one(mark: str) -> None:
    """Which the run reports as failed, for this question alone."""
    sample = to_sample(record(options=f"['tin', '<image {mark}>']"))
    assert sample.media[-1].data == b""
    sent = prompt(sample, PASS)
    assert isinstance(sent, tuple)
    assert sent[0].content[-2:] == (sample.media[-1], f"\n\n{LETTER}")


@pytest.mark.parametrize(
    "options",
    [
        "__import__('os').abort()", "[__import__('os').abort()]", "('tin', 'iron')", "{'tin'}", "'tin'", "",
        "['tin', 'iron'", "[]", f"{['tin'] * 27}", f"['{'x' * 20_000}']", "[" * 9_000 + "]" * 9_000,
        "[" + "-" * 15_000 + "1]", "[" + "1+" * 9_000 + "1]", "[a" + ".b" * 9_000 + "]", "['\0']",
    ],
)  # fmt: skip
def test_options_that_are_no_list_are_refused_and_nothing_is_run(options: str) -> None:
    with pytest.raises(ValueError, match="validation_Art_Theory_7: options must be a list of 1 to 26"):
        to_sample(record(options=options))


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("29.0", ("29.0",)),
        ("['tin', 'Sn']", ("tin", "Sn")),
        ("[1, 2]", ("[1, 2]",)),
        ("[tin]", ("[tin]",)),
        ("[]", ("[]",)),
        ("[0, 1)", ("[0, 1)",)),
        ("?", ()),
        ("", ()),
        (None, ()),
    ],
)
def test_the_references(answer: str | None, target: tuple[str, ...]) -> None:
    assert to_sample(open_record(answer=answer)).target == target


def test_the_sample() -> None:
    sample = to_sample(record())
    assert (sample.id, sample.group, sample.tags) == (
        "validation_Art_Theory_7", "Art_Theory", ("Art and Design",)
    )  # fmt: skip
    assert sample.choices == ("tin", "iron", "gold's leaf")
    assert to_sample(record(options="[1, 2.50, None]")).choices == ("1", "2.5", "None")
    assert to_sample(open_record(options="['tin', 'iron']")).choices == ()
    with pytest.raises(ValueError, match="'validation_Alchemy_1' does not contain a subject"):
        to_sample(record(id="validation_Alchemy_1"))


def test_thirty_subjects_of_six_disciplines() -> None:
    assert len(SUBJECTS) == len(set(SUBJECTS)) == 30
    assert [len(subjects) for subjects in DISCIPLINES.values()] == [4, 5, 5, 5, 4, 7]
    assert Counter(map(discipline_of, SUBJECTS))["Tech and Engineering"] == 7
    assert subject_of("test_Architecture_and_Engineering_480") == "Architecture_and_Engineering"
    assert list(SUBJECTS) == sorted(SUBJECTS)


RECORDS = [
    record(),
    record(options=f"{[str(n) for n in range(9)]}", answer="I"),
    record(options="['tin', 'iron']", answer="A"),
    record(options="['tin']", answer="A"),
    *(
        open_record(answer=a)
        for a in ["29.0", "-141", "0.9965", "C", "1/64", "trans-tin", "['$MgS$', 'MgS']"]
    ),
    *(
        open_record(answer=a)
        for a in ["['24/7', '3.429']", "7243000", "embryonic", "['Ohio', 'Utah']", "9.20"]
    ),
]


@pytest.mark.parametrize("raw", RECORDS, ids=lambda raw: raw["answer"])
@pytest.mark.parametrize("protocol", TASK.protocols, ids=lambda protocol: protocol.name)
def test_references_score_and_wrong_responses_do_not(raw: dict[str, Any], protocol: Protocol) -> None:
    sample = to_sample(raw)
    extract = TASK.extract(protocol)
    answer = extract(TASK.gold(sample, protocol), sample)
    assert answer is not None
    assert score(answer, sample).correct
    wrong = TASK.wrong_responses(sample, protocol)
    assert len(wrong) == 4  # as many for every sample
    for text in wrong:
        answer = extract(text, sample)
        assert answer is None or not score(answer, sample).correct


def vote(task: Task, sample: Sample, texts: list[str]) -> Answer:
    protocol = task.protocol("maj1@32").override({"draws": str(len(texts))})
    transcript = Transcript(tuple(Turn(Response(text), draw) for draw, text in enumerate(texts)))
    return protocol.reader(Reading(transcript, sample, protocol, task.extract(protocol)))


def test_draws_vote_on_what_is_parsed() -> None:
    found = vote(TASK, to_sample(record()), ["A", "(B)", "No idea.", "B.", "tin"])
    assert found.finals[0].value == "B"
    found = vote(TASK, to_sample(open_record()), ["30", "29", "It is 29.0.", "", "29 kg"])
    assert found.finals[0].value == "[29.0]"
    assert found.detail["votes"] == {"[29.0]": 2, "[30.0]": 1, '[29.0, "29 kg"]': 1}


def test_the_protocols() -> None:
    assert [(p.name, p.draws, p.temperature, p.shots, p.api) for p in TASK.protocols] == [
        ("pass@1", 1, 0.0, 0, "chat"), ("maj1@32", 32, 0.7, 0, "chat")
    ]  # fmt: skip
    assert [metric.name for metric in TASK.metrics] == ["accuracy", "accuracy (random guess)"]
    assert TASK.media == ("image",)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_splits(split: str) -> None:
    data = mmmu(split=split).data
    assert isinstance(data, Hub)
    assert (data.name, data.config, data.split, data.columns) == ("MMMU/MMMU", SUBJECTS, split, COLUMNS)


def test_another_split_is_refused() -> None:
    with pytest.raises(UsageError, match="validation"):
        mmmu(split="validate")


def test_the_file_for_the_server() -> None:
    answers = {
        "test_Art_1": "B", "test_Art_2": None, "test_Art_3": '[29.0, "29 kg"]', "test_Art_4": "[3.5]"
    }  # fmt: skip
    document = submission(Submitted(name, {}, answer) for name, answer in answers.items())
    assert document == {"test_Art_1": "B", "test_Art_2": "", "test_Art_3": "29 kg", "test_Art_4": "3.50"}
    assert list(document) == list(answers)
