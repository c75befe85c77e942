"""Rows of other types than the benchmarks read: the sample fails with the column's name, or the run ends."""

from __future__ import annotations

import datetime
import decimal
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.benchmark.task import all_tasks
from evalkit.data.base import DataOptions, Record
from evalkit.engine.cell import CellPlan, rendered
from evalkit.engine.plan import make_plan
from evalkit.errors import BoundaryError, DataError
from evalkit.models.base import CAPABILITIES, Capability
from evalkit.models.fake import FakeModel
from evalkit.samples import Message, Sample
from tests.cli.conftest import Cli, cli

__all__ = ["cli"]
MADE = {"drop": ("earlier",), "kv-retrieval": ("row", "column"), "kv-retrieval-json": ("column",)}
"""Columns that evalkit's own code makes: no file has them."""
ODD: tuple[Any, ...] = (None, b"\xff", [None], datetime.date(1999, 1, 2), -7919)


def planned(name: str) -> CellPlan:
    model = FakeModel(lambda request, draw: "")
    model.capabilities = frozenset(cast("tuple[Capability, ...]", CAPABILITIES))
    plan = make_plan(model, name, data=DataOptions(small_sets=True), scoring=False, limit=1)
    return plan.cells[0]


def texts(plan: CellPlan, sample: Sample) -> str:
    """Everything of a sample that is asked or compared."""
    prompt = rendered(plan.task, sample, plan.protocol)
    turns = prompt if isinstance(prompt, tuple) else ()
    asked = "".join(turn.text for turn in turns if isinstance(turn, Message))
    return "\n".join((sample.input, *sample.target, *sample.choices, str(prompt), asked))


def changed(record: Record, chance: random.Random, made: tuple[str, ...]) -> Iterator[tuple[str, Record]]:
    """Each column with a null, and with one other value of another type."""
    for column in record:
        if column not in made and not column.startswith("evalkit:"):
            for value in (None, chance.choice(ODD[1:])):
                yield column, {**record, column: value}


@pytest.mark.slow
def test_no_null_and_no_bytes_become_a_text_of_a_question() -> None:
    chance, tried, failed = random.Random(5), 0, 0
    for task in all_tasks():
        plan = planned(task.name)
        record = next(iter(plan.records))
        whole = texts(plan, plan.sample(record, 0))
        for column, odd in changed(record, chance, MADE.get(task.name, ())):
            tried += 1
            try:
                found = texts(plan, plan.sample(odd, 0))
            except (BoundaryError, DataError):
                failed += 1
                continue
            for trace in ("None", "b'\\xff"):
                assert trace not in found or trace in whole, (task.name, column)
    assert tried > 500
    assert failed > 250


UNREAD = {"challenge_test_list", "ocr_tokens"}
"""Columns of lists that no benchmark reads."""
ONE_TEXT_IS_ONE_ANSWER = {"nq-open", "nq-retrieved", "vqa"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "odd", ["Paris", {"text": 1, "start": 2, "end": 3, "x": 4, "y": 5}], ids=["text", "object"]
)
def test_no_text_is_taken_for_its_letters_and_no_object_for_its_keys(odd: object) -> None:
    tried = 0
    for task in all_tasks():
        if task.name in ONE_TEXT_IS_ONE_ANSWER:
            continue
        plan = planned(task.name)
        record = next(iter(plan.records))
        for column, value in record.items():
            asked = not column.startswith("evalkit:") and column not in UNREAD
            if isinstance(value, list) and asked and column not in MADE.get(task.name, ()):
                tried += 1
                with pytest.raises(BoundaryError, match=rf"{column}|its columns are"):
                    plan.sample({**record, column: odd}, 0)
    assert tried > 10


COLUMNS: dict[str, tuple[pa.Array, int, str]] = {
    "nulls": (pa.nulls(3), 2, "its columns are question, answer (NoneType)"),
    "one null": (pa.array(["#### 2", None, "#### 6"]), 3, "its columns are question, answer (NoneType)"),
    "integers": (pa.array([2, 4, 6]), 2, "answer (int)"),
    "decimals": (pa.array([decimal.Decimal("2.50")] * 3), 2, "answer (Decimal)"),
    "dates": (pa.array([datetime.date(2020, 1, 1)] * 3), 2, "answer (date)"),
    "bytes": (pa.array([b"\xff\xfe", b"#### 4", b""]), 2, "answer (bytes)"),
    "lists": (pa.array([["#### 2"], [], None]), 2, "answer (list)"),
    "structures": (pa.array([{"x": 1}] * 3), 2, "answer (dict)"),
    "no UTF-8": (
        pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff####"]).buffers()),
        2,
        "cannot be read ('utf-8' codec",
    ),
    "no rows": (pa.array([], pa.string()), 2, "has no records"),
    "dictionary codes": (pa.array(["#### 2", "#### 4", "#### 6"]).dictionary_encode(), 0, ""),
    "large texts": (pa.array(["#### 2", "#### 4", "#### 6"], pa.large_string()), 0, ""),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_another_type_in_parquet(cli: Cli, tmp_path: Path, kind: str) -> None:
    answers, code, words = COLUMNS[kind]
    file = tmp_path / "data" / "openai" / "gsm8k" / "main" / "test.parquet"
    file.parent.mkdir(parents=True)
    questions = pa.array(["1 + 1?", "2 + 2?", "3 + 3?"][: len(answers)], pa.string())
    pq.write_table(pa.table({"question": questions, "answer": answers}), file)
    said = cli(
        "run",
        "-m",
        "fake/gold",
        "-t",
        "gsm8k:0-shot-chat",
        "--data",
        tmp_path / "data",
        "-o",
        tmp_path / "r.db",
    )
    assert said.code == code, said
    assert words in said.err
    if code == 2:
        assert len(said.err.splitlines()) == 1
