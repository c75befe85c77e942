"""The engine: what it asks, what it keeps, what it does when things go wrong."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evalkit.engine.client import Stopped
from evalkit.engine.plan import make_plan
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import DataError, ProviderError, StorageError, UsageError
from evalkit.models.base import Model, Request
from evalkit.models.fake import GOLD, FakeModel, Hinted, Hints
from evalkit.report.table import Table, build_table
from evalkit.runfile.store import Store
from tests.made import sums
from tests.specs import cell_spec

QUICK = RetryPolicy(attempts=10, first_pause=0.001)


def run(
    model: Model,
    task: str,
    path: Path,
    *,
    concurrency: int | None = 8,
    limit: int | None = None,
    seed: int = 0,
) -> Table:
    plan = make_plan(model, [task], limit=limit, seed=seed)
    store = open_run(path, plan)
    try:
        asyncio.run(execute(plan, store, Options(concurrency, QUICK)))
        return build_table([store])
    finally:
        store.close()


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def test_a_perfect_model_scores_everything(tmp_path: Path) -> None:
    model = FakeModel(GOLD)
    (cell,) = run(model, sums(tmp_path), tmp_path / "r.db").cells
    assert (cell.value, cell.n, cell.outcomes["correct"]) == (100.0, 20, 20)
    assert model.asked == 20
    assert {name: (group.value, group.n) for name, group in cell.groups.items()} == {
        "even": (100.0, 13),
        "odd": (100.0, 7),
    }


def test_records_without_a_count_are_all_asked(tmp_path: Path) -> None:
    (cell,) = run(FakeModel(GOLD), sums(tmp_path, known=False), tmp_path / "r.db").cells
    assert cell.n == 20


def test_errors_are_retried_and_written_down(tmp_path: Path) -> None:
    model = FakeModel(GOLD, errors=0.3)
    (cell,) = run(model, sums(tmp_path, 50), tmp_path / "r.db").cells
    assert (cell.value, cell.n) == (100.0, 50)
    ((errors,),) = query(tmp_path / "r.db", "SELECT count(*) FROM error")
    assert isinstance(errors, int)
    assert errors > 0
    assert model.asked == 50 + errors


def test_a_failure_is_never_an_answer_and_is_asked_again(tmp_path: Path) -> None:
    task = sums(tmp_path)
    broken = {"3 + 3", "9 + 2"}

    def fails(request: Request, draw: int, hints: Hints) -> str:
        assert isinstance(request.prompt, tuple)
        if any(request.prompt[-1].text.endswith(f" {question}") for question in broken):
            raise ProviderError("context too long")
        return hints.gold()

    table = run(FakeModel(Hinted(fails)), task, tmp_path / "r.db")
    (cell,) = table.cells
    assert (cell.value, cell.n, cell.outcomes["failed"], table.failed) == (100.0, 18, 2, 2)
    assert "2 samples failed" in table.notes[cell.marks[0] - 1]

    broken.clear()
    again = FakeModel(Hinted(fails))
    (cell,) = run(again, task, tmp_path / "r.db").cells
    assert (cell.n, cell.outcomes["failed"], again.asked) == (20, 0, 2)


def test_a_backend_that_raises_fails_its_sample_only(tmp_path: Path) -> None:
    def bug(request: Request, draw: int, hints: Hints) -> str:
        if hints.gold() == "4":
            raise ZeroDivisionError("oops")
        return hints.gold()

    (cell,) = run(FakeModel(Hinted(bug)), sums(tmp_path), tmp_path / "r.db").cells
    assert cell.outcomes["failed"] == 1
    assert query(tmp_path / "r.db", "SELECT boundary, error FROM sample WHERE outcome = 'failed'") == [
        ("provider", "ZeroDivisionError: oops")
    ]


def test_a_judge_that_raises_is_a_scorer_failure(tmp_path: Path) -> None:
    task = sums(tmp_path, scorer='assert sample.input != "3 + 3", "bad judge"')
    (cell,) = run(FakeModel(GOLD), task, tmp_path / "r.db").cells
    assert (cell.n, cell.outcomes["failed"]) == (19, 1)
    ((boundary, error),) = query(tmp_path / "r.db", "SELECT boundary, message FROM error")
    assert (boundary, error) == ("scorer", "scorer: AssertionError: bad judge")


@pytest.mark.slow
def test_an_endpoint_that_answers_nothing_stops_the_run(tmp_path: Path) -> None:
    def down(request: Request, draw: int) -> str:
        raise ProviderError("connection refused", retryable=True)

    model = FakeModel(down)
    with pytest.raises(
        Stopped, match="20 requests in a row failed, the last one with: connection refused"
    ) as error:
        run(model, sums(tmp_path, 500), tmp_path / "r.db", concurrency=4)
    assert not error.value.usage
    assert model.asked < 10 * 40

    (cell,) = run(FakeModel(GOLD), str(tmp_path / "sums.py"), tmp_path / "r.db").cells
    assert (cell.n, cell.outcomes["failed"]) == (500, 0)


def test_a_wrong_key_stops_at_once(tmp_path: Path) -> None:
    def refused(request: Request, draw: int) -> str:
        raise ProviderError("HTTP 401", fatal=True)

    model = FakeModel(refused)
    with pytest.raises(Stopped, match="HTTP 401") as error:
        run(model, sums(tmp_path, 500), tmp_path / "r.db", concurrency=4)
    assert error.value.usage
    assert model.asked <= 2 * 4


@pytest.mark.parametrize(("protocol", "draws"), [("once", 1), ("maj", 5)])
def test_cancelled_and_resumed_nothing_is_asked_twice(tmp_path: Path, protocol: str, draws: int) -> None:
    task = f"{sums(tmp_path, 40)}:sums:{protocol}"
    path = tmp_path / "r.db"
    asked: list[tuple[str, int]] = []

    def note(request: Request, draw: int, hints: Hints) -> str:
        assert isinstance(request.prompt, tuple)
        asked.append((request.prompt[0].text, draw))
        return hints.gold()

    def slow() -> FakeModel:
        return FakeModel(Hinted(note), delay=0.001)

    async def cancelled() -> None:
        plan = make_plan(slow(), [task])
        store = open_run(path, plan)
        running = asyncio.create_task(execute(plan, store, Options(4, QUICK)))
        while len(asked) < 33:
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        store.close()

    asyncio.run(cancelled())
    before = len(asked)
    assert before < 40 * draws
    (cell,) = run(slow(), task, path).cells
    assert cell.n == 40
    assert len(asked) == len(set(asked)) == 40 * draws
    uninterrupted = run(slow(), task, tmp_path / "whole.db")
    assert uninterrupted.cells[0].as_json() == cell.as_json()


def test_draws_have_seeds_of_their_own_and_greedy_requests_none(tmp_path: Path) -> None:
    seeds: dict[str, set[int | None]] = {}

    def note(request: Request, draw: int, hints: Hints) -> str:
        assert isinstance(request.prompt, tuple)
        seeds.setdefault(request.prompt[0].text, set()).add(request.seed)
        return hints.gold()

    task = sums(tmp_path, 3)
    run(FakeModel(Hinted(note)), f"{task}:sums:maj", tmp_path / "maj.db")
    assert [len(found) for found in seeds.values()] == [5, 5, 5]
    first = {seed for found in seeds.values() for seed in found}
    seeds.clear()
    run(FakeModel(Hinted(note)), f"{task}:sums:maj", tmp_path / "other.db", seed=1)
    assert not first & {seed for found in seeds.values() for seed in found}
    seeds.clear()
    run(FakeModel(Hinted(note)), task, tmp_path / "once.db")
    assert {seed for found in seeds.values() for seed in found} == {None}


def test_other_settings_are_refused_and_named(tmp_path: Path) -> None:
    task = sums(tmp_path)
    run(FakeModel(GOLD), task, tmp_path / "r.db", limit=5)
    with pytest.raises(UsageError, match=r"sums:once limit: 5 in the file, None now.*-o"):
        run(FakeModel(GOLD), task, tmp_path / "r.db")
    with pytest.raises(UsageError, match="seed: 0 in the file, 7 now"):
        run(FakeModel(GOLD), task, tmp_path / "r.db", limit=5, seed=7)
    with pytest.raises(UsageError, match="model model: fake/callable in the file, fake/other now"):
        run(FakeModel(GOLD, "fake/other"), task, tmp_path / "r.db", limit=5)
    with pytest.raises(UsageError, match="sums:maj is in this run but not in the file"):
        run(FakeModel(GOLD), f"{task}:sums:maj", tmp_path / "r.db", limit=5)


def test_data_that_changed_under_a_run_is_refused(tmp_path: Path) -> None:
    task = sums(tmp_path)
    run(FakeModel(GOLD), task, tmp_path / "r.db")
    plan = make_plan(FakeModel(GOLD), [sums(tmp_path, name="again.py", reverse=True)])
    with (
        open_run(tmp_path / "r.db", make_plan(FakeModel(GOLD), [task])) as store,
        pytest.raises(DataError, match="the data changed since"),
    ):
        asyncio.run(execute(plan, store, Options(2, QUICK)))


def test_a_disk_that_is_full_in_the_middle_of_a_statement_fails_the_run_and_no_sample(tmp_path: Path) -> None:
    task, path = sums(tmp_path, 300), tmp_path / "r.db"
    plan = make_plan(FakeModel(GOLD), [task])
    with open_run(path, plan) as store:
        # As on a full disk: SQLite may use no page more, and says so when a row needs one.
        store.connection.execute("PRAGMA max_page_count = 40")
        with pytest.raises(StorageError, match=r"r.db cannot be written \(database or disk is full\)"):
            asyncio.run(execute(plan, store, Options(8, QUICK)))
        with pytest.raises(StorageError, match="database or disk is full"):
            store.add_cell(cell_spec("another"))
    ((answers,),) = query(path, "SELECT count(*) FROM draw")
    assert isinstance(answers, int)
    assert 0 < answers < 300
    assert not query(path, "SELECT id FROM sample WHERE outcome = 'failed'")
    assert not query(
        path, "SELECT sample.id FROM sample LEFT JOIN draw ON sample.id = draw.sample WHERE draw IS NULL"
    )
    again = FakeModel(GOLD)
    (cell,) = run(again, task, path).cells
    assert (cell.n, again.asked) == (300, 300 - answers)


def test_afresh_removes_the_run_file_there_and_nothing_beside_it(tmp_path: Path) -> None:
    task, path = sums(tmp_path), tmp_path / "r.db"
    run(FakeModel(GOLD), task, path)
    (tmp_path / "r.db.bak").write_text("kept")
    other = make_plan(FakeModel(GOLD), [task], seed=1)
    with open_run(path, other, afresh=True) as store:
        assert not store.outcomes(store.cells()[0])["correct"]
        with pytest.raises(UsageError, match="is being written by process"):
            open_run(path, other, afresh=True)
        assert store.manifest["seed"] == 1
    assert (tmp_path / "r.db.bak").read_text() == "kept"


def test_a_run_goes_only_into_a_file_that_is_locked_for_it(tmp_path: Path) -> None:
    model = FakeModel(GOLD)
    plan = make_plan(model, [sums(tmp_path)])
    open_run(tmp_path / "r.db", plan).close()
    with (
        Store.open(tmp_path / "r.db") as store,
        pytest.raises(UsageError, match="was opened for reading only: open it with open_run to write a run"),
    ):
        asyncio.run(execute(plan, store))
    assert model.asked == 0


def test_signature_ignores_order_and_concurrency_and_sees_one_byte(tmp_path: Path) -> None:
    def signature(name: str, concurrency: int, **task: object) -> str:
        spec = sums(tmp_path, name=f"{name}.py", **task)  # type: ignore[arg-type]
        (cell,) = run(FakeModel(GOLD), spec, tmp_path / f"{name}.db", concurrency=concurrency).cells
        return f"{cell.signature.parts['questions']} {cell.signature.parts['prompts']}"

    plain = signature("a", 1)
    assert plain == signature("b", 17)
    assert plain == signature("c", 3, reverse=True)
    assert plain != signature("d", 3, ask="What  is")


def test_the_run_file_holds_what_was_sent_and_said(tmp_path: Path) -> None:
    run(FakeModel(GOLD), sums(tmp_path, 2), tmp_path / "r.db")
    rows = query(
        tmp_path / "r.db",
        "SELECT json_extract(body, '$.prompt[0].content'), text, sample.outcome FROM request "
        "JOIN draw ON draw.request = request.id JOIN sample ON sample.id = draw.sample ORDER BY position",
    )
    assert rows == [("What is 0 + 0", "0", "correct"), ("What is 1 + 1", "2", "correct")]


def test_plan_refuses_before_anything_is_asked(tmp_path: Path) -> None:
    model = FakeModel(GOLD)
    task = sums(tmp_path)
    for tasks, settings, said in [
        (["gsm8"], {}, "did you mean gsm8k"),
        ([f"{task}:sums:twice"], {}, "known are maj, once"),
        ([task], {"shot": "4"}, "did you mean shots"),
        ([task], {"shots": "five"}, "--set shots=five"),
        ([task], {"shots": "5"}, "sums has 4 exemplars"),
        ([task], {"draws": "3"}, "temperature"),
        ([], {}, "no task is named"),
    ]:
        with pytest.raises(UsageError, match=said):
            make_plan(model, tasks, settings=settings)
    with pytest.raises(UsageError, match=r"--strict: sums:once would not be comparable.*--limit"):
        make_plan(model, [task], limit=3, strict=True)
    model.capabilities = frozenset({"completion"})
    with pytest.raises(UsageError, match="does not support chat"):
        make_plan(model, [task])
    assert model.asked == 0


def test_the_end_of_a_cell_is_written_once(tmp_path: Path) -> None:
    said: list[str] = []
    with open_run(tmp_path / "r.db", make_plan(FakeModel(GOLD), [sums(tmp_path)])) as store:
        store.connection.set_trace_callback(said.append)
        asyncio.run(execute(make_plan(FakeModel(GOLD), [sums(tmp_path)]), store))
    ran = [statement for statement, _ in itertools.groupby(said)]  # SQLite repeats it for its triggers
    assert ran.count("UPDATE cell SET finished = 20 WHERE id = 1") == 1
    assert sum(statement.startswith("INSERT INTO figure") for statement in ran) == 3  # whole and two groups


def test_answers_that_are_there_at_once_are_committed_as_they_come(tmp_path: Path) -> None:
    """Without a wait anywhere the event loop would go round only at the end."""
    path = tmp_path / "r.db"
    seen: list[int] = []

    def look(request: Request, draw: int, hints: Hints) -> str:
        if hints.gold() == "180":
            seen.extend(row[0] for row in query(path, "SELECT count(*) FROM sample"))  # type: ignore[misc]
        return hints.gold()

    run(FakeModel(Hinted(look)), sums(tmp_path, 200), path)
    assert seen
    assert seen[0] > 100


def test_a_file_that_cannot_be_written_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FakeModel(GOLD), sums(tmp_path), tmp_path / "r.db", limit=2)
    (tmp_path / "r.db").chmod(0o400)
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anything
    with pytest.raises(UsageError, match="cannot be written"):
        run(FakeModel(GOLD), str(tmp_path / "sums.py"), tmp_path / "r.db", limit=2)


def test_a_task_named_twice_is_asked_once_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    task = sums(tmp_path, 3)
    model = FakeModel(GOLD)
    plan = make_plan(model, [task, f"{task}:sums:once", f"{task},{task}:sums:maj"])
    assert [cell.name for cell in plan.cells] == ["sums:once", "sums:maj"]
    with pytest.raises(UsageError, match="are both named sums:once"):
        make_plan(model, [task, sums(tmp_path, 3, name="other.py")])


def test_a_run_is_resumed_and_reported_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums(tmp_path, 6)
    monkeypatch.chdir(tmp_path)
    run(FakeModel(GOLD), "./sums.py", tmp_path / "r.db")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    model = FakeModel(GOLD)
    assert run(model, "../sums.py", tmp_path / "r.db").cells[0].n == 6
    assert model.asked == 0
