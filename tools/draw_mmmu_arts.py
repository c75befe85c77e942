"""Draws questions for MMMU's subjects in art, business, humanities and social science."""

from __future__ import annotations

from tools.draw_charts import bars, lying_bars
from tools.draw_mmmu_sciences import graph
from tools.drawing import AMBER, BLUE, GREEN, GREY, INK, RED, VIOLET, Page, gif, jpeg, palette_png, png
from tools.subject import Question, table

Q = Question


def patches() -> bytes:
    page = Page(340, 130, "#f2f2f0")
    for number, (name, colour) in enumerate(
        (("P", "#1f5fd0"), ("1", "#1f9e4a"), ("2", "#f08a1d"), ("3", "#6a35b0"))
    ):
        page.box(20 + 80 * number, 20, 60, 60, colour)
        page.text(50 + 80 * number, 104, name, 18, anchor="mm", bold=True)
    return png(page.done())


def road() -> bytes:
    page = Page(320, 200, "#cfe3f2")
    page.box(0, 90, 320, 110, "#a9c48a")
    page.shape([(160, 90), (20, 200), (300, 200)], "#7b7f85")
    for edge in (-140, 460):
        page.line([(160, 90), (edge, 200)], "#5d7a45", 2)
    for step in range(1, 6):
        away = step * step * 5
        for side in (-1, 1):
            x = 160 + side * away * 1.9
            page.line([(x, 90 - away * 0.55), (x, 90 + away * 0.62)], "#4e3a26", 1 + step / 2)
    return jpeg(page.done())


def columns() -> bytes:
    page = Page(300, 200, "#fafafa")
    for number in range(3):
        page.box(20 + 90 * number, 50, 80, 130, "#e1e6ee", BLUE)
        for row in range(7):
            page.line([(30 + 90 * number, 66 + 16 * row), (90 + 90 * number, 66 + 16 * row)], GREY, 2)
    page.box(20, 14, 260, 24, BLUE)
    return gif(page.done())


def verse() -> bytes:
    page = Page(320, 160, "#fbf7ec")
    rhymes = ["The lamp is out, the house is still,", "a kettle hums its tune;",
              "the shadows walk along the hill", "and nights are warm in June."]  # fmt: skip
    page.lines(24, 24, rhymes, 17, 1.7)
    return palette_png(page.done())


def market() -> bytes:
    page = Page(320, 240)
    page.arrow((50, 200), (50, 20))
    page.arrow((50, 200), (300, 200))
    page.text(56, 16, "price, $", 13)
    page.text(300, 230, "quantity", 13, anchor="rm")
    for number in range(1, 6):
        page.text(42, 200 - 30 * number, str(2 * number), 12, GREY, "rm")
        page.text(50 + 40 * number, 212, str(10 * number), 12, GREY, "mm")
    page.line([(90, 170), (250, 50)], BLUE, 3)
    page.line([(90, 50), (250, 170)], RED, 3)
    page.text(256, 46, "S", 16, BLUE, "lm", bold=True)
    page.text(256, 172, "D", 16, RED, "lm", bold=True)
    return png(page.done())


def country() -> bytes:
    page = Page(320, 220, "#cfe7f5")
    land = [(60, 40), (180, 24), (280, 70), (290, 160), (200, 200), (90, 180), (40, 110)]
    page.shape(land, "#e9e2c0", "#9b8f5f")
    for name, x, y in (("Arda", 110, 70), ("Belm", 230, 100), ("Cray", 120, 150)):
        page.disc(x, y, 5, RED)
        page.text(x + 10, y, name, 15, anchor="lm")
    page.arrow((26, 60), (26, 20), INK, 3)
    page.text(26, 72, "N", 16, anchor="mm", bold=True)
    page.line([(20, 206), (70, 206)], INK, 3)
    page.text(45, 194, "50 km", 12, anchor="mm")
    return png(page.done())


def years() -> bytes:
    page = Page(420, 120)
    page.arrow((20, 70), (404, 70), INK, 3)
    events = [("1702", "Harbour"), ("1745", "Charter"), ("1788", "Mint"), ("1810", "Canal")]
    for number, (year, name) in enumerate(events):
        x = 60 + 96 * number
        page.disc(x, 70, 6, RED)
        page.text(x, 46, name, 14, anchor="mm")
        page.text(x, 94, year, 14, anchor="mm")
    return gif(page.done())


def plan() -> bytes:
    page = Page(340, 170)
    tasks = [
        ("Design", 0, 3, BLUE),
        ("Build", 3, 4, GREEN),
        ("Test", 6, 2, AMBER),
        ("Train staff", 5, 2, VIOLET),
    ]
    for week in range(9):
        page.line([(100 + 26 * week, 14), (100 + 26 * week, 140)], "#dfe3e8")
        if week < 8:
            page.text(113 + 26 * week, 154, str(week + 1), 12, GREY, "mm")
    for number, (name, start, weeks, colour) in enumerate(tasks):
        page.text(92, 32 + 30 * number, name, 13, anchor="rm")
        page.box(100 + 26 * start, 22 + 30 * number, 26 * weeks, 20, colour)
    return png(page.done())


