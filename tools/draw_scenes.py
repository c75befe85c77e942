"""Draws everyday scenes, and things with writing on them, with the columns of VQAv2 and TextVQA."""

from __future__ import annotations

import math
from typing import Any

from PIL import Image

from tools.drawing import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    INK,
    RED,
    TEAL,
    VIOLET,
    Page,
    gif,
    jpeg,
    png,
    turned_jpeg,
    webp,
)

Record = dict[str, Any]
SKY, GRASS, WOOD = "#bfe0f5", "#7fb765", "#9a6a3c"


def house() -> bytes:
    page = Page(320, 240, SKY)
    page.box(0, 170, 320, 70, GRASS)
    page.disc(270, 45, 24, "#ffd54a")
    page.box(70, 90, 130, 95, RED)
    page.shape([(58, 92), (135, 38), (212, 92)], "#6b4a3a")
    page.box(122, 135, 28, 50, BLUE)
    page.disc(145, 161, 2, AMBER)
    for x in (82, 164):
        page.box(x, 108, 26, 26, "#fdf3c4", INK)
        page.line([(x + 13, 108), (x + 13, 134)], INK)
    page.box(246, 130, 14, 56, WOOD)
    page.disc(253, 112, 32, GREEN)
    return jpeg(page.done())


def bus() -> bytes:
    page = Page(320, 240, SKY)
    page.box(0, 60, 90, 130, "#b7a99a")
    page.box(230, 40, 90, 150, "#a08f86")
    page.box(0, 180, 320, 60, "#6e7278")
    for x in range(0, 320, 48):
        page.box(x, 212, 26, 4, "white")
    page.box(50, 92, 220, 92, "#f2c22e", radius=10)
    for x in range(64, 220, 40):
        page.box(x, 104, 32, 30, "#dff1fb", INK)
    page.box(232, 104, 28, 62, "#dff1fb", INK)
    page.box(128, 142, 52, 28, INK, radius=3)
    page.text(154, 156, "42", 20, "#ffcf3a", "mm", bold=True)
    for x in (96, 222):
        page.disc(x, 186, 18, INK)
        page.disc(x, 186, 8, GREY)
    return png(page.done())


def table() -> bytes:
    page = Page(320, 240, "#efe4d2")
    page.shape([(20, 150), (300, 150), (320, 200), (0, 200)], WOOD)
    for x in (18, 288):
        page.box(x, 200, 14, 40, "#7a522c")
    for x in (60, 104, 148):
        page.disc(x, 146, 20, "#d23a33")
        page.line([(x, 128), (x + 4, 116)], "#5b3b1c", 2)
        page.oval(x + 11, 118, 8, 4, GREEN)
    page.oval(262, 140, 17, 15, None, TEAL)
    page.shape([(210, 112), (256, 112), (250, 164), (216, 164)], TEAL)
    page.oval(233, 112, 23, 6, "#4a2d18", TEAL)
    return webp(page.done())


def sea() -> bytes:
    page = Page(320, 240, "#cfe9f7")
    page.box(0, 150, 320, 90, "#2c6f9e")
    for y in (172, 196, 220):
        for x in range(y % 40, 320, 60):
            page.arc(x, y, 9, 200, 340, "#8fc3e0")
    page.shape([(96, 150), (224, 150), (202, 178), (118, 178)], "#f4f1ea", INK)
    page.box(156, 46, 5, 104, "#5b3b1c")
    page.shape([(164, 50), (164, 142), (222, 142)], RED)
    page.shape([(152, 66), (152, 142), (112, 142)], RED)
    for x, y in ((40, 40), (76, 64), (250, 36), (284, 70)):
        page.arc(x - 8, y, 9, 200, 340)
        page.arc(x + 8, y, 9, 200, 340)
    return gif(page.done())


def clock() -> bytes:
    page = Page(280, 260, "#d8c9e8")
    page.disc(140, 120, 84, "white", INK)
    for hour in range(12):
        turn = math.radians(30 * hour)
        x, y = 140 + 66 * math.sin(turn), 120 - 66 * math.cos(turn)
        page.text(x, y, str(hour or 12), 16, anchor="mm")
    page.line([(140, 120), (140, 66)], INK, 3)
    page.line([(140, 120), (178, 120)], INK, 5)
    page.disc(140, 120, 5, RED)
    page.box(0, 224, 280, 36, VIOLET)
    return png(page.done())


