"""The letter that a chat gave, and the one that a chain of thought ended in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.samples import Sample
from evalkit.scoring.letter import chat_letter, cot_letter
from tests.growth import takes_time_in_proportion

SAMPLE = Sample(
    "cities", "Which is a capital?", ("B",), choices=("Lyon", "Rome", "A cat is an animal", "Oslo and Bergen")
)
NUMBERS = Sample("sum", "2 + 2?", ("D",), choices=("1", "2", "3", "4"))
TEN = Sample("ten", "Which?", ("I",), choices=tuple("qrstuvwxyz"))

# text: (what a chat answered with it, what a chain of thought ended in with it)
CASES: dict[str, tuple[str | None, str | None]] = {
    "": (None, None),
    " \n": (None, None),
    ".": (None, None),
    "A": ("A", "A"),
    " B": ("B", "B"),
    "b": ("B", "B"),
    "a.": ("A", "A"),
    "C.": ("C", "C"),
    "(B)": ("B", "B"),
    "(b)": ("B", "B"),
    "[C]": ("C", "C"),
    "D)": ("D", "D"),
    "B:": ("B", "B"),
    '"B"': ("B", "B"),
    "'B'": ("B", "B"),
    "‘B’": ("B", "B"),
    "<B>": ("B", "B"),
    "**D**": ("D", "D"),
    "*D*": ("D", "D"),
    "__D__": ("D", "D"),
    "`D`": ("D", "D"),
    "**(D)**": ("D", "D"),
    "$C$": ("C", "C"),
    r"\(C\)": ("C", "C"),
    r"\text{C}": ("C", "C"),
    "（Ｂ）": ("B", "B"),
    "Ｄ": ("D", "D"),
    "𝐁": ("B", "B"),
    "⒝": ("B", "B"),
    "E": (None, None),
    "(E)": (None, None),
    "I": (None, None),
    "AB": (None, None),
    "UNABLE": (None, None),
    "A-level": (None, None),
    "A's": (None, None),
    # A choice, quoted exactly and alone.
    "Rome": ("B", None),
    ' "Rome". ': ("B", None),
    "**Rome**": ("B", None),
    "Oslo  and\nBergen": ("D", None),
    "A cat is an animal": ("C", None),
    "A cat is an animal.": ("C", None),
    "rome": (None, None),
    "Rome or Oslo": (None, None),
    "The answer is Rome": (None, None),
    "None of the above": (None, None),
    # A letter with its choice, or with more.
    "B. Rome": ("B", "B"),
    "B) Rome": ("B", "B"),
    "(B) Rome": ("B", "B"),
    "B Rome": ("B", "B"),
    "B: Rome": ("B", "B"),
    "B - Rome": ("B", "B"),
    "**B.** Rome": ("B", "B"),
    "- B": ("B", "B"),
    "B. It has been one since 1871.": ("B", None),
    "B\n\nOption A is a city too.": ("B", None),
    "B\n\nLyon (A) is none.": ("B", None),
    "It must be one of the four.\n\nB": ("B", "B"),
    "C Rome": (None, None),
    # Articles, pronouns and other words.
    "A cat is nice": (None, None),
    "A Rome": (None, None),
    "I do not know.": (None, None),
    "I think so": (None, None),
    "Vitamin C is needed": (None, None),
    "It has vitamin D.": (None, None),
    "C is a language": (None, None),
    "f(a) is b": (None, None),
    "x_{B}": (None, None),
    # Declared.
    "Answer: A": ("A", "A"),
    "Answer: (c)": ("C", "C"),
    "Answer：Ｃ": ("C", "C"),
    "ANSWER: C": ("C", "C"),
    "Answer:\n\nC": ("C", "C"),
    "Answer: **C**": ("C", "C"),
    "**Answer:** C": ("C", "C"),
    "Answer: C. Lyon": ("C", "C"),
    "Answer = C": ("C", "C"),
    "Answer -> C": ("C", "C"),
    "Final answer — C": ("C", "C"),
    "The answer is (B).": ("B", "B"),
    "The answer is B": ("B", "B"),
    "The answer is b.": ("B", "B"),
    "The answer is: B": ("B", "B"),
    "The answer is:\n(B)": ("B", "B"),
    'The answer is "B".': ("B", "B"),
    "The answer is \\(B\\).": ("B", "B"),
    "The answer is option (d).": ("D", "D"),
    "The answer is the letter D.": ("D", "D"),
    "The answer is therefore (D).": ("D", "D"),
    "The answer is most likely D.": ("D", "D"),
    "The answer must be D.": ("D", "D"),
    "The answer to the question, of the four, is D.": ("D", "D"),
    "The answer is B (Rome).": ("B", "B"),
    "The answer is A because of this": ("A", "A"),
    "The answer is A, and C is wrong.": ("A", "A"),
    "The correct option is C) Rome": ("C", "C"),
    "The right choice: D": ("D", "D"),
    "Option C is correct.": ("C", "C"),
    "(C) is the correct answer": ("C", "C"),
    "A is the best answer": ("A", "A"),
    "B is incorrect. C is correct.": ("C", "C"),
    "I'd go with B.": ("B", None),
    "I choose (B)": ("B", None),
    "It's B!": ("B", None),
    "I think C.": ("C", None),
    r"\boxed{D}": ("D", "D"),
    r"$\boxed{(D)}$": ("D", "D"),
    r"\boxed{\text{(B)}}": ("B", "B"),
    r"\boxed{B. Rome}": ("B", "B"),
    r"\boxed{d}": ("D", "D"),
    "So \\boxed{B}\n\nRome is the only capital.": ("B", "B"),
    r"\boxed{A + B}": (None, None),
    r"\boxed{4}": (None, None),
    r"The answer is $\boxed{B}$.": ("B", "B"),
    # Several.
    "A, B": (None, None),
    "A and B": (None, None),
    "A/B": (None, None),
    "Both (A) and (B)": (None, None),
    "(A) Lyon\n(B) Rome\n(C) Oslo\n(D) Bern": (None, None),
    "(A) Lyon\n(B) Rome\n(C) Oslo\nThe answer is (B)": ("B", "B"),
    "(A) is wrong, (C) seems fine, (B) is better": (None, None),
    "The answer is A and B.": (None, None),
    "The answer is A or B.": (None, None),
    "The answer is (A) & (B)": (None, None),
    "The answer is (A), (B).": (None, None),
    "The answer is A and A.": ("A", "A"),
    "The answer is (A). No, the answer is (B).": ("B", "B"),
    "The answer is (A).\nThe answer is (A) or (B).": (None, None),
    "The answer is (A).\nThe answer is unclear.": ("A", "A"),
    "C\n\nThe answer is D": ("D", "D"),
    "The answer is D\n\nC": ("C", "D"),
    r"The answer is (A). \boxed{B}": ("B", "A"),
    # Not declared.
    "The answer is not A.": (None, None),
    "The answer isn't (A)": (None, None),
    "It is not (A).": (None, None),
    "Option A is wrong.": (None, None),
    "(A) is not a capital.": (None, None),
    "Option A is wrong, so option B": ("B", "B"),
    "The answer cannot be A.": (None, None),
    "The answer is never B": (None, None),
    "Answer: A cat": (None, None),
    "The answer is a cat": (None, None),
    "The answer is a.": ("A", "A"),
    "The answer is E.": (None, None),
    "Answer: none": (None, None),
    "The answer. B it may be": (None, None),
    # Tags, headings, and brackets and signs of other scripts.
    "<answer>B</answer>": ("B", "B"),
    "First (A).\n<Final_Answer>\n(B)\n</Final_Answer>": ("B", "B"),
    "<b>B</b>": ("B", "B"),
    "The answer is <strong>(B)</strong>.": ("B", "B"),
    "<p>B<br>Because of the rest.</p>": ("B", None),
    "#### B": ("B", "B"),
    "It is no village.\n## B": ("B", "B"),
    "A #B": (None, None),
    "「B」": ("B", "B"),
    "The answer is 【B】.": ("B", "B"),
    "The answer is «B».": ("B", "B"),
    "The answer is <<B>>.": ("B", "B"),
    "The answer is [[B]]": ("B", "B"),
    "👉 B": ("B", "B"),
    "Answer: ✅ B": ("B", "B"),
    "Answer ➡️ B": ("B", "B"),
    "❌ A": (None, None),
    "🅱": ("B", "B"),
    "The answer is... B": ("B", "B"),
    "1. B": ("B", "B"),
    "1. A is wrong": (None, None),
    "B – Rome": ("B", "B"),
    "B because of its age": ("B", None),
    "A: B": ("B", "B"),
    "A: (C) A cat is an animal": ("C", "C"),
    "A: Lyon": ("A", "A"),
    "A: C is a language": ("A", None),
    "A: The answer is B.": ("B", "B"),
    # Look-alikes, and other languages.
    "В": ("B", "B"),
    "(С)": ("C", "C"),
    "The answer is А.": ("A", "A"),
    "The answer is Β.": ("B", "B"),
    "В 1999 году": (None, None),
    "А, Б, В": (None, None),
    "Ответ: В": ("B", "B"),
    "Die Antwort ist B.": ("B", "B"),
    "Die Antwort ist nicht B.": (None, None),
    "La respuesta es (B).": ("B", "B"),
    "La réponse est B.": ("B", "B"),
    "La réponse n'est pas B.": (None, None),
    "答案：B": ("B", "B"),
    "答案是B。": ("B", "B"),
    "答案不是B": (None, None),
    "正解はBです": ("B", "B"),
    "정답은 B": ("B", "B"),
    # What a chain ends with.
    "Therefore, B.": ("B", "B"),
    "Lyon is none. So B": ("B", "B"),
    "Lyon is none, hence option (B).": ("B", "B"),
    "Thus (B) Rome": ("B", "B"),
    "So A cat": (None, None),
    "So B is left.": (None, None),
    "Option B": ("B", "B"),
    "Correct: B": ("B", "B"),
    "Conclusion: B. Rome": ("B", "B"),
    "The only correct statement is B.": ("B", "B"),
    "My guess is B": ("B", "B"),
    "The answer is Rome (B).": ("B", "B"),
    "The answer is Oslo (B).": ("B", None),
    r"The answer is (A)? No, the answer is $\boxed{B}$.": ("B", "B"),
    r"So $\boxed{\text{(B) Rome}}$": ("B", "B"),
    "Option C is correct.\nOr so it seems.": ("C", None),
    "(A) Lyon\n(B) Rome": (None, None),
    "Option A is right.\n(B) Rome is right.\nB": ("B", "B"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "letters"), CASES.items())
def test_the_letter_of_a_text(text: str, letters: tuple[str | None, str | None]) -> None:
    assert (chat_letter(text, SAMPLE), cot_letter(text, SAMPLE)) == letters


def test_a_choice_may_be_a_number_or_a_letter() -> None:
    assert chat_letter("4", NUMBERS) == "D"
    assert chat_letter("4.", NUMBERS) == "D"
    assert chat_letter("2 + 2 = 4", NUMBERS) is None
    swapped = Sample("swapped", "Which letter?", ("B",), choices=("B", "A", "C", "D"))
    assert chat_letter("A", swapped) == "A", "a letter is the name of a choice before it is one"
    twice = Sample("twice", "Which?", ("A",), choices=("Rome", "Rome", "Oslo", "Bern"))
    assert chat_letter("Rome", twice) is None


def test_the_letters_are_those_of_the_sample_s_choices() -> None:
    two = Sample("two", "Yes or no?", ("A",), choices=("yes", "no"))
    for text in ("The answer is (C).", "C", "(C)", r"\boxed{C}"):
        assert (chat_letter(text, two), cot_letter(text, two)) == (None, None)
    assert chat_letter("The answer is (J).", TEN) == cot_letter("The answer is (J).", TEN) == "J"
    assert chat_letter("I", TEN) == chat_letter("The answer is I.", TEN) == "I"
    assert chat_letter("I think the answer is C.", TEN) == "C"
    assert chat_letter("I am not sure", TEN) is None


def test_without_choices_there_is_no_letter() -> None:
    for text in ("", "A", "The answer is (A).", r"\boxed{A}"):
        sample = Sample("none", "How many?", ("4",))
        assert (chat_letter(text, sample), cot_letter(text, sample)) == (None, None)


def test_a_chain_of_thought_may_be_long() -> None:
    chain = "First (A) looks right, and so the answer is (A). Or not. " * 300
    assert cot_letter(f"{chain}So the answer is (C).", SAMPLE) == "C"
    assert cot_letter(chain, SAMPLE) == "A"


@settings(deadline=None)
@given(st.sampled_from("ABCD"), st.sampled_from("ABCD"), st.booleans())
def test_the_last_declaration_counts(first: str, last: str, lower: bool) -> None:
    letter = last.lower() if lower else last
    text = f"Let's think. The answer is ({first}). On second thought the answer is ({letter})."
    assert chat_letter(text, SAMPLE) == cot_letter(text, SAMPLE) == last


@settings(deadline=None)
@given(st.text() | st.text(alphabet="ABCDabcdI answeri:s().,\n*$\\{}boxed-'’é", max_size=60))
def test_no_text_raises(text: str) -> None:
    for found in (chat_letter(text, SAMPLE), cot_letter(text, SAMPLE)):
        assert found is None or found in "ABCD"


@pytest.mark.parametrize(
    "unit",
    [
        "(A)", "Answer: A ", "\\boxed{", " ",
        *(
            pytest.param(unit, marks=pytest.mark.slow)
            for unit in ("A ", "answer is ", "is ", "[", "* ", "_", "A\n", "A,", "\\text{")
        ),
    ],
)  # fmt: skip
def test_a_megabyte_takes_no_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    for read in (chat_letter, cot_letter):
        takes_time_in_proportion(lambda answer, read=read: read(answer, SAMPLE), text)  # type: ignore[misc]
