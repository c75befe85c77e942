"""The examples of tools, judge models, learned scorers, corpora and clusters: figures worked out by hand."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from evalkit.engine.check import check
from evalkit.engine.plan import make_plan
from evalkit.models.base import Model, Request, Response
from evalkit.models.fake import FakeModel, Script
from evalkit.report.table import build_table
from evalkit.runfile.cells import TableCell
from evalkit.runfile.store import Store
from evalkit.samples import ToolCall
from evalkit.session import execute_plan

EXAMPLES = Path(__file__).parent.parent / "examples" / "tasks"


def run(
    script: Script, name: str, path: Path, judges: Mapping[str, Model] | None = None
) -> Sequence[TableCell]:
    task = EXAMPLES / f"{name}.py"
    plan = make_plan(FakeModel(script), [str(task)], judges=judges)
    asyncio.run(execute_plan(plan, path))
    with Store.open(path, (task,)) as store:
        return build_table([store]).cells


def last(request: Request) -> str:
    if isinstance(request.prompt, str):
        return request.prompt
    assert isinstance(request.prompt, tuple)
    return request.prompt[-1].text


def test_every_example_is_at_most_45_lines_of_the_public_api() -> None:
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 45, path.name
        imported = re.findall(r"^(?:from|import) evalkit.*", text, re.MULTILINE)
        allowed = ("from evalkit.api import ", "from evalkit.scoring import ", "from evalkit import api")
        assert all(line.startswith(allowed) for line in imported), path.name


def test_a_model_that_uses_python_is_right_where_it_asks_for_the_right_product(tmp_path: Path) -> None:
    """Of twelve products it works out those of an odd first factor, and guesses the others as 7."""
    sent: list[tuple[str, ...]] = []

    def student(request: Request, draw: int) -> str | Response:
        sent.append(tuple(tool.name for tool in request.tools))
        assert isinstance(request.prompt, tuple)
        if request.prompt[-1].role == "tool":
            return f"It is {last(request).strip()}."
        a, b = re.findall(r"\d+", last(request))
        if int(a) % 2 == 0:
            return "It is 7."
        code = json.dumps({"code": f"print({a} * {b})"})
        return Response("", tool_calls=(ToolCall("python", code, "call-1"),))

    (cell,) = run(student, "programs", tmp_path / "r.db")
    odd = sum(int(a) % 2 for a in first_factors(tmp_path / "r.db"))
    assert 0 < odd < 12
    assert (cell.value, cell.n) == (100 * odd / 12, 12)
    assert set(sent) == {("python",)}


def first_factors(path: Path) -> list[str]:
    with Store.open(path) as store:
        (cell,) = store.cells()
        return [sample["id"].partition("*")[0] for sample in store.samples(cell)]


def test_a_call_that_is_no_json_fails_its_sample(tmp_path: Path) -> None:
    def student(request: Request, draw: int) -> Response:
        return Response("", tool_calls=(ToolCall("python", "print(1", "c"),))

    (cell,) = run(student, "programs", tmp_path / "r.db")
    assert cell.outcomes["failed"] == 12


def test_letters_are_graded_by_the_judge_model_in_its_role(tmp_path: Path) -> None:
    """Grades 5, 2, 0, and one that the judge gives at the second attempt, 4: 11 / 4."""
    grades = {"window": "Grade: 5", "reply": "Grade: 2", "birthday": "Grade: 0"}

    def grader(request: Request, draw: int) -> str:
        found = next((grade for word, grade in grades.items() if word in last(request)), "")
        return found or ("Fine." if draw == 0 else "Grade: 4")

    judge = FakeModel(grader)
    (cell,) = run(lambda request, draw: "Sorry!", "letters", tmp_path / "r.db", {"grader": judge})
    assert (cell.value, cell.n, judge.asked) == (2.75, 4, 5)


@pytest.mark.slow
def test_names_are_rated_in_worker_processes(tmp_path: Path) -> None:
    """Rowan Mountain as it stands: 1. lake: l, a, k, e of l, a, k, e, t, h, f, r, i, n. Port Alma: p, o, r,
    t, a, l, m of a, l, m, h, r, b, o, u and p, t; the letter a counts half."""
    said = {"Rowan": "Rowan Mountain", "Ferrin": "lake", "Alma": "Port Alma"}

    def student(request: Request, draw: int) -> str:
        return next(text for word, text in said.items() if word in last(request))

    (cell,) = run(student, "alike", tmp_path / "r.db")
    lake = 3.5 / 9.5
    port = (0.5 + len("lmor")) / (0.5 + len("lmhrboupt"))
    assert cell.value == pytest.approx(100 * (1 + lake + port) / 3)
    (result,) = check(str(EXAMPLES / "alike.py"))
    assert (result.gold, result.passed) == (100.0, True)


def test_words_weigh_by_how_few_references_have_them(tmp_path: Path) -> None:
    """ "a" is in all four references and weighs nothing, red and boat are in two, house in one."""
    said = {"1": "a red boat", "2": "a house", "3": "a cat"}

    def student(request: Request, draw: int) -> str:
        return said[last(request)[-2]]

    (cell,) = run(student, "captions", tmp_path / "r.db")
    # References: a red boat; a boat on a lake; a red house; a dog on a hill. Four, each a set of words.
    two, one = math.log(4 / 2), math.log(4 / 1)
    house = one / (two + one)
    assert cell.value == pytest.approx(100 * (1 + house + 0) / 3)


@pytest.mark.slow
def test_of_eight_programs_two_clusters_are_handed_in(tmp_path: Path) -> None:
    """double: five alike are right. square: the right ones are three, the second cluster. next: the right
    one is alone behind two larger clusters. So two of three are solved."""
    right = {"double": "2 * n", "square": "n * n", "next": "n + 1"}
    drawn = {
        "double": [right["double"]] * 5 + ["n", "n", "1 / 0"],
        "square": ["n"] * 4 + [right["square"]] * 3 + ["n ** 3"],
        "next": ["n"] * 4 + ["n - 1"] * 3 + [right["next"]],
    }

    def student(request: Request, draw: int) -> str:
        name = re.findall(r"solve\(n\): (\w+)", last(request))[0]
        return f"def solve(n):\n    return {drawn[name][draw]}\n"

    (cell,) = run(student, "contest", tmp_path / "r.db")
    assert cell.value == pytest.approx(100 * 2 / 3)
    assert cell.n == 3