def vqa() -> dict[str, list[Record]]:
    """The records by split. As in VQAv2, only the validation split has answers."""
    scenes = [house(), bus(), table(), sea(), clock()]
    asked: list[tuple[int, str, list[tuple[str, int]]]] = [
        (0, "What color is the door?", [("blue", 10)]),
        (0, "Is the sun shining?", [("yes", 10)]),
        (0, "How many windows does the house have?", [("2", 9), ("3", 1)]),
        (1, "What number is on the bus?", [("42", 10)]),
        (1, "What color is the bus?", [("yellow", 7), ("orange", 2), ("yellow and black", 1)]),
        (1, "Are there people on the street?", [("no", 10)]),
        (2, "How many apples are on the table?", [("3", 10)]),
        (2, "What is to the right of the apples?", [("cup", 5), ("mug", 4), ("coffee", 1)]),
        (3, "What is on the water?", [("boat", 5), ("sailboat", 4), ("ship", 1)]),
        (3, "How many birds are in the sky?", [("4", 9), ("5", 1)]),
        (4, "What time is it?", [("3:00", 6), ("3", 2), ("3 o'clock", 2)]),
        (4, "Is the clock square?", [("no", 9), ("yes", 1)]),
    ]
    unanswered = {"testdev": [(1, "How many wheels can be seen?")], "test": [(2, "What color is the cup?")]}
    splits = {
        "validation": [
            _vqa(scenes, n, place, question, said) for n, (place, question, said) in enumerate(asked)
        ]
    }
    for number, (split, questions) in enumerate(unanswered.items(), 1):
        splits[split] = [
            _vqa(scenes, 100 * number + n, place, question, None)
            for n, (place, question) in enumerate(questions)
        ]
    return splits


def _vqa(
    scenes: list[bytes], number: int, place: int, question: str, said: list[tuple[str, int]] | None
) -> Record:
    """A record. Rarer answers are spread among the others, as in the real data."""
    answers = None
    if said is not None:
        spread = [answer for answer, count in said for _ in range(count)]
        spread = [spread[(3 * n) % 10] for n in range(10)]
        answers = [
            {
                "answer": answer,
                "answer_confidence": "yes" if answer == said[0][0] else "maybe",
                "answer_id": n,
            }
            for n, answer in enumerate(spread, 1)
        ]
    return {
        "question_id": 1000 * (place + 1) + number,
        "image_id": place + 1,
        "question": question,
        "multiple_choice_answer": said[0][0] if said else None,
        "answers": answers,
        "image": scenes[place],
    }


def street_sign() -> bytes:
    page = Page(320, 220, SKY)
    page.box(154, 70, 12, 150, GREY)
    page.box(40, 40, 240, 64, "#1f6b3a", "white", 3, radius=6)
    page.text(160, 72, "MAPLE STREET", 28, "white", "mm", bold=True)
    page.disc(160, 158, 38, RED)
    page.disc(160, 158, 30, "white")
    page.text(160, 158, "30", 30, anchor="mm", bold=True)
    return jpeg(page.done())


def bakery() -> bytes:
    page = Page(340, 260, "#d9cfc0")
    page.box(30, 30, 280, 50, "#7b2d3b", radius=4)
    page.text(170, 55, "ROSE BAKERY", 30, "#fbe9c8", "mm", bold=True)
    page.box(30, 92, 170, 140, "#eaf5fb", INK)
    page.box(224, 92, 76, 168, "#8a5a33", INK)
    page.box(46, 112, 138, 74, "white", GREY)
    page.text(115, 130, "Fresh bread", 18, anchor="mm")
    page.text(115, 162, "$3.50", 24, RED, "mm", bold=True)
    page.box(236, 118, 52, 26, "white", INK)
    page.text(262, 131, "OPEN", 16, GREEN, "mm", bold=True)
    return png(page.done())


def book() -> bytes:
    page = Page(220, 300, "#c9b79c")
    page.box(30, 20, 164, 256, "#1d2f57", radius=3)
    page.disc(150, 100, 20, "#f3e7b0")
    page.shape([(30, 230), (90, 170), (130, 214), (160, 186), (194, 230)], "#35507f")
    page.text(112, 50, "NIGHT TRAINS", 20, "white", "mm", bold=True)
    page.text(112, 252, "Ada Holm", 18, "#f3e7b0", "mm")
    return turned_jpeg(page.done())


