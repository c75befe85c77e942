"""`report:TABLE`: which benchmarks it asks, what it leaves out, and settings for one benchmark of several."""

from __future__ import annotations

from pathlib import Path

import pytest
from evalkit.reports import printed_rows, reserved
from evalkit.tasks import INDEX

from evalkit.data.base import DataOptions
from evalkit.engine import chosen
from evalkit.engine.chosen import expand, wanted
from evalkit.engine.plan import make_plan
from evalkit.engine.tables import of_table
from evalkit.errors import OwnDataError, UsageError
from evalkit.models.fake import FakeModel
from tests.made import sums

NOBODY = FakeModel(lambda request, draw: "")
SMALL = DataOptions(small_sets=True)


def test_a_table_asks_every_row_under_its_protocol() -> None:
    assert of_table("report:Table 2") == [
        "mmlu", "mmlu:5-shot", "gsm8k", "math", "bbh", "humaneval", "natural2code", "drop", "hellaswag",
        "wmt23",
    ]  # fmt: skip
    assert of_table("report: table 3") == [
        "boolq", "tydiqa", "nq-retrieved", "nq-open", "bbh", "mbpp", "math", "mmlu:5-shot",
    ]  # fmt: skip
    assert of_table("report:Table 4") == ["wmt23", "flores-low"]  # the latter is in the table's notes
    assert of_table("report:Table 5") == ["mgsm", "xlsum", "wikilingua"]
    assert of_table("report:Figure 9") == ["mmlu"]


def test_every_table_names_tasks_that_are_there_or_reserved() -> None:
    for rows in printed_rows().values():
        assert {row.task for row in rows} <= {*INDEX, *reserved()}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("report:Table 9", r"evalkit has no task yet for any of its rows \(xm3600\)"),
        ("report:Tabel 2", r"unknown report table 'report:Tabel 2': did you mean report:Table 2"),
    ],
)
def test_a_table_without_a_task(entry: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        wanted(f"gsm8k,{entry}")


def test_a_benchmark_of_two_tables_is_asked_once() -> None:
    names = expand("report:Table 2,report:Table 3, report:Table 4,gsm8k")
    assert len(names) == len({*names}) == 16
    tables = {one.given: one.table for one in wanted("report:Table 2,report:Table 3,boolq")}
    assert (tables["bbh"], tables["mbpp"], tables["boolq"]) == ("report:Table 2", "report:Table 3", "")


def test_a_table_is_asked_without_a_benchmark_that_has_no_public_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = f"{sums(tmp_path, 2)}:sums"
    monkeypatch.setattr(chosen, "of_table", lambda entry: [mine, "natural2code", "nq-retrieved"])
    for folder in (None, tmp_path):  # also a folder for --data that has neither set
        plan = make_plan(NOBODY, "report:Table 2", data=DataOptions(folder), scoring=False)
        assert [cell.task.name for cell in plan.cells] == ["sums"]
        first, second = plan.warnings()
        assert first.startswith("report:Table 2 without natural2code: natural2code has no public data: --set")
        assert second.startswith("report:Table 2 without nq-retrieved: nq-retrieved needs questions with")
    assert make_plan(NOBODY, "report:Table 2", data=SMALL, scoring=False).warnings() == []
    for named in ("natural2code", "report:Table 2,natural2code"):  # what is named is refused, not left out
        with pytest.raises(OwnDataError, match="no public data"):
            make_plan(NOBODY, named, scoring=False)
    monkeypatch.setattr(chosen, "of_table", lambda entry: ["natural2code"])
    with pytest.raises(OwnDataError, match="report:Table 2 without natural2code"):  # nothing would be asked
        make_plan(NOBODY, "report:Table 2", scoring=False)


def test_a_setting_for_one_of_several_benchmarks() -> None:
    settings = {"max_tokens": "7", "boolq:max_tokens": "9", "boolq:shots": "0", "extra.a:b": "1"}
    able = FakeModel(lambda request, draw: "")
    able.capabilities = able.capabilities | {"extra"}
    plan = make_plan(able, "boolq,nq-open", settings=settings, data=SMALL)
    assert [(cell.task.name, cell.protocol.max_tokens) for cell in plan.cells] == [
        ("boolq", 9),
        ("nq-open", 7),
    ]
    assert plan.cells[0].protocol.overrides.keys() > {"max_tokens"}
    own = make_plan(NOBODY, "boolq,nq-retrieved", settings={"nq-retrieved:k": "1"}, data=SMALL)
    assert [dict(cell.task.options) for cell in own.cells] == [{}, {"k": "1"}]
    for wrong, words in (
        ({"bolq:shots": "0"}, "unknown task in --set bolq:shots 'bolq': did you mean boolq"),
        ({"boolq:k": "1"}, "unknown setting 'k'"),  # an option that another one has
        ({"math:shots": "0"}, r"unknown task in --set math:shots 'math': the run has boolq, nq-open"),
    ):
        with pytest.raises(UsageError, match=words):
            make_plan(NOBODY, "boolq,nq-open", settings=wrong, data=SMALL)


def test_each_task_is_told_before_its_data_is_opened() -> None:
    said: list[str] = []
    make_plan(NOBODY, "boolq,nq-open:64-shot", data=SMALL, tell=said.append)
    assert said == ["boolq", "nq-open:64-shot"]
