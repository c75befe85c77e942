"""Draws pages and posters, with the columns of DocVQA and InfographicVQA."""

from __future__ import annotations

from typing import Any

from tools.drawing import AMBER, BLUE, GREEN, GREY, INK, RED, TEAL, Page, jpeg, palette_png, png, webp

Record = dict[str, Any]
Asked = tuple[int, str, list[str] | None]


def letter() -> bytes:
    page = Page(460, 600)
    page.text(40, 36, "Northfield Town Library", 22, BLUE, bold=True)
    page.text(40, 64, "18 Mill Lane, Northfield", 13, GREY)
    page.line([(40, 88), (420, 88)], BLUE, 2)
    page.text(420, 108, "4 March 2019", 14, anchor="ra")
    page.lines(40, 140, ["Ms Ingrid Sato", "7 Harbour Variant", "Northfield"])
    body = [
        "Dear Ms Sato,",
        "",
        "thank you for the 212 books which you gave to our",
        "library in February. The children's room has already",
        "put 58 of them on its shelves.",
        "",
        "We should like to invite you to a reading on Friday,",
        "22 March, at 6:30 pm in the Oak Room.",
        "",
        "Yours sincerely,",
    ]
    page.lines(40, 230, body)
    page.line([(44, 478), (66, 458), (74, 482), (96, 460), (110, 480), (150, 466)], BLUE, 2)
    page.lines(40, 496, ["Peter Okoye", "Head Librarian"])
    return palette_png(page.done())


def form() -> bytes:
    page = Page(460, 420, "#fbfaf5")
    page.text(230, 36, "BOAT HIRE REGISTRATION", 20, anchor="mm", bold=True)
    fields = [
        ("Name", "Lena Brandt"),
        ("Date of birth", "11/09/1987"),
        ("Boat", "Kayak, two seats"),
        ("Number of hours", "3"),
        ("Deposit paid", "$40.00"),
    ]
    for number, (label, value) in enumerate(fields):
        y = 72 + 50 * number
        page.text(36, y + 18, label, 14, anchor="lm")
        page.box(170, y, 250, 36, "white", GREY)
        page.text(182, y + 18, value, 16, "#1b3f8f", "lm")
    page.text(36, 346, "Can you swim?", 14, anchor="lm")
    for x, label, ticked in ((170, "Yes", True), (250, "No", False)):
        page.box(x, 336, 20, 20, "white", INK)
        page.text(x + 28, 346, label, 14, anchor="lm")
        if ticked:
            page.line([(x + 4, 346), (x + 9, 352), (x + 17, 339)], "#1b3f8f", 3)
    page.text(36, 392, "Form B-17", 12, GREY, "lm")
    return png(page.done())


def receipt() -> bytes:
    page = Page(300, 460, "#fdfdfb")
    page.text(150, 34, "GREEN CORNER CAFE", 19, anchor="mm", bold=True)
    page.text(150, 58, "Receipt No. 00418", 13, anchor="mm")
    page.text(150, 78, "16/05/2022  12:47", 13, anchor="mm")
    page.line([(20, 96), (280, 96)], GREY)
    items = [
        ("2 x Tomato soup", "9.80"),
        ("1 x Cheese toast", "4.50"),
        ("1 x Apple cake", "3.20"),
        ("2 x Tea", "5.00"),
    ]
    for number, (item, price) in enumerate(items):
        page.text(24, 112 + 30 * number, item, 15)
        page.text(276, 112 + 30 * number, price, 15, anchor="ra")
    page.line([(20, 240), (280, 240)], GREY)
    for number, (label, price) in enumerate((("Subtotal", "22.50"), ("Tax 8%", "1.80"))):
        page.text(24, 254 + 28 * number, label, 15)
        page.text(276, 254 + 28 * number, price, 15, anchor="ra")
    page.text(24, 318, "TOTAL", 21, bold=True)
    page.text(276, 318, "$24.30", 21, anchor="ra", bold=True)
    page.text(24, 358, "Cash", 15)
    page.text(276, 358, "$30.00", 15, anchor="ra")
    page.text(24, 386, "Change", 15)
    page.text(276, 386, "$5.70", 15, anchor="ra")
    page.text(150, 434, "Thank you, come again!", 14, anchor="mm")
    return jpeg(page.done())


