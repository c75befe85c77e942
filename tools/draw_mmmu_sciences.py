"""Draws questions for MMMU's subjects in science, medicine and technology."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tools.draw_charts import bars, lines, pie
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
    palette_png,
    png,
    webp,
)
from tools.subject import Question, table

Q = Question
Links = Sequence[tuple[str, str]]


def beam() -> bytes:
    page = Page(340, 150)
    page.box(40, 70, 260, 14, "#b9c2cc", INK)
    page.shape([(50, 86), (36, 112), (64, 112)], GREY)
    page.shape([(290, 86), (276, 112), (304, 112)], GREY)
    page.arrow((170, 18), (170, 68), RED, 3)
    page.text(182, 28, "12 kN", 16, anchor="lm")
    page.text(50, 128, "A", 16, anchor="mm")
    page.text(290, 128, "B", 16, anchor="mm")
    page.text(110, 104, "3 m", 14, anchor="mm")
    page.text(230, 104, "3 m", 14, anchor="mm")
    return png(page.done())


def cell() -> bytes:
    page = Page(300, 200, "#f3f8f5")
    page.oval(150, 100, 128, 84, "#dcefd9", GREEN)
    page.disc(120, 96, 34, "#c9b8e6", VIOLET)
    page.oval(220, 80, 26, 12, "#f3c1a5", RED)
    page.disc(200, 140, 16, "#cfe6f6", BLUE)
    for letter, x, y in (("A", 120, 96), ("B", 220, 80), ("C", 200, 140), ("D", 36, 30)):
        page.label(x, y, letter)
    page.line([(46, 42), (62, 55)])
    return png(page.done())


def cross() -> bytes:
    page = Page(220, 200)
    for number, gene in enumerate(("R", "r")):
        page.text(90 + 70 * number, 34, gene, 20, anchor="mm", bold=True)
        page.text(34, 85 + 70 * number, gene, 20, anchor="mm", bold=True)
        for row in range(2):
            page.box(56 + 70 * number, 50 + 70 * row, 68, 68, "#fdf4f2", GREY)
    for number, pair in enumerate(("RR", "Rr", "Rr", "rr")):
        page.text(90 + 70 * (number % 2), 84 + 70 * (number // 2), pair, 20, anchor="mm")
    return palette_png(page.done())


def ring() -> bytes:
    page = Page(180, 180)
    turns = [math.radians(60 * n + 30) for n in range(6)]
    page.shape([(90 + 62 * math.cos(turn), 90 + 62 * math.sin(turn)) for turn in turns], None, INK)
    page.disc(90, 90, 36, None, INK)
    return gif(page.done())


def graph(places: dict[str, tuple[int, int]], links: Links, width: int = 300, height: int = 200) -> bytes:
    """Draws named circles and the lines between them."""
    page = Page(width, height)
    for start, end in links:
        page.line([places[start], places[end]], GREY, 2)
    for name, (x, y) in places.items():
        page.disc(x, y, 20, "#dfeaf6", BLUE)
        page.text(x, y, name, 16, anchor="mm")
    return png(page.done())


def tree() -> bytes:
    places = {"8": (150, 34), "3": (84, 96), "9": (216, 96), "1": (44, 160), "5": (124, 160)}
    return graph(places, [("8", "3"), ("8", "9"), ("3", "1"), ("3", "5")])


def resistors(across: bool) -> bytes:
    page = Page(320, 150)
    page.line([(20, 75), (300, 75)] if not across else [(20, 75), (80, 75)], INK, 2)
    if across:
        page.line([(80, 30), (240, 30), (240, 120), (80, 120), (80, 30)], INK, 2)
        page.line([(240, 75), (300, 75)], INK, 2)
    places = ((160, 30), (160, 120)) if across else ((100, 75), (220, 75))
    for (x, y), ohms in zip(places, ("20 ohm", "30 ohm"), strict=True):
        page.box(x - 36, y - 14, 72, 28, "#f5efd9", INK)
        page.text(x, y, ohms, 15, anchor="mm")
    return palette_png(page.done())


def stress() -> bytes:
    page = Page(320, 220)
    page.arrow((40, 190), (40, 20))
    page.arrow((40, 190), (300, 190))
    page.text(48, 18, "stress", 14)
    page.text(300, 206, "strain", 14, anchor="rm")
    curve = [(40, 190), (90, 80), (120, 74), (170, 50), (210, 44), (250, 62), (270, 86)]
    page.line(curve, RED, 3)
    marks = [
        ("A", (50, 118), (65, 135)),
        ("B", (90, 54), (90, 80)),
        ("C", (206, 70), (210, 44)),
        ("D", (292, 96), (270, 86)),
    ]
    for letter, (x, y), (there_x, there_y) in marks:
        page.disc(there_x, there_y, 4, INK)
        page.text(x, y, letter, 16, anchor="mm", bold=True)
    return png(page.done())


def right_triangle() -> bytes:
    page = Page(240, 180)
    page.shape([(40, 150), (200, 150), (40, 30)], "#eef3fa", BLUE)
    page.box(40, 138, 12, 12, None, INK)
    page.text(120, 166, "8", 16, anchor="mm")
    page.text(26, 90, "6", 16, anchor="mm")
    page.text(132, 78, "c", 16, RED, "mm")
    return png(page.done())


def plot(slope: float, lift: float = 0.0, curve: bool = False) -> bytes:
    """Draws a small graph of slope·x + lift, or of slope·x² + lift, for x from -3 to 3."""
    page = Page(140, 140)
    page.line([(10, 70), (130, 70)], GREY)
    page.line([(70, 10), (70, 130)], GREY)
    points = []
    for step in range(-60, 61):
        x = step / 20
        y = slope * (x * x if curve else x) + lift
        if abs(y) <= 3:
            points.append((70 + 19 * x, 70 - 19 * y))
    page.line(points, BLUE, 3)
    return gif(page.done())


def gears() -> bytes:
    page = Page(320, 170)
    for x, teeth, radius, colour in ((90, 24, 60, AMBER), (190, 12, 30, TEAL)):
        for tooth in range(teeth):
            turn = 2 * math.pi * tooth / teeth
            page.disc(x + (radius + 3) * math.cos(turn), 85 + (radius + 3) * math.sin(turn), 5, colour)
        page.disc(x, 85, radius, colour)
        page.text(x, 85, str(teeth), 20, "white", "mm", bold=True)
    page.text(90, 160, "driver", 13, anchor="mm")
    page.text(190, 136, "driven", 13, anchor="mm")
    return webp(page.done())


def label() -> bytes:
    page = Page(260, 150, "#fbfcff")
    page.box(10, 10, 240, 130, "white", BLUE, 2, radius=8)
    page.text(130, 38, "VELADRIN", 24, BLUE, "mm", bold=True)
    page.text(130, 72, "250 mg per tablet", 16, anchor="mm")
    page.text(130, 104, "1 tablet three times a day", 15, anchor="mm")
    return jpeg(page.done())


def motion() -> bytes:
    ticks = [0, 5, 10, 15]
    return png(
        lines("Speed of a cart, m/s", ["0 s", "2 s", "4 s", "6 s"], [("Cart", [0, 10, 10, 0])], ticks).done()
    )


def health() -> list[Question]:
    tests = [
        ["Test", "Result", "Normal range"],
        ["Sodium", "141", "135 - 145"],
        ["Potassium", "6.2", "3.5 - 5.1"],
        ["Glucose", "88", "70 - 99"],
    ]
    fever = lines(
        "Temperature of the patient, °C",
        ["Mon", "Tue", "Wed", "Thu"],
        [("Evening", [37, 39, 40, 38])],
        [0, 15, 30, 45],
    )
    cases = bars(
        "New cases by week", ["1", "2", "3", "4", "5"], [("Cases", [3, 12, 30, 18, 5])], [0, 10, 20, 30, 40]
    )
    return [
        Q("Basic_Medical_Science", "Which letter in <image 1> marks the nucleus?", ("A", "B", "C", "D"),
          "A", (cell(),), "Diagrams", "Anatomy"),
        Q("Clinical_Medicine", "On which day was the fever in <image 1> highest?",
          ("Monday", "Tuesday", "Wednesday", "Thursday"), "C", (png(fever.done()),), "Plots and Charts",
          "Clinical Medicine"),
        Q("Diagnostics_and_Laboratory_Medicine", "<image 1> Which result lies outside its range?",
          ("Sodium", "Potassium", "Glucose", "None of them"), "B", (table("Blood", tests, [110, 80, 120]),),
          "Tables", "Clinical Chemistry"),
        Q("Pharmacy", "How many milligrams does a patient take in a day, by <image 1>?",
          ("250", "500", "750", "1000"), "C", (label(),), "Photographs", "Pharmacology"),
        Q("Public_Health", "In which week of <image 1> did the outbreak peak?", ("2", "3", "4", "5"), "B",
          (png(cases.done()),), "Plots and Charts", "Epidemiology"),
    ]  # fmt: skip


def technology() -> list[Question]:
    yields = bars(
        "Wheat yield, tonnes per hectare", ["F1", "F2", "F3", "F4"], [("Yield", [5, 7, 4, 6])], [0, 4, 8]
    )
    power = pie("Electricity of Norrland", [("Wind", 45), ("Water", 30), ("Gas", 15), ("Solar", 10)])
    few = {"A": (50, 50), "B": (250, 50), "C": (150, 110), "D": (60, 170), "E": (240, 170)}
    links = [("A", "C"), ("B", "C"), ("D", "C"), ("E", "C"), ("A", "B")]
    return [
        Q("Agriculture", "Which field in <image 1> has the highest yield?", ("F1", "F2", "F3", "F4"), "B",
          (png(yields.done()),), "Plots and Charts", "Crop Science"),
        Q("Architecture_and_Engineering", "What is the upward force at support A in <image 1>?",
          ("3 kN", "4 kN", "6 kN", "12 kN"), "C", (beam(),), "Diagrams", "Structural Engineering",
          "Medium"),
        Q("Computer_Science", "What does an in-order walk through the tree in <image 1> print?",
          ("8 3 1 5 9", "1 5 3 9 8", "8 3 9 1 5", "1 3 5 8 9"), "D", (tree(),), "Trees and Graphs",
          "Data Structures", "Medium"),
        Q("Computer_Science", "What is the degree of node C in <image 1>?", (), "4", (graph(few, links),),
          "Trees and Graphs", "Discrete Mathematics"),
        Q("Electronics", "What is the resistance in <image 1> from end to end, in ohms?", (),
          "['50', '50.0']", (resistors(False),), "Diagrams", "Circuits"),
        Q("Electronics", "Circuit 1 is <image 1>, circuit 2 is <image 2>. Which has the lower resistance?",
          ("Circuit 1", "Circuit 2", "They are equal", "It depends on the voltage"), "B",
          (resistors(False), resistors(True)), "Diagrams", "Circuits"),
        Q("Energy_and_Power", "Which source in <image 1> gives twice as much as gas?",
          ("Water", "Wind", "Solar", "None"), "A", (jpeg(power.done()),), "Plots and Charts",
          "Energy Systems"),
        Q("Materials", "At which point of <image 1> does the material break?", ("A", "B", "C", "D"), "D",
          (stress(),), "Plots and Charts", "Mechanical Properties", "Medium"),
        Q("Mechanical_Engineering",
          "The driver in <image 1> turns once. How often does the driven gear turn?",
          ("Half a turn", "Once", "Twice", "Four times"), "C", (gears(),), "Diagrams", "Machine Design"),
    ]  # fmt: skip


def sciences() -> list[Question]:
    graphs = (plot(1), plot(-1), plot(0, 1.5), plot(0.5, -1, curve=True))
    return [
        Q("Biology",
          "R stands for red and is dominant. What share of the offspring in <image 1> is not red?",
          ("25%", "50%", "75%", "100%"), "A", (cross(),), "Diagrams", "Genetics"),
        Q("Chemistry", "Which compound does <image 1> show?",
          ("Cyclohexane", "Hexane", "Benzene", "Toluene"), "C", (ring(),), "Chemical Structures",
          "Organic Chemistry"),
        Q("Math", "How long is side c of the triangle in <image 1>?", ("9", "12", "14", "10"), "D",
          (right_triangle(),), "Geometric Shapes", "Geometry"),
        Q("Math", "Which of the graphs shows y = -x?", ("<image 1>", "<image 2>", "<image 3>", "<image 4>"),
          "B", graphs, "Mathematical Notations", "Algebra"),
        Q("Math", "What is the area of the triangle in <image 1>?", (), "24", (right_triangle(),),
          "Geometric Shapes", "Geometry"),
        Q("Physics", "How far does the cart of <image 1> go in the six seconds?",
          ("20 m", "30 m", "40 m", "60 m"), "C", (motion(),), "Plots and Charts", "Mechanics", "Medium"),
    ]  # fmt: skip
