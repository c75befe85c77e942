"""NarrativeQA: where a story begins and ends, how it is cut, and the prompts to the letter."""

from __future__ import annotations

from typing import Any

import pytest
from evalkit.tasks.narrativeqa import (
    GAP,
    SHOTS,
    cut,
    first_questions,
    score,
    story_of,
    to_sample,
    with_story,
    with_summary,
)

from evalkit.api import Message, Sample
from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.engine.plan import make_plan
from evalkit.errors import UsageError
from evalkit.models.fake import FakeModel

SMALL = DataOptions(small_sets=True)


def row(document: str, question: str, *answers: str, text: str = "It rains.", **more: str) -> dict[str, Any]:
    shown = {"id": document, "kind": "movie", "text": text, "start": "", "end": "", **more}
    return {
        "document": {**shown, "summary": {"text": f" Summary of {document}.\n"}},
        "question": {"text": question},
        "answers": [{"text": answer} for answer in answers],
    }


@pytest.mark.parametrize(
    ("text", "start", "end", "story"),
    [
        ("\ufeffHead\nOnce upon a time. Fin .\nfoot", "Once upon a", "time . Fin", "Once upon a time. Fin"),
        ("Head. A\n\n  ship ; sails. THE  END. THE\tEND. foot", "A ship;", "THE END", None),
        ("Head Once (upon", "Once ( upon", "", "Once (upon"),
        ("No such words\n", "Once upon a", "The end .", "No such words"),
        ("the end . Once upon", "Once upon", "the end .", "Once upon"),
        ("Once. *** END OF THIS PROJECT GUTENBERG EBOOK X *** to hear about new eBooks.", "Once .",
         "new eBooks .", "Once."),
        ("Once. ***END OF THE PROJECT Gutenberg EBOOK", "", "", "Once."),
        ("", "a b c", "d e f", ""),
    ],
)  # fmt: skip
def test_a_story_is_between_the_words_that_the_authors_name(
    text: str, start: str, end: str, story: str | None
) -> None:
    found = story_of(text, start, end)
    if story is None:
        assert found == "Head. A\n\n  ship ; sails. THE  END. THE\tEND", (
            "the tokens are not those of the start"
        )
    else:
        assert found == story


def test_the_last_end_counts_and_the_first_start() -> None:
    assert story_of("a b. a b. c d e. c d e. f", "a b", "d e") == "a b. a b. c d e. c d e"


def test_a_text_is_cut_between_words() -> None:
    text = "one two  three four"
    for characters, head, tail in [
        (19, text, text), (18, "one two  three", "two  three four"), (14, "one two  three", "three four"),
        (10, "one two", "three four"), (9, "one two", "four"), (8, "one two", "four"), (7, "one two", "four"),
        (3, "one", "our"), (2, "on", "ur"),
    ]:  # fmt: skip
        assert (cut(text, characters, "start"), cut(text, characters, "end")) == (head, tail), characters
    assert cut(text, None, "start") == text
    assert cut(text, 9, "ends") == f"one{GAP}four"
    assert cut(text, 8, "ends") == f"one{GAP}four"
    assert cut("aaaaaaaaaa", 5, "ends") == f"aaa{GAP}aa"
    assert cut("word\n\n" + 50 * " " + "x", 20, "start") == "word"


def test_a_record_has_its_story_once_per_document_and_an_id_of_its_own() -> None:
    long, short = "one two three four five", "a b c"
    rows = [
        row("x", "Who?", "Ann", "Bo", text=long), row("x", "Why? ", "", " So ", text=long),
        row("y", "Who?", "Ann", "Bo", text=short), row("x", "Who?", "Ann", "Bo", text=long),
    ]  # fmt: skip
    found = list(with_story(rows, 8, "start"))
    assert [one["text"] for one in found] == ["one two", "one two", "a b c", "one two"]
    assert found[0]["text"] is found[1]["text"]
    assert [one["cut"] for one in found] == [True, True, False, True]
    assert len({one["id"] for one in found}) == 4
    assert found[3]["id"] == f"{found[0]['id']}#2"
    samples = [to_sample(one) for one in found]
    assert (samples[1].input, samples[1].target) == ("Why?", ("So",))
    assert [one.tags for one in samples[1:3]] == [("story cut",), ("story whole",)]
    assert (samples[0].cluster, samples[0].group) == ("x", "movie")
    assert samples[0].meta == {"cut": True}
    assert not any(one["cut"] for one in with_story(rows, None, "start"))
    with pytest.raises(ValueError, match="the question 'Q' has no answer"):
        to_sample(next(iter(with_summary([row("x", "Q", " ")]))))


