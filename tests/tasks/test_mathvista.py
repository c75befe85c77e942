"""MathVista: its prompts to the letter, its extractor, its figures on six made questions."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evalkit.tasks.mathvista import (
    ask_extractor,
    mathvista,
    read_extractor,
    score,
    submission,
    to_sample,
)
from PIL import Image as Picture

from evalkit.api import DataOptions, Image, Sample, Submitted, UsageError
from evalkit.benchmark.task import build
from evalkit.engine.check import check
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel
from evalkit.report.grids import build_grids
from evalkit.report.paper import load_tables
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from evalkit.session import run

FILE = str(Path(__file__).parents[2] / "tasks" / "mathvista.py")
HINTS = {
    "text": "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.",
    "integer": "Please answer the question requiring an integer answer and provide the final value, "
    "e.g., 1, 2, 3, at the end.",
    "1": "Please answer the question requiring a floating-point number with one decimal place and provide "
    "the final value, e.g., 1.2, 1.3, 1.4, at the end.",
    "2": "Please answer the question requiring a floating-point number with two decimal places and provide "
    "the final value, e.g., 1.23, 1.34, 1.45, at the end.",
    "list": "Please answer the question requiring a Python list as an answer and provide the final list, "
    "e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end.",
}
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("pid", "question", "unit", "answer", "question_type", "answer_type")]
    + [
        ("choices", pa.list_(pa.string())),
        ("precision", pa.float64()),
        (
            "metadata",
            pa.struct({"task": pa.string(), "category": pa.string(), "skills": pa.list_(pa.string())}),
        ),
        ("decoded_image", pa.struct({"bytes": pa.binary(), "path": pa.string()})),
    ]
)
CARD = "configs:\n- config_name: default\n  data_files:\n  - split: {0}\n    path: data/{0}-*\n"


def png(shade: int) -> bytes:
    file = BytesIO()
    Picture.new("L", (2, 2), shade).save(file, format="PNG")
    return file.getvalue()


def row(pid: str, kind: str, answer: str, choices: list[str] | None = None, **other: Any) -> dict[str, Any]:
    about = {"task": "math word problem", "category": "general-vqa", "skills": ["logical reasoning"]}
    return {
        "pid": pid,
        "question": "How far is the jetty?",
        "choices": choices,
        "unit": None,
        "precision": None,
        "answer": answer,
        "question_type": "multi_choice" if choices else "free_form",
        "answer_type": kind,
        "metadata": about,
        "decoded_image": {"bytes": png(int(pid)), "path": f"{pid}.png"},
    } | other


ROWS = [
    row("1", "text", "2 km", ["1 km", "2 km", "2 km", "5 km"]),
    row("2", "text", "(a)", ["(c)", "(a)", "(b) "]),
    row("3", "integer", "-3"),
    row("4", "float", "1.5", precision=1.0, unit="km"),
    row("5", "float", "0.13", precision=2.0),
    row("6", "list", "[1, 2]"),
]
TEXT, MARKS, COUNT, LENGTH, PRICE, PAIR = (to_sample(one) for one in ROWS)


def folder(where: Path, rows: list[dict[str, Any]], split: str = "testmini") -> DataOptions:
    data = where / "AI4Math" / "MathVista" / "data"
    data.mkdir(parents=True)
    (data.parent / "README.md").write_text(f"---\n{CARD.format(split)}---\n", "utf-8")
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), data / f"{split}-00000-of-00001.parquet")
    return DataOptions(folder=where)


def asked(one: Sample) -> str:
    task = build(mathvista)
    messages = task.prompt(one, task.protocols[0])
    assert isinstance(messages, tuple)
    ((picture, text),) = (message.parts for message in messages)
    assert picture == one.media[0]
    assert isinstance(text, str)
    return text


def test_the_authors_query_after_the_picture() -> None:
    """lupantech/MathVista, data/query.json."""
    assert asked(TEXT) == (
        f"Hint: {HINTS['text']}\nQuestion: How far is the jetty?\n"
        "Choices:\n(A) 1 km\n(B) 2 km\n(C) 2 km\n(D) 5 km"
    )
    assert asked(MARKS).endswith("\nChoices:\n(A) (c)\n(B) (a)\n(C) (b)")  # a query is stripped
    assert asked(COUNT) == f"Hint: {HINTS['integer']}\nQuestion: How far is the jetty?"
    assert asked(LENGTH) == f"Hint: {HINTS['1']}\nQuestion: How far is the jetty? (Unit: km)"
    assert asked(PRICE) == f"Hint: {HINTS['2']}\nQuestion: How far is the jetty?"
    assert asked(PAIR) == f"Hint: {HINTS['list']}\nQuestion: How far is the jetty?"


def test_a_record_becomes_a_sample() -> None:
    assert (TEXT.id, TEXT.target, TEXT.group) == ("1", ("2 km",), "math word problem")
    assert TEXT.tags == ("logical reasoning", "general-vqa")
    assert TEXT.cluster == Image.of(png(1)).key != COUNT.cluster
    assert to_sample(row("1", "integer", "3")).cluster == TEXT.cluster
    assert to_sample(row("7", "integer", "")).target == ()


@pytest.mark.parametrize(
    "wrong",
    [
        row("1", "colour", "red"),
        row("1", "float", "1.234", precision=3.0),
        row("1", "float", "1.2"),
        row("1", "text", "2 km"),
        row("1", "integer", "2", ["1", "2"]),
    ],
    ids=lambda one: f"{one['answer_type']}-{one['precision']}",
)
def test_a_question_that_the_authors_cannot_ask_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="have no hint for question 1 of answer type"):
        to_sample(wrong)


def test_the_extractor_s_prompt_has_the_authors_form() -> None:
    messages = ask_extractor(" It is the second.\n", MARKS)
    assert isinstance(messages, tuple)
    assert [message.role for message in messages] == ["user"]
    blocks = messages[0].text.split("\n\n")
    assert blocks[0].startswith("Please read the following example. Then extract the answer")
    shown = [blocks[i : i + 3] for i in range(1, 16, 3)]
    assert [text.split("\n")[0] for text, _, _ in shown] == [
        f"Hint: {HINTS[kind]}" for kind in ("integer", "1", "2", "list", "text")
    ]
    assert all(said.startswith("Model response: ") for _, said, _ in shown)
    assert [answer for *_, answer in shown] == [
        f"Extracted answer: {answer}" for answer in ("3", "0.2", "1.50", "[2, 5]", "C")
    ]
    assert blocks[16:] == [MARKS.input, "It is the second.", "Extracted answer: "]
    assert read_extractor(" B\n", MARKS) == "B"
    assert read_extractor(" \n", MARKS) is None


def test_what_is_right() -> None:
    for one, right, wrong in [
        (TEXT, ("2 km", "B", "(c) 2 km", "2"), ("A", "5", "")),
        (MARKS, ("B", "(b)"), ("(a)", "A")),
        (COUNT, ("-3", "-3.9"), ("3", "three", "inf")),
        (LENGTH, ("1.5", "1.50", "1.47"), ("1.45", "1.55", "1.5 km", "nan")),
        (PRICE, ("0.13", ".134"), ("0.135", "13%")),
        (PAIR, ("[1, 2]",), ("[1,2]", "1, 2")),
    ]:
        assert [score(answer, one).correct for answer in right] == [True] * len(right)
        assert [score(answer, one).correct for answer in wrong] == [False] * len(wrong)
    assert score("three", COUNT).reason == "'three' is no integer"
    assert score("A", TEXT).reason == "1 km ≠ 2 km"


def test_references_score_all_and_other_answers_nothing(tmp_path: Path) -> None:
    (result,) = check(FILE, folder(tmp_path, ROWS))
    assert (result.samples, result.gold, result.wrong, result.problems) == (6, 100.0, 0.0, ())


@pytest.mark.slow
def test_what_the_rules_leave_is_unparsable_or_the_extractor_s(tmp_path: Path) -> None:
    data = folder(tmp_path / "hub", ROWS)
    model = FakeModel(lambda request, draw: "-3" if "integer" in said(request) else "The second.")
    extractor = FakeModel(lambda request, draw: "B" if said(request).count("(B)") == 2 else "none")
    alone, read = (
        run(model, FILE, output=tmp_path / f"{i}.db", data=data.folder, judge=judge).cells[0]
        for i, judge in enumerate((None, extractor))
    )
    assert alone.value == pytest.approx(100 / 6)
    assert read.value == pytest.approx(300 / 6)
    assert extractor.asked == 5


@pytest.mark.slow
@pytest.mark.parametrize("table", ["table-7", "table-17"])
def test_without_the_extractor_it_is_another_protocol_in_every_column(tmp_path: Path, table: str) -> None:
    """All printed figures, also those of other makers' models, are by the authors' extractor."""
    data = folder(tmp_path / "hub", ROWS)
    extractor = FakeModel(lambda request, draw: "B", "fake/reader")
    for reader, marked in ((None, True), (extractor, False)):
        path = tmp_path / f"{marked}.db"
        run(FakeModel(lambda request, draw: "B"), FILE, output=path, data=data.folder, judge=reader)
        with Store.open(path) as store:
            found = build_grids([store], build_table([store]), load_tables(f"gemini-1.0/{table}"))[0]
        (row,) = [row for row in found.rows if row.task == "mathvista"]
        printed = [cell for cell in row.cells if cell.kind == "printed"]
        assert printed
        for cell in printed:
            notes = " ".join(found.notes[mark - 1] for mark in cell.marks)
            assert ("answers are read by rules alone (no --judge) here" in notes) == marked


def test_strict_wants_the_extractor(tmp_path: Path) -> None:
    data = folder(tmp_path / "hub", ROWS)
    with pytest.raises(UsageError, match=r"a model reads what the rules cannot read: add --judge MODEL"):
        run(
            FakeModel(lambda request, draw: "B"),
            FILE,
            output=tmp_path / "r.db",
            data=data.folder,
            strict=True,
        )


def said(request: Request) -> str:
    assert isinstance(request.prompt, tuple)
    return request.prompt[-1].text


def test_the_test_split_is_handed_in(tmp_path: Path) -> None:
    task = build(mathvista, {"split": "test"})
    records = task.data.open(folder(tmp_path, [row("9", "float", "", precision=2.0)], "test"))
    (one,) = (task.sample(record) for record in records)
    assert one.target == ()
    document = submission([Submitted(one.id, one.meta, "0.5"), Submitted("10", one.meta, None)])
    assert isinstance(document, dict)
    assert document["10"] == {
        "pid": "10",
        "question_type": "free_form",
        "answer_type": "float",
        "precision": 2,
        "choices": None,
        "metadata": ROWS[0]["metadata"],
        "extraction": "",
    }
    assert document["9"] == {**document["10"], "pid": "9", "extraction": "0.5"}


def test_options() -> None:
    quoted = 'The answer is "B".'
    for quick, answer in (("yes", "B"), ("no", None)):
        task = build(mathvista, {"quick": quick})
        assert task.extract(task.protocols[0])(quoted, TEXT) == answer
    with pytest.raises(UsageError, match=r"unknown split 'testmin'.*did you mean testmini"):
        build(mathvista, {"split": "testmin"})
    with pytest.raises(UsageError, match="unknown quick 'maybe'"):
        build(mathvista, {"quick": "maybe"})