def timetable() -> bytes:
    page = Page(460, 260)
    page.text(24, 24, "Ferry timetable, winter 2021", 18, bold=True)
    rows = [
        ["Port", "First boat", "Last boat", "Minutes"],
        ["Aldhaven", "06:15", "21:40", "35"],
        ["Brim Island", "07:05", "19:20", "80"],
        ["Cork Point", "06:50", "22:10", "25"],
        ["Dunmere", "08:30", "18:45", "110"],
    ]
    page.table(24, 60, rows, [130, 100, 100, 82], 32, 15)
    page.text(24, 238, "No boats on 25 December.", 13, GREY, "lm")
    return png(page.done())


def invoice() -> list[bytes]:
    """The two pages of one document."""
    first, second = Page(460, 380), Page(460, 380)
    for number, page in enumerate((first, second), 1):
        page.text(30, 28, "Hollis & Reed Carpentry", 18, bold=True)
        page.text(430, 28, "INVOICE 2023-077", 14, anchor="ra")
        page.text(430, 356, f"Page {number} of 2", 12, GREY, "rm")
        page.line([(30, 56), (430, 56)], GREY)
    first.lines(30, 70, ["Bill to: Quill Street School", "Date: 9 October 2023"])
    rows = [
        ["Item", "Quantity", "Price", "Amount"],
        ["Oak shelf", "6", "85.00", "510.00"],
        ["Reading bench", "4", "140.00", "560.00"],
        ["Coat rack", "10", "32.00", "320.00"],
    ]
    first.table(30, 130, rows, [150, 80, 80, 90], 30)
    first.text(430, 280, "Carried forward: 1,390.00", 14, anchor="ra")
    rows = [["Item", "Quantity", "Price", "Amount"], ["Delivery", "1", "60.00", "60.00"]]
    second.table(30, 80, rows, [150, 80, 80, 90], 30)
    second.text(430, 164, "Total due: $1,450.00", 18, anchor="ra", bold=True)
    second.lines(30, 214, ["Please pay within 30 days.", "Account: Hollis & Reed, 55-201-884"])
    return [palette_png(first.done()), palette_png(second.done())]


def documents() -> dict[str, list[Record]]:
    pages = [letter(), form(), receipt(), timetable(), *invoice()]
    asked: list[Asked] = [
        (0, "What is the date of the letter?", ["4 March 2019"]),
        (0, "How many books did Ms Sato give?", ["212"]),
        (0, "Who signed the letter?", ["Peter Okoye"]),
        (1, "What is the date of birth on the form?", ["11/09/1987"]),
        (1, "Which answer is ticked for 'Can you swim?'", ["Yes"]),
        (2, "What is the total on the receipt?", ["$24.30", "24.30"]),
        (2, "What is the receipt number?", ["00418", "No. 00418"]),
        (3, "When does the last boat to Cork Point leave?", ["22:10"]),
        (3, "To which port does the crossing take longest?", ["Dunmere"]),
        (4, "What is the amount for the coat racks?", ["320.00", "$320.00"]),
        (5, "What is the total due?", ["$1,450.00", "1,450.00"]),
    ]
    hidden: list[Asked] = [
        (2, "How much change was given?", None),
        (4, "Who is billed?", None),
    ]
    return {
        split: [
            {
                "questionId": str(first + number),
                "question": question,
                "answers": answers,
                "docId": min(place, 4) + 1,  # the invoice's pages are one document
                "image": pages[place],
            }
            for number, (place, question, answers) in enumerate(these)
        ]
        for split, first, these in (("validation", 7001, asked), ("test", 8001, hidden))
    }


def water() -> bytes:
    page = Page(340, 620, "#e8f4fb")
    page.box(0, 0, 340, 92, BLUE)
    page.text(170, 34, "WATER AT HOME", 28, "white", "mm", bold=True)
    page.text(170, 68, "litres that one person uses each day", 14, "white", "mm")
    uses = [
        ("Shower", 54, TEAL),
        ("Toilet", 36, GREEN),
        ("Laundry", 18, AMBER),
        ("Dishes", 9, RED),
        ("Drinking", 3, BLUE),
    ]
    for number, (label, litres, colour) in enumerate(uses):
        y = 132 + 74 * number
        page.disc(52, y, 26, colour)
        page.text(52, y, str(litres), 22, "white", "mm", bold=True)
        page.text(94, y - 22, label, 18, bold=True)
        page.box(94, y + 4, 4 * litres, 14, colour)
    page.box(20, 486, 300, 110, "white", BLUE, 2, radius=10)
    page.text(170, 514, "A full bath needs", 17, anchor="mm")
    page.text(170, 546, "150 litres", 28, BLUE, "mm", bold=True)
    page.text(170, 576, "Source: Riverside Water Board, 2020", 11, GREY, "mm")
    return png(page.done())


