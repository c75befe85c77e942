"""What a solver asks becomes a transcript: stored, resumed, read again and compared."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evalkit import run
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel
from evalkit.runfile.sample_records import SampleRecords
from evalkit.runfile.store import Store
from tests.cli.conftest import Cli
from tests.openai_server import OpenAIServer, Payload
from tests.processes import finish, start, wait_for_draws
from tests.toolbox import calculator


def uses(log: Path) -> list[str]:
    return log.read_text("utf-8").split("\n")[:-1]


def student(style: str) -> FakeModel:
    """Uses the calculator, in words of its own; "sure" works out the first samples in its head."""

    def say(request: Request, draw: int) -> str:
        assert isinstance(request.prompt, tuple)
        last = request.prompt[-1].text
        if found := re.search(r"It gives (\d+)", last):
            return f"The answer is {found[1]}."
        a, b = re.findall(r"(\d+) \+ (\d+)", last)[-1]
        if style == "sure" and int(a) < 4:
            return f"The answer is {int(a) + int(b) + (a == '3')}."
        return f"CALC: {a} + {b}" if style == "plain" else f"CALC:  {a}+{b}"

    return FakeModel(say, f"fake/{style}")


def test_variants_read_the_same_transcript_and_use_no_tool_again(tmp_path: Path) -> None:
    task, log = calculator(tmp_path)
    cells = run(student("plain"), task, output=tmp_path / "r.db").cells
    assert {cell.metric: cell.value for cell in cells} == {
        "accuracy": 100.0,
        "accuracy (stated)": 100.0,
        "accuracy (first)": 100.0,
    }
    assert len(uses(log)) == len(set(uses(log))) == 12
    with Store.open(tmp_path / "r.db") as store:
        (cell,) = store.cells()
        asked = SampleRecords(store, cell).read(5)
    turns = asked.transcript().turns
    assert [(turn.tool, turn.response.text) for turn in turns] == [
        ("", "CALC: 5 + 5"),
        ("calculator", "10"),
        ("", "The answer is 10."),
    ]
    assert asked.requests[1].body["prompt"] == "5 + 5"


def test_each_draw_has_its_own_turns_and_tools(tmp_path: Path) -> None:
    task, log = calculator(tmp_path)
    cells = run(student("plain"), f"{task}:calculator:maj", output=tmp_path / "r.db").cells
    assert [cell.value for cell in cells] == [100.0, 100.0, 100.0]
    assert len(uses(log)) == 36
    with Store.open(tmp_path / "r.db") as store:
        (cell,) = store.cells()
        transcript = SampleRecords(store, cell).read(3).transcript()
    assert [r.text for r in transcript.responses] == ["The answer is 6."] * 3
    assert sorted((turn.draw, turn.tool) for turn in transcript.turns) == [
        (draw, tool) for draw in range(3) for tool in ("", "", "calculator")
    ]


def test_two_models_with_tools_are_compared_and_differ_only_where_they_answered_otherwise(
    tmp_path: Path, cli: Cli
) -> None:
    """The second turn has the model's own words in it, and does not keep the runs apart."""
    task, _ = calculator(tmp_path, 60)
    for style in ("plain", "sure"):
        run(student(style), task, output=tmp_path / f"{style}.db")
    found = json.loads(cli("compare", tmp_path / "plain.db", tmp_path / "sure.db", "--json").out)
    assert not found["unmeasured"]
    headline = found["benchmarks"][0]
    assert (headline["n"], [flip["sample"] for flip in headline["flips"]]) == (60, ["3 + 3"])


def test_a_different_first_turn_keeps_two_runs_apart(tmp_path: Path, cli: Cli) -> None:
    task, _ = calculator(tmp_path)
    run(student("plain"), task, output=tmp_path / "a.db")
    text = Path(task).read_text("utf-8").replace("What is", "How much is")
    Path(tmp_path / "other").mkdir()
    (tmp_path / "other" / "calculator.py").write_text(text, "utf-8")
    run(student("plain"), str(tmp_path / "other" / "calculator.py"), output=tmp_path / "b.db")
    found = cli("compare", tmp_path / "a.db", tmp_path / "b.db")
    assert (found.code, "the prompts differ for 12 of 12" in found.out) == (2, True), found


def served(payload: Payload, route: str) -> str:
    last = str(payload["messages"][-1]["content"])
    if found := re.search(r"It gives (\d+)", last):
        return f"The answer is {found[1]}."
    a, b = re.findall(r"(\d+) \+ (\d+)", last)[-1]
    return f"CALC: {a} + {b}"


@pytest.mark.slow
def test_killed_in_the_middle_of_tool_loops_no_tool_runs_twice(tmp_path: Path) -> None:
    task, log = calculator(tmp_path, 60, seconds=0.01)
    path = tmp_path / "r.db"
    with OpenAIServer(served, latency=0.02) as server:
        command = ("run", "-m", "openai/mock", "--base-url", server.url, "-t", task, "-o", path)
        killed = start(*command, "--concurrency", "4")
        wait_for_draws(path, 40)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        before = len(uses(log))
        assert 0 < before < 60
        with closing(sqlite3.connect(path)) as db:
            (kept,) = db.execute("SELECT count(*) FROM draw WHERE judge = 2").fetchone()
        finish(start(*command))
        # What ran in the very moment of the kill may be missing in the file; nothing else runs again.
        assert len(uses(log)) <= 60 + before - kept
        assert before - kept <= 4
        assert set(uses(log)) == {f"{i} + {i % 7}" for i in range(60)}
        assert len(server.requests) <= 120 + 8


def test_rescored_nothing_is_asked_and_no_tool_is_used(tmp_path: Path, cli: Cli) -> None:
    task, log = calculator(tmp_path)
    run(student("sure"), task, output=tmp_path / "r.db")
    before = uses(log)
    found = cli("rescore", tmp_path / "r.db", "-o", tmp_path / "again.db", "--task-file", task)
    assert found.code == 0, found.err
    assert uses(log) == before
    assert exported(cli, tmp_path / "r.db") == exported(cli, tmp_path / "again.db")


def exported(cli: Cli, path: Path) -> str:
    result = cli("export", path, "--format", "jsonl")
    assert result.code == 0
    return str(result.out)


FAULTS = {
    "raise ValueError('too big')": "tool calculator: ValueError: too big",
    "return 7": "tool calculator: must return a text, not int",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_tool_that_fails_fails_its_sample_and_is_tried_again(tmp_path: Path, fault: str) -> None:
    task, _ = calculator(tmp_path)
    whole = Path(task).read_text("utf-8")
    broken = whole.replace("time.sleep(0.0)", f"if '3 + 3' in expression: {fault}")
    Path(task).write_text(broken, "utf-8")
    table = run(student("plain"), task, output=tmp_path / "r.db")
    assert (table.cells[0].n, table.failed) == (11, 1)
    with Store.open(tmp_path / "r.db") as store:
        (cell,) = store.cells()
        assert list(store.failures(cell)) == [("3 + 3", "tool", FAULTS[fault])]


def test_a_solver_that_asks_nothing_fails_its_samples(tmp_path: Path) -> None:
    task, _ = calculator(tmp_path)
    text = Path(task).read_text("utf-8").replace("await each_draw_of(context, loop)", "pass")
    Path(task).write_text(text, "utf-8")
    table = run(student("plain"), task, output=tmp_path / "r.db")
    assert table.failed == 12
