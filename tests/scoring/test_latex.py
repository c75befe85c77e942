"""Boxes, formulas and statements in responses. What official scorers make of them: tests/conformance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.scoring.hendrycks import same_spelling
from evalkit.scoring.latex import boxed_answer, inside_dollars, plain_formula
from evalkit.scoring.minerva import normalize, stated_answer
from tests.growth import takes_time_in_proportion

STATED = "Final Answer: The final answer is {}. I hope it is correct."
_MARKS = ["{", "}", "$", "$$", "=", "/", "\\", "\\$", "\n", "\n\n", " ", "7", "ft", "a ", "é"]
_COMMANDS = ["\\boxed{", "\\boxed ", "\\fbox{", "\\text{", "\\frac", "\\sqrt"]
_WORDS = ["Final Answer: The final answer is", ". I hope it is correct"]
PIECES = st.lists(st.sampled_from(_MARKS + _COMMANDS + _WORDS), max_size=12).map("".join)
LONG = {
    "dollars": "$" * 100_000,
    "one dollar": "$" + "x" * 100_000,
    "boxes": "\\boxed{" * 20_000,
    "bare boxes": "\\boxed " * 20_000,
    "braces": "\\boxed" + "{" * 50_000 + "7" + "}" * 50_000,
    "statements": "Final Answer: The final answer is" * 5_000,
    "open brackets": "\\(" * 50_000,
    "open squares": "\\[x" * 50_000,
    "stars": "Final Answer" + "*" * 100_000,
    "stars in a statement": "Final Answer: The final answer is" + "*" * 100_000,
    "blanks in a statement": "Final Answer: The final answer is 5" + " " * 100_000,
    "closings": "Final Answer: The final answer is" + ". I hope it is correc" * 5_000,
}


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("", None),
        ("$", None),
        ("$$", None),
        ("$$$$", None),
        ("7", None),
        ("$7$", "7"),
        ("is $ 7 $.", "7"),
        ("$$7$$", "7"),
        ("$7", None),
        ("\\$7", None),
        ("\\$7 and \\$8", None),
        ("$\\$7$", "\\$7"),
        ("$7\\$", None),
        ("$3$ or $4$", None),
        ("$a\nb$", "a\nb"),
        ("$\\text{a \\$ b}$", "\\text{a \\$ b}"),
        ("is \\( 7 \\).", "7"),
        ("is \\[\n7\n\\]", "7"),
        ("\\(3\\) or \\(4\\)", None),
        ("$3$ or \\(4\\)", None),
        ("\\\\[2pt] 7", None),
        ("\\(7", None),
    ],
)
def test_inside_dollars(text: str, formula: str | None) -> None:
    assert inside_dollars(text) == formula


@pytest.mark.parametrize(
    "answer", ["7", "\\frac{1}{2}", "\\{1, 2\\}", "\\$5", "[2,5)", "90\\text{ square\nunits}"]
)
def test_an_answer_is_read_as_it_was_written(answer: str) -> None:
    assert boxed_answer(f"First \\boxed{{0}}, then $\\boxed{{{answer}}}$.") == answer
    assert stated_answer(f"First \\boxed{{0}}.\n{STATED.format(f'${answer}$')}") == answer
    assert stated_answer(STATED.format(f"$\\boxed{{{answer}}}$")) == answer
    assert stated_answer(f"So it is $\\boxed{{{answer}}}$.") == answer


@given(PIECES)
def test_whatever_a_model_writes_something_or_nothing_is_read(text: str) -> None:
    for read in (boxed_answer, inside_dollars, stated_answer):
        found = read(text)
        assert found is None or (found in text and found == found.strip())
    assert isinstance(normalize(text), str)
    assert same_spelling(text, text)


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_reading_takes_time_in_proportion(text: str) -> None:
    takes_time_in_proportion(boxed_answer, text)
    takes_time_in_proportion(stated_answer, text)


@pytest.mark.parametrize("piece", ["$", "\\text{", "\\boxed{", "\\frac", "{", "=", "ft", "1,000", "\\sqrt["])
def test_normalising_the_longest_answer_that_is_judged_is_quick(piece: str) -> None:
    text = (piece * 5000)[:5000]
    takes_time_in_proportion(normalize, text)
    takes_time_in_proportion(lambda answer: same_spelling(answer, answer), text)


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        (r"\left(1,2\right)", "(1,2)"),
        (r"\bigl[1,2\bigr)", "[1,2)"),
        (r"\left\{1\right\}", r"\{1\}"),
        (r"\left.x\right|", "x|"),
        (r"x \rightarrow \leftarrow", r"x \rightarrow \leftarrow"),
        (r"3\,000", "3000"),
        (r"(1,\,2)", "(1,2)"),
        (r"1\!2", "12"),
        (r"\sin\,x", r"\sin\,x"),
        (r"\begin{pmatrix} 1 \\ 2 \\ \end{pmatrix}", r"\begin{pmatrix} 1 \\2 \end{pmatrix}"),
        (r"\begin{pmatrix}1\\[2pt]2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        (r"\displaystyle \dfrac12", r"\frac12"),
        (r"\(5\)", "5"),
        (r"\[5\]", "5"),
        ("**5**", "5"),
        ("(1,2).", "(1,2)"),
        ("5.", "5."),
        ("−5", "-5"),
        ("90°", r"90^\circ"),
        (r"90{}^{\circ}", r"90^\circ"),
        ("2π", r"2\pi"),
        ("πr", r"\pi r"),
        ("x² + √(x+1)", r"x^{2} + \sqrt{x+1}"),
        ("１２", "12"),
        (r"x\leq5", r"x\le5"),
        (r"\mathrm{cm}", r"\text{cm}"),
        (r"\mathrm{th}", r"\mathrm{th}"),
    ],
)
def test_a_formula_has_one_spelling(spelled: str, plain: str) -> None:
    assert plain_formula(spelled) == plain == plain_formula(plain)


@pytest.mark.parametrize(
    "text",
    [
        "Final Answer: The final answer is \\(7\\). I hope it is correct.",
        "Final Answer: The final answer is \\[7\\] I hope it is correct.",
        "Final Answer: The final answer is\n\n\\[\n7\n\\]\n\nI hope it is correct.",
        "Final Answer: The final answer is\n$$\n7\n$$",
        "**Final Answer:** The final answer is $7$. I hope it is correct.",
        "**Final Answer**: The final answer is $7$",
        "## Final Answer\n\nThe final answer is **$7$**. I hope it is correct.",
        "**Final Answer: The final answer is $7$. I hope it is correct.**",
        "Final Answer: The final answer is **7**.",
    ],
)
def test_emphasis_and_delimiters_do_not_hide_a_statement(text: str) -> None:
    assert stated_answer(text) == "7"
