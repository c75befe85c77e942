"""Draws geometry, charts and puzzles, with MathVista's columns and all its kinds of questions and answers."""

from __future__ import annotations

import math
from typing import Any

from tools.draw_charts import bars
from tools.drawing import AMBER, BLUE, GREEN, GREY, INK, RED, TEAL, VIOLET, Page, jpeg, palette_png, png, webp

Record = dict[str, Any]


def triangle() -> bytes:
    page = Page(320, 220)
    page.shape([(40, 180), (280, 180), (139, 62)], None, INK)
    page.text(64, 168, "50°", 17, anchor="lm")
    page.text(226, 168, "40°", 17, anchor="lm")
    page.text(139, 94, "x", 20, RED, "mm", bold=True)
    page.text(28, 188, "A", 16, anchor="mm")
    page.text(294, 188, "B", 16, anchor="mm")
    page.text(139, 44, "C", 16, anchor="mm")
    return png(page.done())


def eighths() -> bytes:
    page = Page(220, 220)
    for number in range(8):
        page.slice(110, 110, 90, 45 * number, 45 * number + 45, TEAL if number < 3 else "#e4e8ec")
    return png(page.done())


def dots() -> bytes:
    page = Page(280, 180, "#faf6ec")
    for number in range(13):
        x, y = 30 + 55 * (number % 5), 36 + 54 * (number // 5)
        page.disc(x, y, 15, RED if number in (1, 4, 6, 11) else BLUE)
    return jpeg(page.done())


def ruler() -> bytes:
    page = Page(400, 130)
    page.box(20, 60, 360, 50, "#f6e3a9", INK)
    for tick in range(81):
        x = 36 + 4.1 * tick
        page.line([(x, 60), (x, 60 + (16 if tick % 10 == 0 else 11 if tick % 5 == 0 else 6))])
        if tick % 10 == 0:
            page.text(x, 90, str(tick // 10), 14, anchor="mm")
    page.text(344, 92, "cm", 12, GREY, "mm")
    page.box(36, 34, 4.1 * 65, 18, GREEN)
    return png(page.done())


def prices() -> bytes:
    page = Page(260, 170)
    rows = [
        ["Fruit", "Price per kg"],
        ["Apples", "$2.40"],
        ["Plums", "$3.18"],
        ["Cherries", "$7.80"],
        ["Pears", "$2.95"],
    ]
    page.table(14, 14, rows, [110, 122], 28, 15)
    return palette_png(page.done())


def slopes() -> bytes:
    page = Page(260, 260)
    for step in range(11):
        page.line([(30 + 20 * step, 30), (30 + 20 * step, 230)], "#e3e6ea")
        page.line([(30, 30 + 20 * step), (230, 30 + 20 * step)], "#e3e6ea")
    page.arrow((130, 236), (130, 20))
    page.arrow((24, 130), (242, 130))
    page.text(248, 142, "x", 15, anchor="mm")
    page.text(142, 22, "y", 15, anchor="mm")
    page.line([(40, 230), (140, 30)], BLUE, 3)
    for value in (-4, -2, 2, 4):
        page.text(130 + 20 * value, 141, str(value), 11, GREY, "mm")
        page.text(118, 130 - 20 * value, str(value), 11, GREY, "mm")
    return png(page.done())


def balance() -> bytes:
    page = Page(340, 200, "#f4f7fa")
    page.line([(60, 90), (280, 90)], INK, 4)
    page.shape([(170, 92), (146, 160), (194, 160)], GREY)
    for x in (92, 116):
        page.box(x - 10, 66, 20, 22, VIOLET)
    page.disc(223, 76, 12, AMBER)
    page.disc(249, 76, 12, AMBER)
    page.disc(236, 54, 12, AMBER)
    page.text(170, 184, "each square weighs 6 kg", 14, anchor="mm")
    return webp(page.done())


def clock() -> bytes:
    page = Page(220, 220)
    page.disc(110, 110, 90, "#fdfbf3", INK)
    for hour in range(1, 13):
        turn = math.radians(30 * hour)
        page.text(110 + 72 * math.sin(turn), 110 - 72 * math.cos(turn), str(hour), 15, anchor="mm")
    for degrees, length, width in ((222.5 - 360, 42, 5), (150, 62, 3)):
        turn = math.radians(degrees)
        page.line([(110, 110), (110 + length * math.sin(turn), 110 - length * math.cos(turn))], INK, width)
    return png(page.done())


def maths() -> dict[str, list[Record]]:
    """(picture, question, choices, unit, precision, answer, kind of answer, metadata) of each question."""
    heights = bars(
        "Height of the plants, cm", ["P", "Q", "R", "S"], [("Plants", [14, 8, 20, 11])], [0, 10, 20, 30]
    )
    area = ["20 cm²", "24 cm²", "30 cm²", "48 cm²"]
    asked: list[tuple[bytes, str, list[str] | None, str | None, float | None, str, str, str, str]] = [
        (triangle(), "What kind of triangle is ABC?", ["acute", "right", "obtuse", "equilateral"], None, None,
         "right", "text", "geometry problem solving", "geometry reasoning"),
        (eighths(), "What fraction of the circle is shaded?", ["3/8", "1/2", "5/8", "3/5"], None, None,
         "3/8", "text", "math word problem", "arithmetic reasoning"),
        (dots(), "How many more blue dots than red dots are there?", None, None, None,
         "5", "integer", "visual question answering", "numeric commonsense"),
        (triangle(), "How many degrees is the angle x?", None, None, None,
         "90", "integer", "geometry problem solving", "geometry reasoning"),
        (ruler(), "How long is the green bar, in centimetres?", None, "centimetre", 1.0,
         "6.5", "float", "figure question answering", "numeric commonsense"),
        (prices(), "How much do two kilograms of plums cost? (Unit: $)", None, "$", 2.0,
         "6.36", "float", "math word problem", "arithmetic reasoning"),
        (png(heights.done()), "List the heights of the plants, the smallest first.", None, "cm", None,
         "[8, 11, 14, 20]", "list", "figure question answering", "statistical reasoning"),
        (slopes(), "What is the slope of the line?", ["-2", "1/2", "1", "2"], None, None,
         "2", "text", "textbook question answering", "algebraic reasoning"),
        (balance(), "The beam is level. How many kilograms does one ball weigh?", None, "kg", None,
         "4", "integer", "math word problem", "algebraic reasoning"),
        (clock(), "What is the time?", ["5:37", "7:25", "7:05", "8:25"], None, None,
         "7:25", "text", "figure question answering", "numeric commonsense"),
        (rectangle(), "What is the area of the rectangle?", area, None, None,
         "24 cm²", "text", "geometry problem solving", "geometry reasoning"),
    ]  # fmt: skip
    return {"testmini": [_record(number, *row) for number, row in enumerate(asked, 1)]}


def rectangle() -> bytes:
    page = Page(280, 190)
    page.box(50, 40, 180, 110, "#e7eef7", BLUE, 2)
    page.text(140, 24, "6 cm", 16, anchor="mm")
    page.text(242, 95, "4 cm", 16, anchor="lm")
    return png(page.done())


def _record(
    number: int,
    image: bytes,
    question: str,
    choices: list[str] | None,
    unit: str | None,
    precision: float | None,
    answer: str,
    answer_type: str,
    task: str,
    skill: str,
) -> Record:
    return {
        "pid": str(number),
        "question": question,
        "image": f"images/{number}.jpg",
        "choices": choices,
        "unit": unit,
        "precision": precision,
        "answer": answer,
        "question_type": "multi_choice" if choices else "free_form",
        "answer_type": answer_type,
        "metadata": {
            "split": "testmini",
            "language": "english",
            "source": "evalkit",
            "category": "math-targeted-vqa" if "reasoning" in skill else "general-vqa",
            "task": task,
            "context": "scientific figure" if "geometry" in task else "synthetic scene",
            "grade": "elementary school",
            "skills": [skill],
        },
        "decoded_image": image,
    }
