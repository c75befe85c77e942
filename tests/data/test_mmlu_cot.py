"""MMLU's chain-of-thought exemplars, over every file that the installed lm-eval ships."""

from __future__ import annotations

import re
import unicodedata

import pytest

from evalkit.data.exemplars import lm_eval_file, task_document
from evalkit.data.mmlu_cot import _fixed, mmlu_cot, mmlu_cot_description, mmlu_cot_repairs
from evalkit.errors import DataError

FOLDER = "mmlu/flan_cot_fewshot"
SUBJECTS = sorted(
    file.stem.removeprefix("mmlu_")
    for file in lm_eval_file(f"{FOLDER}/mmlu_anatomy.yaml").parent.glob("mmlu_*.yaml")
)
FIXED = {
    "abstract_algebra": 2,
    "college_biology": 1,
    "college_chemistry": 1,
    "college_mathematics": 7,
    "high_school_chemistry": 3,
}
FOUR = {"college_chemistry", "formal_logic", "human_aging"}


def written(subject: str) -> list[dict[str, str]]:
    """The exemplars as the file has them."""
    document = task_document(f"{FOLDER}/mmlu_{subject}.yaml")
    return [dict(shot) for shot in document["fewshot_config"]["samples"]]


def test_there_are_57_subjects() -> None:
    assert len(SUBJECTS) == 57


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_subject_s_exemplars_are_whole(subject: str) -> None:
    shots = mmlu_cot(subject)
    assert len(shots) == (4 if subject in FOUR else 5)
    for shot in shots:
        for text in shot:
            assert text == text.strip()
            controls = {c for c in text if unicodedata.category(c) == "Cc"} - {"\n"}
            assert not controls or (subject == "formal_logic" and controls == {"\t"})
            # A command's rest where its beginning was lost; an "ight" or "rac" is no word.
            assert not re.search(r"(?<![A-Za-z\\])(?:rac|actorial|ight|ightarrow|imes|heta|eq)\b", text)
        assert re.search(r"\n\(A\)[\s\S]+\(B\)[\s\S]+\(C\)[\s\S]+\(D\)", shot.question)
        assert shot.target.startswith("Let's think step by step.")
        assert re.search(r"The answer is \([A-D]\)\.\Z", shot.target) or (
            shot is shots[3] and subject == "college_chemistry" and shot.target.endswith("is (E).")
        )
    name = subject.replace("_", " ")
    header = "The following are multiple choice questions (with answers) about"
    assert mmlu_cot_description(subject) == f"{header} {name}."


def test_the_subjects_that_were_fixed_and_no_others() -> None:
    assert mmlu_cot_repairs() == FIXED
    for subject in SUBJECTS:
        before = [text.strip() for shot in written(subject) for text in shot.values()]
        after = [text for shot in mmlu_cot(subject) for text in (shot.question, shot.target)]
        assert (sorted(before) == sorted(after)) is (subject not in FIXED)


def test_what_was_fixed_is_latex_again() -> None:
    def commands(subject: str) -> list[str]:
        texts = [text for shot in mmlu_cot(subject) for text in shot]
        lost = [text for shot in written(subject) for text in shot.values()]
        found = re.findall(r"\\[a-z]+", "".join(texts))
        for command in re.findall(r"\\[a-z]+", "".join(lost)):
            found.remove(command)
        return found

    assert commands("abstract_algebra") == [r"\factorial", r"\rightarrow"]
    assert commands("college_biology") == commands("college_chemistry") == [r"\frac"]
    fracs, rights = [r"\frac"] * 5, [r"\right"] * 2
    assert sorted(commands("college_mathematics")) == sorted(fracs + rights)
    assert commands("high_school_chemistry") == [r"\frac", r"\frac", r"\rightarrow"]
    assert r"$S_n$ has $\factorial{n}$ elements" in mmlu_cot("abstract_algebra")[1].question
    assert r"$\sqrt{\frac{1}{400}} = 0.05$" in mmlu_cot("college_biology")[1].target
    assert r"\left[-\frac{t}{25}\right]" in mmlu_cot("college_mathematics")[4].target


@pytest.mark.parametrize(
    ("lost", "fixed", "count"),
    [
        ("\x0crac{1}{2}", r"\frac{1}{2}", 1),
        ("$\nrac{1}{2}$ and $\x0crac{1}{3}$", r"$\frac{1}{2}$ and $\frac{1}{3}$", 2),
        ("x \nightarrow y", r"x \rightarrow y", 1),
        ("\\left( x \right)", r"\left( x \right)", 1),
        ("3 \times 4", r"3 \times 4", 1),
        ("a \neq b", r"a \neq b", 1),
        ("\x07lpha and \x08eta and \x0barphi", r"\alpha and \beta and \varphi", 3),
        # What only looks like it.
        (r"\frac{1}{2} \times \right", r"\frac{1}{2} \times \right", 0),
        ("a table\textbook of\tequations", "a table\textbook of\tequations", 0),
        ("Of these\nright angles and\nracks are\nequal.", "Of these\nright angles and\nracks are\nequal.", 0),
        ("Ag\t/ (∃x)Ax", "Ag\t/ (∃x)Ax", 0),
        ("one\r\ntwo", "one\r\ntwo", 0),
        ("", "", 0),
        (" \n a \n\n", "a", 0),
    ],
)
def test_a_lost_backslash(lost: str, fixed: str, count: int) -> None:
    assert _fixed(lost) == (fixed, count)
    assert _fixed(fixed) == (fixed, 0)


def test_a_subject_that_there_is_not() -> None:
    with pytest.raises(DataError, match=r"has no tasks/mmlu/flan_cot_fewshot/mmlu_alchemy\.yaml"):
        mmlu_cot("alchemy")
    for name in ("", "../anatomy", "Anatomy", "high school biology"):
        with pytest.raises(
            DataError, match="is not a subject of MMLU: subjects are written like abstract_algebra"
        ):
            mmlu_cot(name)
