"""Scorers that ask judge models: by role, stored, resumed, tried again; a failed one is no wrong answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from evalkit import run
from evalkit.engine.check import check
from evalkit.errors import UsageError
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel
from evalkit.runfile.store import Store
from evalkit.session import Judges
from tests.cli.conftest import Cli
from tests.graded import essays
from tests.openai_server import OpenAIServer, Payload


def writer() -> FakeModel:
    """Writes "text N" for essay N."""
    return FakeModel(lambda request, draw: f"text {number(request)}", "fake/writer")


def number(request: Request) -> int:
    assert isinstance(request.prompt, tuple)
    return int(re.findall(r"\d+", request.prompt[-1].text)[-1])


def grader(say: Callable[[int, int], str], name: str = "fake/grader") -> FakeModel:
    """`say`: (number of the essay, draw) → the reply."""
    return FakeModel(lambda request, draw: say(number(request), draw), name)


def by_number(essay: int, draw: int) -> str:
    return f"A fine text. grade: {essay}"


def test_a_judge_model_scores_and_the_signature_names_it(tmp_path: Path) -> None:
    table = run(writer(), essays(tmp_path), output=tmp_path / "r.db", judge=grader(by_number))
    (cell,) = table.cells
    assert (cell.value, cell.n) == (50.0, 6)
    assert "fake/grader" in cell.signature.line()
    other = run(
        writer(), essays(tmp_path), output=tmp_path / "o.db", judge=grader(by_number, "fake/other")
    ).cells[0]
    (difference,) = cell.signature.differences(other.signature)
    assert difference.startswith("scorer: ")


def test_without_its_judge_a_task_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    model = writer()
    with pytest.raises(UsageError, match="essays is scored by a judge model: add --judge MODEL"):
        run(model, essays(tmp_path), output=tmp_path / "r.db")
    with pytest.raises(UsageError, match="add --judge expert=MODEL"):
        run(model, essays(tmp_path, role="expert"), output=tmp_path / "r.db")
    assert model.asked == 0


def test_a_judge_for_every_role_and_one_for_each(tmp_path: Path) -> None:
    task = essays(tmp_path, role="expert")
    both: dict[str, Judges] = {"all": grader(by_number), "role": {"expert": grader(by_number)}}
    for name, judge in both.items():
        assert run(writer(), task, output=tmp_path / f"{name}.db", judge=judge).cells[0].value == 50.0
    nobody = {"expert": grader(by_number), "critic": grader(by_number)}
    with pytest.raises(UsageError, match=r"--judge critic=fake/grader: none of .* uses such a judge"):
        run(writer(), task, output=tmp_path / "n.db", judge=nobody)


def test_a_reply_that_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    judge = grader(lambda essay, draw: by_number(essay, draw) if draw or essay % 2 else "Hm.")
    task = essays(tmp_path)
    first = run(writer(), task, output=tmp_path / "r.db", judge=judge).cells[0]
    assert (first.value, judge.asked) == (50.0, 9)
    again = run(writer(), task, output=tmp_path / "r.db", judge=judge).cells[0]
    assert (again.value, judge.asked) == (50.0, 9), "asked again although stored"


def test_a_judge_that_cannot_be_read_fails_the_sample_and_costs_the_model_nothing(tmp_path: Path) -> None:
    judge = grader(lambda essay, draw: "Hm." if essay == 5 else by_number(essay, draw))
    model, task = writer(), essays(tmp_path)
    table = run(model, task, output=tmp_path / "r.db", judge=judge)
    assert (table.cells[0].value, table.cells[0].n, table.failed) == (40.0, 5, 1)
    with Store.open(tmp_path / "r.db") as store:
        (failure,) = store.failures(store.cells()[0])
    assert failure == ("essay 5", "judge", "judge: 2 replies in a row could not be read")
    # Resumed, it is asked further, and what could not be read is not taken for the answer.
    fixed = grader(lambda essay, draw: "Hm." if essay == 5 and draw < 3 else by_number(essay, draw))
    table = run(model, task, output=tmp_path / "r.db", judge=fixed)
    assert (table.cells[0].value, table.failed, fixed.asked, model.asked) == (50.0, 0, 2, 6)


@pytest.mark.parametrize("problem", ["broken", "refused", "refused in a 200"])
def test_a_judge_that_does_not_answer_fails_the_sample(problem: str, tmp_path: Path) -> None:
    refused = {"choices": [{"message": {"content": "grade: 5"}, "finish_reason": "content_filter"}]}
    ways: dict[str, Payload | web.Response] = {
        "broken": {"error": "broken"},
        "refused": web.json_response({"error": {"code": "content_filter"}}, status=400),
        "refused in a 200": refused,
    }

    def say(payload: Payload, route: str) -> str | Payload | web.Response:
        text = payload["messages"][-1]["content"]
        return ways[problem] if text.endswith(" 2") else f"grade: {text[-1]}"

    with OpenAIServer(say) as server:
        from evalkit.models.openai import OpenAIModel

        judge = OpenAIModel("judge", server.url)
        path = tmp_path / "r.db"
        table = run(writer(), essays(tmp_path), output=path, judge=judge, concurrency=4, retries=0)
    assert (table.cells[0].n, table.failed) == (5, 1)
    with Store.open(tmp_path / "r.db") as store:
        (failure,) = store.failures(store.cells()[0])
        answered = store.connection.execute("SELECT count(*) FROM draw WHERE judge = 1").fetchone()
    assert failure[:2] == ("essay 2", "judge")
    assert answered == (5,), "a refusal of the judge is stored as a reply"


def test_a_variant_scored_by_a_judge_model_is_left_out_without_one(tmp_path: Path) -> None:
    task = essays(tmp_path, variant=True)
    alone = run(writer(), task, output=tmp_path / "a.db").cells
    judged = run(writer(), task, output=tmp_path / "j.db", judge=grader(by_number)).cells
    assert [cell.value for cell in alone] == [pytest.approx(100 / 6)]
    assert [cell.value for cell in judged] == [pytest.approx(100 / 6), 50.0]
    assert not alone[0].signature.differences(judged[0].signature), "the headline asks no judge"


def test_the_same_answer_is_judged_once(tmp_path: Path) -> None:
    judge = grader(lambda essay, draw: "grade: 4")
    model = FakeModel(lambda request, draw: "text 1")
    task = essays(tmp_path)
    Path(task).write_text(
        Path(task)
        .read_text("utf-8")
        .replace('Protocol(name="0-shot")', 'Protocol(name="0-shot", draws=4, temperature=1.0)'),
        "utf-8",
    )
    table = run(model, task, output=tmp_path / "r.db", judge=judge)
    assert (table.cells[0].value, judge.asked) == (80.0, 1)


def test_rescored_the_stored_replies_are_read_again(tmp_path: Path, cli: Cli) -> None:
    task = essays(tmp_path, role="expert")
    judge = grader(lambda essay, draw: by_number(essay, draw) if draw else "Hm.")
    run(writer(), task, output=tmp_path / "r.db", judge={"expert": judge})
    assert judge.asked == 12
    other = tmp_path / "other" / Path(task).name
    other.parent.mkdir()
    other.write_text(Path(task).read_text("utf-8").replace("found / 5", "found / 10"), "utf-8")
    result = cli("rescore", tmp_path / "r.db", "-o", tmp_path / "n.db", "--task-file", other)
    assert result.code == 0, result.err
    before, after = (json.loads(cli("report", tmp_path / name, "--json").out) for name in ("r.db", "n.db"))
    assert [found["cells"][0]["value"] for found in (before, after)] == [50.0, 25.0]
    assert judge.asked == 12
    assert "fake/grader" in after["cells"][0]["signature"]["parts"]["scorer"]


def test_judges_on_the_command_line(tmp_path: Path, cli: Cli) -> None:
    task = essays(tmp_path, role="expert")

    def say(payload: Payload, route: str) -> str:
        return f"grade: {re.findall('[0-9]+', payload['messages'][-1]['content'])[-1]}"

    with OpenAIServer(say) as server:
        given = ("--judge", "expert=openai/e", "--judge-base-url", f"expert={server.url}")
        run_it = ("run", "-m", "fake/echo", "-t", task, "-o", tmp_path / "r.db", "--json")
        result = cli(*run_it, *given)
        assert result.code == 0, result.err
        assert json.loads(result.out)["cells"][0]["n"] == 6
        for wrong, words in {
            (
                "--judge",
                "expert=fake/echo",
                "--judge",
                "expert=fake/gold",
            ): "the role expert already has fake/echo",
            ("--judge-base-url", "expert=http://x"): "needs --judge expert=MODEL",
            ("--judge", "expert=nothing/x"): "unknown backend 'nothing'",
        }.items():
            result = cli(*run_it, *wrong)
            assert (result.code, words in result.err) == (2, True), result.err


def test_check_says_what_it_could_not_hold(tmp_path: Path) -> None:
    (result,) = check(essays(tmp_path))
    assert result.passed
    assert any("a judge model scores the answers" in words for words in result.unheld)
    (result,) = check(essays(tmp_path, variant=True))
    assert any("has no right responses" in words for words in result.unheld)
    assert any("no wrong responses" in words for words in result.unheld)
