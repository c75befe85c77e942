"""Draws diagrams of school science, with letters in place of names, with AI2D's columns."""

from __future__ import annotations

import math
from typing import Any

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
    clear_png,
    gif,
    jpeg,
    palette_png,
    png,
)

Record = dict[str, Any]


def food_chain() -> bytes:
    page = Page(460, 150)
    names = ["Grass", "Grasshopper", "Frog", "Heron"]
    for number, name in enumerate(names):
        x = 12 + 114 * number
        page.box(x, 56, 92, 40, "#e6f2df", GREEN, 2, radius=8)
        page.text(x + 46, 76, name, 13, anchor="mm")
        if number:
            page.arrow((x - 20, 76), (x - 1, 76))
    page.text(230, 26, "A food chain", 17, anchor="mm", bold=True)
    return clear_png(page.done())


def plant() -> bytes:
    page = Page(320, 360, "#f7fbf4")
    page.box(0, 270, 320, 90, "#b08a63")
    page.line([(160, 270), (160, 110)], GREEN, 6)
    for turn in range(0, 360, 60):
        x, y = 160 + 26 * math.cos(math.radians(turn)), 84 + 26 * math.sin(math.radians(turn))
        page.disc(x, y, 17, RED)
    page.disc(160, 84, 15, AMBER)
    page.shape([(160, 210), (92, 168), (70, 192), (110, 214)], GREEN)
    page.shape([(160, 190), (228, 150), (252, 172), (212, 196)], GREEN)
    for x in (118, 146, 176, 206):
        page.line([(160, 268), (x, 336)], "#f1e3cf", 3)
    for letter, (x, y), target in (
        ("A", (262, 70), (196, 84)),
        ("B", (284, 206), (236, 174)),
        ("C", (50, 130), (156, 140)),
        ("D", (270, 318), (204, 326)),
    ):
        page.line([(x, y), target])
        page.label(x, y, letter)
    return png(page.done())


def earth() -> bytes:
    page = Page(320, 320)
    for radius, colour in ((140, "#7a5a3c"), (128, "#d9822b"), (84, "#f0b429"), (40, "#f7e08a")):
        page.disc(160, 160, radius, colour, INK)
    for letter, x, y in (("A", 160, 160), ("B", 160, 98), ("C", 160, 54)):
        page.label(x, y, letter)
    page.line([(262, 58), (290, 30)])
    page.label(296, 24, "D")
    return palette_png(page.done())


def moon() -> bytes:
    page = Page(420, 160, "#10182b")
    for number, letter in enumerate("PQRS"):
        x = 60 + 100 * number
        page.disc(x, 62, 36, "#39435c")
        lit = "#f4efd9"
        if letter == "Q":
            page.slice(x, 62, 36, 0, 180, lit)
            page.line([(x, 26), (x, 98)], lit, 2)
        elif letter == "R":
            page.disc(x, 62, 36, lit)
        elif letter == "S":
            turns = [math.radians(turn) for turn in range(-90, 91, 6)]
            outer = [(x - 36 * math.cos(turn), 62 + 36 * math.sin(turn)) for turn in turns]
            inner = [(x - 14 * math.cos(turn), 62 + 36 * math.sin(turn)) for turn in reversed(turns)]
            page.shape(outer + inner, lit)
        page.label(x, 132, letter)
    return png(page.done())


def circuit() -> bytes:
    page = Page(340, 240)
    page.line([(60, 50), (280, 50), (280, 190), (60, 190), (60, 50)], INK, 2)
    page.box(46, 104, 28, 32, "white")
    page.line([(44, 112), (76, 112)], INK, 2)
    page.line([(52, 126), (68, 126)], INK, 5)
    page.disc(170, 50, 20, "#fff3c4", INK)
    page.line([(157, 37), (183, 63)], INK, 2)
    page.line([(183, 37), (157, 63)], INK, 2)
    page.box(140, 180, 60, 20, "white")
    page.line([(142, 190), (188, 166)], INK, 3)
    page.disc(142, 190, 4, INK)
    page.disc(198, 190, 4, INK)
    page.label(24, 120, "X")
    page.label(170, 96, "Y")
    page.label(170, 220, "Z")
    return gif(page.done())


def butterfly() -> bytes:
    page = Page(360, 320)
    places = [("Egg", 180, 50), ("Caterpillar", 288, 160), ("W", 180, 270), ("Butterfly", 72, 160)]
    for number, (name, x, y) in enumerate(places):
        if len(name) == 1:
            page.disc(x, y, 36, "#ece6f5", VIOLET)
            page.label(x, y, name)
        else:
            page.oval(x, y, 58, 28, "#ece6f5", VIOLET)
            page.text(x, y, name, 15, anchor="mm")
        _, ahead_x, ahead_y = places[(number + 1) % 4]
        start = (x + (ahead_x - x) * 0.42, y + (ahead_y - y) * 0.42)
        page.arrow(start, (x + (ahead_x - x) * 0.62, y + (ahead_y - y) * 0.62), VIOLET)
    return jpeg(page.done())


def rain() -> bytes:
    page = Page(420, 260, "#eaf6fd")
    page.shape([(0, 200), (90, 96), (170, 200)], "#8c9a8a")
    page.box(0, 200, 230, 60, "#9bbf7c")
    page.box(230, 200, 190, 60, BLUE)
    for x, y in ((90, 60), (116, 50), (140, 62)):
        page.disc(x, y, 22, "#c3cbd4")
    for x in (86, 106, 126, 146):
        page.line([(x, 88), (x - 8, 110)], BLUE, 2)
    page.disc(380, 40, 22, "#ffd54a")
    page.arrow((330, 192), (330, 110), TEAL, 3)
    page.arrow((290, 56), (180, 56), GREY, 3)
    page.label(358, 150, "A")
    page.label(236, 34, "B")
    page.label(180, 106, "C")
    return png(page.done())


def lever() -> bytes:
    page = Page(380, 200)
    page.line([(40, 110), (340, 110)], "#7a522c", 7)
    page.shape([(130, 114), (106, 160), (154, 160)], GREY)
    page.box(50, 66, 40, 40, RED)
    page.arrow((320, 40), (320, 102), BLUE, 4)
    page.label(70, 36, "L")
    page.label(130, 180, "M")
    page.label(350, 60, "N")
    return jpeg(page.done())


def diagrams() -> dict[str, list[Record]]:
    asked: list[tuple[bytes, str, list[str], str]] = [
        (food_chain(), "What does the frog eat?", ["Grass", "Heron", "Grasshopper", "Nothing"], "2"),
        (plant(), "Which letter shows the roots?", ["A", "B", "C", "D"], "3"),
        (earth(), "Which layer is the mantle, the thick one below the crust?", ["A", "B", "C", "D"], "2"),
        (moon(), "Which letter shows the full moon?", ["P", "Q", "R", "S"], "2"),
        (circuit(), "What is the part at Z?", ["battery", "switch", "lamp", "motor"], "1"),
        (butterfly(), "Which stage belongs at W?", ["pupa", "egg", "larva", "adult"], "0"),
        (rain(), "What does arrow A show?", ["rain", "wind", "melting", "evaporation"], "3"),
        (lever(), "What is the part at M called?", ["fulcrum", "load", "effort", "pulley"], "0"),
    ]
    return {
        "test": [
            {"question": question, "options": options, "answer": answer, "image": image}
            for image, question, options, answer in asked
        ]
    }