def cycling() -> bytes:
    page = Page(360, 520, "#fff7e6")
    page.text(180, 36, "TOWN ON TWO WHEELS", 25, GREEN, "mm", bold=True)
    page.text(180, 64, "Velmark by bicycle, 2018", 14, GREY, "mm")
    for x in (110, 250):
        page.disc(x, 150, 44, None, INK)
        page.disc(x, 150, 5, INK)
    page.line([(110, 150), (160, 100), (226, 100), (250, 150)], RED, 4)
    page.line([(160, 100), (180, 150), (110, 150)], RED, 4)
    page.line([(180, 150), (226, 100)], RED, 4)
    page.line([(150, 88), (172, 88)], INK, 4)
    page.line([(226, 100), (222, 84), (240, 80)], INK, 3)
    facts = [
        ("41%", "of workers ride to work"),
        ("96 km", "of cycle lanes"),
        ("1 in 5", "children ride to school"),
    ]
    for number, (figure, words) in enumerate(facts):
        y = 236 + 56 * number
        page.box(24, y, 312, 46, "white", AMBER, 2, radius=8)
        page.text(40, y + 23, figure, 22, RED, "lm", bold=True)
        page.text(140, y + 23, words, 15, anchor="lm")
    page.text(24, 418, "Bicycles stolen each year", 15, bold=True)
    for number in range(7):
        colour = RED if number < 3 else "#d9cfbd"
        page.disc(46 + 44 * number, 464, 15, colour)
    page.text(180, 502, "each dot is 100 bicycles; red ones were found again", 11, GREY, "mm")
    return webp(page.done())


def bread() -> bytes:
    page = Page(300, 560, "#f6efe4")
    page.text(150, 36, "FROM FIELD TO LOAF", 23, "#7b4a1e", "mm", bold=True)
    steps = [
        ("1", "Harvest", "August"),
        ("2", "Milling", "2 days"),
        ("3", "Kneading", "15 minutes"),
        ("4", "Resting", "90 minutes"),
        ("5", "Baking", "45 minutes at 220 °C"),
    ]
    for number, (figure, name, time) in enumerate(steps):
        y = 102 + 90 * number
        page.disc(62, y, 28, AMBER)
        page.text(62, y, figure, 24, "white", "mm", bold=True)
        page.text(108, y - 22, name, 19, bold=True)
        page.text(108, y + 4, time, 15)
        if number < 4:
            page.arrow((62, y + 32), (62, y + 58), "#7b4a1e", 3)
    page.text(150, 536, "1 kg of flour makes 14 rolls", 15, "#7b4a1e", "mm")
    return jpeg(page.done())


def infographics() -> dict[str, list[Record]]:
    posters = [("water", water()), ("cycling", cycling()), ("bread", bread())]
    asked: list[Asked] = [
        (0, "How many litres does one person use each day for the shower?", ["54", "54 litres"]),
        (0, "How many litres are needed for a full bath?", ["150", "150 litres"]),
        (0, "How many litres do toilet and laundry take together?", ["54", "54 litres"]),
        (1, "What percentage of workers ride to work?", ["41%", "41"]),
        (1, "How many of the stolen bicycles were found again?", ["300"]),
        (1, "What is the colour of the bicycle's frame?", ["red"]),
        (2, "Which step comes after kneading?", ["Resting"]),
        (2, "How many rolls does 1 kg of flour make?", ["14", "14 rolls"]),
    ]
    hidden: list[Asked] = [(2, "How long does baking take?", None)]
    return {
        split: [
            {
                "questionId": str(first + number),
                "question": question,
                "answers": answers,
                "image_url": f"https://example.org/posters/{posters[place][0]}",
                "image": posters[place][1],
            }
            for number, (place, question, answers) in enumerate(these)
        ]
        for split, first, these in (("validation", 9001, asked), ("test", 9501, hidden))
    }