def staff(beats: str, notes: int) -> bytes:
    """Draws five lines, a time signature, and rising quarter notes."""
    page = Page(320, 130)
    for number in range(5):
        page.line([(20, 40 + 12 * number), (300, 40 + 12 * number)], INK)
    page.text(44, 52, beats, 26, anchor="mm", bold=True)
    page.text(44, 76, "4", 26, anchor="mm", bold=True)
    for number in range(notes):
        x, y = 90 + 44 * number, 88 - 6 * number
        page.oval(x, y, 8, 6, INK)
        page.line([(x + 7, y), (x + 7, y - 38)], INK, 2)
    page.line([(299, 40), (299, 88)], INK, 3)
    return palette_png(page.done())


def business() -> list[Question]:
    income = [
        ["Item", "Amount"],
        ["Sales", "$90,000"],
        ["Cost of goods sold", "$54,000"],
        ["Operating expenses", "$21,000"],
    ]
    cash = [["Year", "Cash flow"], ["0", "-$1,000"], ["1", "$400"], ["2", "$400"], ["3", "$400"]]
    funnel = lying_bars(
        "Online shop, visits in May",
        [("Home page", 800), ("Product page", 400), ("Basket", 100), ("Paid", 40)],
        900,
    )
    return [
        Q("Accounting", "What is the gross profit in <image 1>?",
          ("$36,000", "$15,000", "$69,000", "$90,000"), "A",
          (table("Income statement", income, [180, 110]),), "Tables", "Financial Accounting"),
        Q("Accounting", "<image 1> What is the operating profit, in dollars?", (), "15000",
          (table("Income statement", income, [180, 110]),), "Tables", "Financial Accounting", "Medium"),
        Q("Economics", "What is the equilibrium price in <image 1>?", ("$2", "$4", "$5", "$6"), "D",
          (market(),), "Plots and Charts", "Microeconomics"),
        Q("Economics", "How many units are traded at the equilibrium of <image 1>?", (), "30", (market(),),
          "Plots and Charts", "Microeconomics"),
        Q("Finance", "Without discounting, how much does the project in <image 1> gain in all?",
          ("$200", "$400", "$1,200", "-$200"), "A", (table("Project", cash, [80, 120]),), "Tables",
          "Corporate Finance"),
        Q("Manage", "In which week of <image 1> do three tasks run at once?",
          ("Week 3", "Week 5", "Week 7", "Week 8"), "C", (plan(),), "Diagrams", "Project Management",
          "Medium"),
        Q("Marketing", "What percentage of home page visits in <image 1> end in a payment?",
          ("2%", "4%", "5%", "50%"), "C", (jpeg(funnel.done()),), "Plots and Charts", "Digital Marketing"),
    ]  # fmt: skip


def arts() -> list[Question]:
    recall = bars("Words recalled", ["Silence", "Music", "Speech"], [("Words", [14, 11, 7])], [0, 5, 10, 15])
    friends = {"Ana": (150, 100), "Ben": (60, 40), "Cai": (60, 160), "Dov": (240, 40), "Eli": (240, 160)}
    ties = [("Ana", "Ben"), ("Ana", "Cai"), ("Ana", "Dov"), ("Ana", "Eli"), ("Ben", "Cai")]
    three = (staff("2", 2), staff("3", 3))
    return [
        Q("Art", "Which patch in <image 1> is complementary to patch P?", ("Patch 1", "Patch 2", "Patch 3"),
          "B", (patches(),), "Paintings", "Colour"),
        Q("Art_Theory", "How many vanishing points does the drawing <image 1> have?",
          ("One", "Two", "Three", "None"), "A", (road(),), "Sketches and Drafts", "Perspective"),
        Q("Design", "How many columns does the layout in <image 1> have?", ("Two", "Four", "Three", "Six"),
          "C", (columns(),), "Icons and Symbols", "Graphic Design"),
        Q("Geography", "Which town in <image 1> lies farthest east?", ("Arda", "Cray", "Belm"), "C",
          (country(),), "Maps", "Cartography"),
        Q("Geography", "By the scale of <image 1>, about how far is it from Arda to Cray?",
          ("20 km", "80 km", "200 km", "500 km"), "B", (country(),), "Maps", "Cartography", "Medium"),
        Q("History", "What came between the charter and the canal in <image 1>?",
          ("Harbour", "Mint", "Nothing"), "B", (years(),), "Diagrams", "Local History"),
        Q("Literature", "What is the rhyme scheme of the verse in <image 1>?",
          ("AABB", "ABBA", "ABCB", "ABAB"), "D", (verse(),), "Screenshots", "Poetry"),
        Q("Music", "What is the time signature in <image 1>?", ("2/4", "3/4", "4/4", "6/8"), "B",
          (three[1],), "Sheet Music", "Notation"),
        Q("Music", "How many notes are in <image 1> and <image 2> together?", (), "5", three, "Sheet Music",
          "Notation"),
        Q("Psychology", "Under which condition of <image 1> was recall worst?",
          ("Silence", "Music", "Speech"), "C", (png(recall.done()),), "Plots and Charts", "Memory"),
        Q("Sociology", "Who has the most ties in the network of <image 1>?", ("Ana", "Ben", "Cai", "Dov"),
          "A", (graph(friends, ties),), "Trees and Graphs", "Social Networks"),
    ]  # fmt: skip