def test_the_examples_are_the_first_questions_of_documents() -> None:
    rows = iter([row(name, f"{n}?", "a") for n, name in enumerate("aabcddefg")])
    found = list(first_questions(rows))
    assert [one["question"] for one in found] == ["0?", "2?", "3?", "4?", "6?"]
    assert len(found) == SHOTS
    assert len(list(rows)) == 2, "no more than these are read"


def test_the_prompts() -> None:
    task, summaries = load_task("narrativeqa"), load_task("narrativeqa-summaries")
    sample = to_sample(next(with_story([row("x", "Who came", "Ann", "Bo")], 100, "start")))
    plain, scrolls, chat = task.protocols
    assert task.prompt(sample, plain) == "It rains.\n\nQuestion: Who came\nAnswer:"
    assert task.prompt(sample, scrolls) == (Message("user", "Who came\n\nIt rains."),)
    asked = task.prompt(sample, chat)
    assert isinstance(asked, tuple)
    assert asked[0].text.endswith("nothing else.\n\nStory:\nIt rains.\n\nQuestion: Who came")
    shot, own = (
        to_sample(one) for one in with_summary([row("s", "Why?", "So"), row("x", "Who came", "Ann")])
    )
    with_shot = Sample(own.id, own.input, own.target, document=own.document, shots=(shot, shot))
    five, chat = summaries.protocols
    passages = "Passage: Summary of s.\nQuestion: Why?\nAnswer: So\n\n"
    last = "Passage: Summary of x.\nQuestion: Who came?\nAnswer:"
    assert summaries.prompt(with_shot, five) == 2 * passages + last
    asked = summaries.prompt(own, chat)
    assert isinstance(asked, tuple)
    assert asked[0].text.endswith("\n\nSummary:\nSummary of x.\n\nQuestion: Who came")


@pytest.mark.slow  # NLTK, which has the stemmer, takes seconds to import
def test_the_better_reference_counts_for_each_figure() -> None:
    sample = Sample("1", "Q", ("the bird bird bird", "hanging signs"))
    verdict = score("Birds hang a sign", sample)
    assert verdict.credit == 0
    assert verdict.values == {"rougeL": pytest.approx(2 / 3), "helm": 0.0}
    exact = score("The hanging signs.", sample)
    assert (exact.correct, exact.reason) == (True, "F1 1.000, ROUGE-L 0.800, exact")
    assert score("bird", sample).values["helm"] == 1.0
    assert score("bird", sample).credit == 0.5


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("characters", "1", "characters=1: must be a whole number, at least 2, or all"),
        ("characters", "1e5", "must be a whole number"),
        ("characters", "-5", "must be a whole number"),
        ("keep", "middle", "part of a story to keep"),
        ("split", "train", "split of NarrativeQA"),
    ],
)
def test_a_setting_that_is_none_is_refused(setting: str, value: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_task("narrativeqa", {setting: value})


def test_the_signature_says_what_is_kept() -> None:
    for settings, said in [
        ({}, "its first 100,000 characters"),
        ({"characters": "2000", "keep": "ends"}, "its first and last 2,000 characters"),
        ({"characters": "all"}, "all of it"),
    ]:
        task = load_task("narrativeqa", settings)
        assert task.notes(task.protocols[0]) == {"story": said}


@pytest.mark.slow
def test_the_small_set_is_asked_and_the_run_file_has_a_story_once() -> None:
    nobody = FakeModel(lambda request, draw: "")
    (cell,) = make_plan(nobody, ["narrativeqa"], data=SMALL, settings={"characters": "900"}).cells
    samples = [sample for _, sample in cell.samples()]
    assert [one.meta["cut"] for one in samples] == [True] * 4 + [True] * 3
    assert all("GUTENBERG" not in one.document for one in samples)
    assert samples[0].document is samples[3].document
