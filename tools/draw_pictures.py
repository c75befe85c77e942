"""Draws `evalkit/pictures`: six pictures that belong to no benchmark, for trying out a model or a task."""

from __future__ import annotations

from typing import Any

from tools.drawing import (
    AMBER,
    BLUE,
    GREEN,
    INK,
    RED,
    TEAL,
    VIOLET,
    Page,
    clear_png,
    gif,
    jpeg,
    png,
    turned_jpeg,
    webp,
)


def word() -> bytes:
    page = Page(240, 100)
    page.text(120, 50, "evalkit", 40, BLUE, "mm", bold=True)
    return clear_png(page.done())


def square() -> bytes:
    page = Page(160, 160)
    page.box(40, 40, 80, 80, RED)
    return png(page.done())


def stars() -> bytes:
    page = Page(240, 160, "#16203a")
    for x, y in ((40, 40), (110, 30), (190, 60), (70, 110), (150, 120)):
        page.shape([(x, y - 14), (x + 5, y - 4), (x + 15, y), (x + 5, y + 4), (x, y + 14), (x - 5, y + 4),
                    (x - 15, y), (x - 5, y - 4)], AMBER)  # fmt: skip
    return webp(page.done())


def arrow() -> bytes:
    page = Page(160, 220, "#f3f6f0")
    page.arrow((80, 190), (80, 30), GREEN, 8)
    return turned_jpeg(page.done())


def total() -> bytes:
    page = Page(220, 140)
    for number, (name, price) in enumerate((("Pens", "$4.00"), ("Paper", "$6.50"))):
        page.text(20, 20 + 30 * number, name, 18)
        page.text(200, 20 + 30 * number, price, 18, anchor="ra")
    page.line([(20, 86), (200, 86)], INK)
    page.text(20, 98, "Total", 20, bold=True)
    page.text(200, 98, "$10.50", 20, anchor="ra", bold=True)
    return jpeg(page.done())


def shapes() -> bytes:
    page = Page(300, 120, "#fbfbfd")
    page.disc(60, 60, 36, TEAL)
    page.box(114, 24, 72, 72, VIOLET)
    page.shape([(240, 22), (204, 96), (276, 96)], AMBER)
    return gif(page.done())


def pictures() -> dict[str, list[dict[str, Any]]]:
    asked = [
        ("What word is written here?", word(), ["evalkit"]),
        ("What colour is the square?", square(), ["red"]),
        ("How many stars are there?", stars(), ["5", "five"]),
        ("Does the arrow point up or down?", arrow(), ["up"]),
        ("What is the total?", total(), ["$10.50", "10.50"]),
        ("Which shape is in the middle?", shapes(), ["square", "the square", "purple square"]),
    ]
    return {
        "test": [
            {"question": question, "image": image, "answers": answers} for question, image, answers in asked
        ]
    }