def bottle() -> bytes:
    page = Page(200, 320, "#f3efe6")
    page.box(84, 16, 32, 60, "#556b2f", radius=4)
    page.box(58, 70, 84, 236, "#6f8a3c", radius=18)
    page.box(58, 130, 84, 120, "#fbf6e4")
    page.text(100, 156, "OLIVE OIL", 15, anchor="mm", bold=True)
    page.text(100, 184, "extra virgin", 13, anchor="mm")
    page.text(100, 222, "500 ml", 18, RED, "mm", bold=True)
    return png(page.done())


def platform() -> bytes:
    page = Page(340, 200, "#3a4048")
    page.box(20, 30, 300, 110, "#0d1b2a", "#c5ccd4", 3)
    page.text(36, 44, "Platform 7", 24, "#ffd54a", bold=True)
    page.text(36, 76, "HARBOUR", 22, "white")
    page.text(304, 76, "14:25", 22, "white", "ra")
    page.text(36, 106, "LAKESIDE", 22, "white")
    page.text(304, 106, "14:40", 22, "white", "ra")
    return jpeg(page.done().rotate(-4, Image.Resampling.BICUBIC, fillcolor="#3a4048"))


def shirt() -> bytes:
    page = Page(240, 220, "#e9edf0")
    points = [
        (80, 30),
        (160, 30),
        (220, 74),
        (196, 108),
        (172, 92),
        (172, 204),
        (68, 204),
        (68, 92),
        (44, 108),
    ]
    page.shape([*points, (20, 74)], VIOLET)
    page.oval(120, 30, 22, 12, "#e9edf0")
    page.text(120, 92, "FOXES", 22, "white", "mm", bold=True)
    page.text(120, 142, "12", 48, "white", "mm", bold=True)
    return png(page.done())


def signs() -> dict[str, list[Record]]:
    """The records, with ten answers each; some of these read the writing differently."""
    pictures = [street_sign(), bakery(), book(), bottle(), platform(), shirt()]
    tokens = [
        ["MAPLE", "STREET", "30"],
        ["ROSE", "BAKERY", "Fresh", "bread", "$3.50", "OPEN"],
        ["NIGHT", "TRAINS", "Ada", "Holm"],
        ["OLIVE", "OIL", "extra", "virgin", "500", "ml"],
        ["Platform", "7", "HARBOUR", "14:25", "LAKESIDE", "14:40"],
        ["FOXES", "12"],
    ]
    asked: list[tuple[int, str, list[tuple[str, int]]]] = [
        (0, "what is the name of the street?", [("maple street", 7), ("maple", 3)]),
        (0, "what is the speed limit?", [("30", 9), ("30 mph", 1)]),
        (1, "what is the name of the bakery?", [("rose bakery", 6), ("rose", 4)]),
        (1, "how much does the bread cost?", [("$3.50", 8), ("3.50", 2)]),
        (1, "is the shop open?", [("yes", 8), ("open", 2)]),
        (1, "which word is written in green?", [("open", 10)]),
        (2, "what is the title of the book?", [("night trains", 10)]),
        (2, "who wrote this book?", [("ada holm", 9), ("holm", 1)]),
        (3, "how much oil is in the bottle?", [("500 ml", 7), ("500ml", 2), ("500", 1)]),
        (4, "when does the train to lakeside leave?", [("14:40", 9), ("2:40", 1)]),
        (5, "what number is on the shirt?", [("12", 10)]),
    ]
    rows = [
        (place, question, [answer for answer, count in said for _ in range(count)])
        for place, question, said in asked
    ]
    hidden = [(4, "which platform is it?", [""] * 10), (5, "what is the team called?", [""] * 10)]
    return {
        split: [
            {
                "image_id": f"drawn-{place + 1}",
                "question_id": first + number,
                "question": question,
                "answers": answers,
                "ocr_tokens": tokens[place],
                "image": pictures[place],
            }
            for number, (place, question, answers) in enumerate(these)
        ]
        for split, first, these in (("validation", 1, rows), ("test", 101, hidden))
    }
