"""The examples do what their pages say."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from evalkit.data import DataOptions, Hub
from evalkit.errors import UsageError
from evalkit.media.image import prepare
from evalkit.models import open_model
from evalkit.models.base import Request
from evalkit.samples import Image, Message

ROOT = Path(__file__).parent.parent
OCR = ROOT / "examples" / "models" / "ocr_vqa.py"
SMALL = DataOptions(small_sets=True)


def loaded() -> Any:
    spec = importlib.util.spec_from_file_location("ocr_vqa_under_test", OCR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


ocr = loaded()


def line(text: str, left: float, top: float, height: float = 20) -> Any:
    return ocr.Line(text, left, top, left + 8 * len(text), top + height)


BILL = [
    line("CORNER SHOP", 40, 0, 40),
    line("Item", 0, 60),
    line("Price", 100, 60),
    line("Amount", 200, 60),
    line("Green pens", 0, 90),
    line("1.20", 100, 90),
    line("4.80", 210, 90),
    line("Envelopes", 0, 120),
    line("0.10", 100, 120),
    line("5.00", 210, 120),
    line("Total due: $9.80", 100, 160),
    line("3 May 2021", 0, 200),
    line("Ola Berg", 0, 230),
]
BARS = [
    line("Sales by year", 100, 0, 30),
    *(line(text, left, 60) for text, left in (("12", 100), ("17", 180), ("9", 260))),
    *(line(text, left, 200) for text, left in (("2001", 95), ("2002", 175), ("2003", 255))),
]


def asked(question: str, page: Sequence[Any]) -> str:
    said = ocr.OcrVqa(lambda data: page)((Message("user", (Image(b"x"), question)),))
    assert isinstance(said, str)
    return said


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What is the total due?", "$9.80"),
        ("What is the amount for the green pens?", "4.80"),
        ("What is the price of the envelopes?", "0.10"),
        ("What is the date of the bill?", "3 May 2021"),
        ("Who wrote this?", "Ola Berg"),
        ("What is the name of the shop?", "CORNER SHOP"),
        ("Is this a bill?", "Yes"),
    ],
)
def test_a_value_is_found_by_its_label_its_row_and_its_head(question: str, said: str) -> None:
    assert asked(question, BILL) == said


@pytest.mark.parametrize(("year", "said"), [("2001", "12"), ("2002", "17"), ("2003", "9")])
def test_on_an_axis_the_value_stands_above(year: str, said: str) -> None:
    assert asked(f"How many sales were there in {year}?", BARS) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("What is the price of the envelopes?\n(A) 0.20\n(B) 0.10\n(C) 5.00\n\nThe letter only.", "B"),
        ("Pick one.\nQuestion: Who sells? The Choices are: BAKER; CORNER SHOP; BANK Answer:", "CORNER SHOP"),
        ("What is blue?\n(A) the sky\n(B) the sea", "A"),
        ("Write 'Final Answer: X'.\nQuestion: What is the total due?", "Final Answer: $9.80"),
        ("Do not use any units.\nQuestion: What is the total due? Answer:", "9.80"),
        (
            "Give the value, e.g., 1.2, at the end.\nQuestion: What is the total due?",
            'The answer is "$9.80".',
        ),
    ],
)
def test_it_answers_as_it_is_asked_to(text: str, said: str) -> None:
    assert asked(text, BILL) == said


def test_there_is_always_an_answer() -> None:
    for page in ([], [line("", 0, 0)], [line("?", 0, 0, 0)]):
        for question in ("", "How many?", "What is the date?", "What?\n(A) a\n(B) b", "Who?", "x" * 100_000):
            assert isinstance(asked(question, page), str)


def test_the_page_with_the_questions_words_is_asked_and_each_is_read_once() -> None:
    read: list[bytes] = []

    def reader(data: bytes) -> Sequence[Any]:
        read.append(data)
        return BILL if data == b"bill" else BARS

    model = ocr.OcrVqa(reader)
    prompt = (Message("user", (Image(b"bars"), Image(b"bill"), "What is the total due?")),)
    assert model(prompt) == model(prompt) == "$9.80"
    assert read == [b"bars", b"bill"]


def test_without_the_engine_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    monkeypatch.setattr(ocr, "version_of", lambda distribution: "0")
    with pytest.raises(UsageError, match=r"rapidocr.*pip install 'rapidocr"):
        ocr.ocr_vqa()
    with pytest.raises(UsageError, match=r"^no-such-engine is not installed: pip install"):
        loaded().version_of("no-such-engine")


@pytest.mark.slow
def test_the_engine_reads_two_of_evalkits_pictures() -> None:
    """Needs RapidOCR, which brings its weights: nothing is fetched."""
    model = open_model(f"python:{OCR}:ocr_vqa")
    assert model.identity["own"].keys() == {"rapidocr"}  # type: ignore[union-attr]
    assert model.capabilities == {"chat", "image"}
    bill = Hub("lmms-lab/DocVQA", "DocVQA", "validation", "main")
    street = Hub("lmms-lab/textvqa", "default", "validation", "main")
    asked_of = [
        (bill, "What is the total on the receipt?", "$24.30"),
        (street, "what is the name of the street?", "MAPLE STREET"),
    ]
    for hub, question, said in asked_of:
        (record,) = (record for record in hub.open(SMALL) if record["question"] == question)
        image = Image(prepare(Image.of(record["image"]).data).data)
        request = Request((Message("user", (image, question)),), 8)
        assert asyncio.run(model.generate(request)).text == said
