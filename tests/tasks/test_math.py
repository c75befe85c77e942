"""MATH: its prompts to the letter, which rule decides, what it needs, its figures on the small set."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from evalkit.tasks import math

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import Scorer, Verdict, load_task
from evalkit.data.base import DataOptions
from evalkit.data.exemplars import returned_samples
from evalkit.engine.check import check
from evalkit.engine.plan import make_plan
from evalkit.errors import DataError, UsageError
from evalkit.models.fake import FakeModel
from evalkit.processes.workers import Workers
from evalkit.samples import Message, Sample
from evalkit.scoring import symbolic
from evalkit.session import run

SMALL = DataOptions(small_sets=True)
FOUR_SHOT, ZERO_SHOT = load_task("math").protocols
ROW = {
    "problem": "What is $3 + 4$?",
    "level": "Level 1",
    "type": "Prealgebra",
    "solution": "Not $\\boxed{8}$: $3 + 4 = \\boxed{ 7\\text{ apples} }$.",
}


@pytest.fixture(scope="module", autouse=True)
def no_worker_left() -> Iterator[None]:
    yield
    math.workers().close()


def sent(protocol: Protocol) -> str:
    prompt = math.prompt(math.to_sample(ROW), protocol)
    if isinstance(prompt, str):
        return prompt
    assert isinstance(prompt, tuple)
    (message,) = prompt
    assert message == Message("user", message.content)
    return str(message.content)


def judged(answer: str, reference: str, scorer: Scorer = math.score) -> Verdict:
    async def one() -> Verdict:
        found = scorer(answer, Sample(id="", input="", target=(reference,)))
        return await found if inspect.isawaitable(found) else found

    return asyncio.run(one())


def test_a_record() -> None:
    sample = math.to_sample(ROW)
    assert sample.target == ("7\\text{ apples}",)
    assert (sample.group, sample.tags) == ("Prealgebra", ("Level 1",))
    assert sample.id == math.to_sample({**ROW, "solution": "$\\boxed{9}$"}).id
    assert sample.id != math.to_sample({**ROW, "type": "Algebra"}).id
    with pytest.raises(ValueError, match="nothing boxed in the solution of 'What is"):
        math.to_sample({**ROW, "solution": "7"})


def test_the_four_shot_prompt() -> None:
    text = sent(FOUR_SHOT)
    assert text.startswith(
        "Problem:\nFind the domain of the expression  $\\frac{\\sqrt{x-2}}{\\sqrt{5-x}}$.\n\n"
    )
    assert text.endswith("\n\nProblem:\nWhat is $3 + 4$?\n\nSolution:")
    blocks = text.split("\n\nProblem:\n")
    assert len(blocks) == 5
    answers = ["[2,5)", "24", "16", "-\\frac{2}{3}"]
    for block, answer in zip(blocks, answers, strict=False):
        assert "\n\nSolution:\n" in block
        assert block.endswith(f"\nFinal Answer: The final answer is ${answer}$. I hope it is correct.")
    assert sent(FOUR_SHOT.override({"api": "completion"})) == text
    assert sent(FOUR_SHOT.override({"shots": "1"})) == f"{blocks[0]}\n\nProblem:\n{blocks[4]}"
    assert sent(FOUR_SHOT.override({"shots": "0"})) == f"Problem:\n{blocks[4]}"
    assert FOUR_SHOT.stop == ("\nProblem:",)
    assert FOUR_SHOT.temperature == 0


def test_the_zero_shot_prompt() -> None:
    text = sent(ZERO_SHOT)
    assert text.startswith("What is $3 + 4$?\n\n")
    assert text.endswith("\\boxed{}.")
    assert sent(ZERO_SHOT.override({"api": "completion"})) == text


def test_exemplars_that_are_not_where_they_were_are_an_error_that_names_the_file() -> None:
    with pytest.raises(DataError, match=r"minerva_math/utils\.py has no function list_samples"):
        returned_samples("minerva_math/utils.py", "list_samples")
    with pytest.raises(DataError, match=r"utils\.py has no function doc_to_text that returns a list"):
        returned_samples("minerva_math/utils.py", "doc_to_text")


def test_each_protocol_reads_its_own_form() -> None:
    task = load_task("math")
    text = "So $\\boxed{7}$.\nFinal Answer: The final answer is $8$. I hope it is correct."
    assert task.extract(FOUR_SHOT)(text, math.to_sample(ROW)) == "8"
    assert task.extract(FOUR_SHOT.override({"shots": "2"}))(text, math.to_sample(ROW)) == "8"
    assert task.extract(ZERO_SHOT)(text, math.to_sample(ROW)) == "7"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "reference", "verdict"),
    [
        ("12 \\text{ cm}", "12", Verdict(True, "exact")),
        ("y = (x+1)^2", "x^2+2x+1", Verdict(True, "sympy")),
        ("0.3333", "\\frac{1}{3}", Verdict(True, "numeric")),
        ("7", "8", Verdict(False, "different")),
        ("\\text{none}", "(2,3)", Verdict(False, "different")),
        ("", "8", Verdict(False, "different")),
        ("", "", Verdict(False, "different")),
        ("7" * 5001, "7", Verdict(False, "over 5000 characters")),
        ("7" * 5001, "7" * 5001, Verdict(False, "over 5000 characters")),
    ],
)
def test_the_reason_is_the_rule_that_decided(answer: str, reference: str, verdict: Verdict) -> None:
    assert judged(answer, reference) == verdict


@pytest.mark.slow
def test_an_endless_expression_is_not_equal_and_the_reason_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Workers(symbolic.prepare, cpu_seconds=1.0)
    monkeypatch.setattr(math, "workers", lambda: quick)
    over = Verdict(False, "over 1 s of CPU time")
    assert judged("99999999999!", "7") == over
    assert judged("99999999999!", "7", math.score_by_math_verify) == over
    assert judged("99999999999!", "99999999999!") == Verdict(True, "exact")
    assert judged("7.00001", "7") == Verdict(True, "numeric")
    quick.close()


@pytest.mark.slow
def test_the_further_judges() -> None:
    assert judged("-1/2", "-\\frac{1}{2}") == Verdict(True, "sympy")
    assert judged("-1/2", "-\\frac{1}{2}", math.score_by_hendrycks) == Verdict(False, "spelled differently")
    assert judged("(1, 2)", "\\left(1,2\\right)", math.score_by_hendrycks) == Verdict(True, "spelled alike")
    assert judged("\\{2,1\\}", "\\{1,2\\}", math.score_by_math_verify) == Verdict(True, "verified")
    assert judged("7", "8", math.score_by_math_verify) == Verdict(False, "different")
    for scorer in (math.score_by_hendrycks, math.score_by_math_verify):
        assert judged("7" * 5001, "7", scorer) == Verdict(False, "over 5000 characters")


@pytest.mark.slow
def test_references_score_all_by_every_judge_and_wrong_ones_nothing() -> None:
    results = list(check("math", SMALL))
    assert [(r.protocol, r.samples, r.gold, r.wrong) for r in results] == [
        ("4-shot", 14, 100.0, 0.0),
        ("0-shot-boxed", 14, 100.0, 0.0),
    ]
    assert all(result.passed for result in results)
    assert results[0].others == {"accuracy (hendrycks)": 100.0, "accuracy (math-verify)": 100.0}


@pytest.mark.slow
def test_figures_by_subject_and_level(tmp_path: Path) -> None:
    table = run("fake/gold?wrong=0.5&seed=3", "math:4-shot", output=tmp_path / "r.db", data="builtin")
    assert [cell.metric for cell in table.cells] == [
        "accuracy", "accuracy (hendrycks)", "accuracy (math-verify)"
    ]  # fmt: skip
    headline = table.cells[0]
    assert {
        "Algebra",
        "Counting & Probability",
        "Precalculus",
        "Level 1",
        "Level 5",
    } <= headline.groups.keys()
    assert len([name for name in headline.groups if not name.startswith("Level")]) == 7


def test_what_judged_is_noted() -> None:
    (cell,) = make_plan(FakeModel(lambda request, draw: ""), ["math:4-shot"], data=SMALL).cells
    notes = cell.task.notes(cell.protocol)
    assert notes.keys() == symbolic.NEEDED.keys()
    assert str(notes["antlr4-python3-runtime"]).startswith("4.11.")


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("antlr4-python3-runtime", "4.13.2", r"antlr4-python3-runtime 4\.11\.\*, and 4\.13\.2 is installed"),
        ("antlr4-python3-runtime", "4.9.3", r"4\.9\.3 is installed, with which SymPy parses no LaTeX"),
        ("antlr4-python3-runtime", "4.110.0", r"4\.110\.0 is installed"),
        ("antlr4-python3-runtime", "", "antlr4-python3-runtime, which is not installed"),
        ("math-verify", "", "math-verify, which is not installed"),
        ("sympy", "", "sympy, which is not installed"),
    ],
)
def test_what_is_missing_is_named_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, name: str, version: str, words: str
) -> None:
    installed = symbolic.versions()
    monkeypatch.setattr(symbolic, "versions", lambda: {**installed, name: version})
    with pytest.raises(UsageError, match=words) as error:
        symbolic.needs()
    assert "pip install 'evalkit[math]'" in str(error.value)


def test_a_parser_that_does_not_parse_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    symbolic.needs()
    monkeypatch.setitem(sys.modules, "sympy.parsing.latex", None)
    with pytest.raises(UsageError, match=r"SymPy parses no LaTeX here \(ModuleNotFoundError"):
        symbolic.needs()


@pytest.mark.slow
def test_with_a_wrong_version_nothing_is_asked(tmp_path: Path) -> None:
    """A real installation of the wrong version, as far as Python can tell: its metadata come first."""
    metadata = tmp_path / "packages" / "antlr4_python3_runtime-4.13.2.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: antlr4-python3-runtime\nVersion: 4.13.2\n")
    output = tmp_path / "r.db"
    command = ["run", "-m", "fake/gold", "-t", "math:4-shot", "--data", "builtin", "-o", str(output)]
    ended = subprocess.run(
        [sys.executable, "-m", "evalkit", *command],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "packages")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "4.13.2 is installed" in ended.stderr
    assert "pip install 'evalkit[math]'" in ended.stderr
    assert not output.exists()
