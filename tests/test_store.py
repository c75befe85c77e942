"""Run files: real SQLite, on a real disk."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.errors import UsageError
from evalkit.keys import hide
from evalkit.models.base import Likelihood, Request, Response, TokenLogprob
from evalkit.runfile.store import FORMAT, OUTCOMES, Cell, Row, Store
from evalkit.runfile.tallies import count_details, usage
from evalkit.runfile.writer import Writer
from evalkit.samples import JSON, Sample, ToolCall
from tests.edited import edited
from tests.specs import cell_spec, metric_spec

MEASURED = (metric_spec(), metric_spec("length", ("chars",)))
AWKWARD = {
    "empty": "",
    "NUL": "a\x00b\x00",
    "astral": "👩\u200d🔬 𝔘 \U0010ffff",
    "controls": "\x01\x1b[31m\r\n\t\x7f\u2028\ufeff",
    "quotes": "'\"`); DROP TABLE draw; --",
    "long": "ab\n" * 700_000,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "a run.db"


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    made = Store.create(file, {"model": {"name": "fake/one", "identity": {}}, "seed": 0})
    yield made
    with contextlib.suppress(sqlite3.ProgrammingError):  # closed by the test
        made.close()


@pytest.fixture
def cell(store: Store) -> Cell:
    made = store.add_cell(cell_spec(metrics=MEASURED))
    store.commit()
    return made


def asked(text: str) -> tuple[bytes, bytes]:
    return Request(text, 10).encoded()


def row(name: str, position: int, outcome: str = "correct", *numbers: float, **fields: Any) -> Row:
    sample = fields.pop("sample", Sample(name, "Which?", ("1",), group=f"g{position % 2}", cluster=name[:1]))
    return Row(sample, position, b"q" * 16, b"a" * 16, outcome, numbers, **fields)


def column(store: Store, query: str) -> list[Any]:
    """The rows of the file as another program would read them."""
    store.commit()
    with sqlite3.connect(f"{store.path.absolute().as_uri()}?mode=ro", uri=True) as db:
        found = [value for (value,) in db.execute(query)]
    db.close()
    return found


# -- round trips ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD.keys())
def test_a_response_comes_back_as_it_was(store: Store, cell: Cell, file: Path, text: str) -> None:
    key, body = asked(text)
    logprobs = (TokenLogprob(text[:9], -0.5, {text[:9]: -0.5, "other": -1.25}), TokenLogprob("b", 0.0, {}))
    said = Response(text, "length", 3, None, 0.125, text[::-1], logprobs)
    store.add_response(key, body, 0, cell, "one", said)
    store.close()
    again = Store.open(file)
    assert again.response(key, 0) == said
    assert again.response(key, 1) is None
    assert again.response(b"x" * 16, 0) is None
    assert column(again, "SELECT body FROM request") == [body.decode()]
    again.close()


def test_half_a_surrogate_pair_becomes_one_replacement_character(store: Store, cell: Cell) -> None:
    """Neither UTF-8 nor SQLite nor JSON can hold one; a model may say it all the same."""
    key, body = asked("Which?")
    said = Response(
        "a\ud83db", reasoning="\udc00", logprobs=(TokenLogprob("\ud83d", -1.0, {"\ud83d": -1.0}),)
    )
    assert (said.text, said.reasoning) == ("a\ufffdb", "\ufffd")
    store.add_response(key, body, 0, cell, "one", said)
    found = store.response(key, 0)
    assert found is not None
    assert (found.text, found.reasoning) == (said.text, said.reasoning)
    assert found.logprobs == (TokenLogprob("\ufffd", -1.0, {"\ufffd": -1.0}),)


def test_what_was_read_from_a_response_is_kept_whatever_it_is(store: Store, cell: Cell) -> None:
    """An extractor that reads JSON may find half a pair there, or a number without bounds."""
    store.add_error(cell, "one", 0, "scorer", "no answer in '\udfff'")
    answer: JSON = {"value": "\ud83d", "votes": {"\ud83d": 2**70}, "text": "\x00'\"é"}
    store.add_sample(cell, row("one", 0, "wrong", 0.0, 1.0, 0.0, answer=answer))
    store.add_sample(cell, row("two", 1, "failed", boundary="scorer", error="no answer in '\udfff'"))
    assert list(store.failures(cell)) == [("two", "scorer", "no answer in '\ufffd'")]
    assert column(store, "SELECT message FROM error") == ["no answer in '\ufffd'"]
    query = "SELECT json_extract(answer, '$.value') FROM sample WHERE id = 'one'"
    assert column(store, query) == ["\ufffd"]


@pytest.mark.parametrize("text", AWKWARD.values(), ids=AWKWARD.keys())
def test_a_sample_is_written_as_it_was(store: Store, cell: Cell, text: str) -> None:
    sample = Sample(
        f"id {text[:9]}", text, (text, ""), (text,), text, text, {"text": text, "list": [1, None]}
    )
    store.add_sample(cell, row("", 7, "correct", 1.0, sample=sample, answer={"value": text}))
    assert store.state(cell, 7) == (sample.id, "correct", b"q" * 16)
    assert column(store, "SELECT input FROM sample") == [text]
    assert column(store, "SELECT json_array_length(target) FROM sample") == [2]
    assert column(store, "SELECT hex(statistics) FROM sample") == [struct.pack("<d", 1.0).hex().upper()]


def test_a_request_is_written_once_and_its_draws_apart(store: Store, cell: Cell) -> None:
    key, body = asked("Which?")
    for draw, text in enumerate(["one", "two", "three"]):
        store.add_response(
            key, body, draw, cell, "one", Response(text, prompt_tokens=5, completion_tokens=draw)
        )
    store.add_response(key, body, 1, cell, "one", Response("again"))
    said = [store.response(key, draw) for draw in range(3)]
    assert [found.text for found in said if found] == ["one", "again", "three"]
    assert column(store, "SELECT count(*) FROM request") == [1]
    assert usage(store, cell) == (3, 10, 2)
    assert usage(store, store.add_cell(cell_spec(protocol="twice", metrics=MEASURED))) == (0, 0, 0)


def test_the_manifest_and_the_cells_come_back(store: Store, file: Path) -> None:
    cells = [
        store.add_cell(cell_spec(metrics=MEASURED)),
        store.add_cell(cell_spec(protocol="maj", notes={"é\x00": [1.5, None]})),
    ]
    store.close()
    again = Store.open(file)
    assert again.manifest == {"format": FORMAT, "model": {"name": "fake/one", "identity": {}}, "seed": 0}
    assert again.cells() == cells
    assert [found.id for found in cells] == [1, 2]
    again.close()


# -- what a table needs --------------------------------------------------------------------------------


def test_the_data_of_a_cell_are_in_the_order_of_the_data_set(store: Store, cell: Cell) -> None:
    other = store.add_cell(cell_spec(protocol="twice", metrics=MEASURED))
    store.add_sample(other, row("a", 0, "wrong", 9.0, 9.0, 9.0))
    store.add_sample(cell, row("c", 2, "truncated", 0.0, 1.0, 7.0))
    store.add_sample(cell, row("b", 1, "failed", boundary="provider", error="gone"))
    store.add_sample(cell, row("a", 0, "correct", 1.0, 1.0, 5.0))
    data = store.data(cell)
    np.testing.assert_array_equal(data.matrix, [[1, 1, 5], [0, 1, 7]])
    assert data.matrix.dtype == np.float64
    assert data.scored.tolist() == [True, False, True]
    assert data.scored.dtype == np.bool_
    assert data.outcomes == ["correct", "failed", "truncated"]
    assert (data.groups, data.clusters) == (["g0", "g1", "g0"], ["a", "b", "c"])
    assert ([*data.questions], [*data.asked]) == ([b"q" * 16] * 3, [b"a" * 16] * 3)
    assert store.outcomes(cell) == {**dict.fromkeys(OUTCOMES, 0), "correct": 1, "truncated": 1, "failed": 1}
    assert list(store.failures(cell)) == [("b", "provider", "gone")]


def test_what_is_known_of_answers(store: Store, cell: Cell) -> None:
    right: JSON = {"outcomes": {"a variant": "wrong", "b": "correct"}, "detail": {"shots": 3}}
    wrong: JSON = {"outcomes": {"a variant": "truncated", "b": "wrong"}, "detail": {"shots": None}}
    tagged = Sample("two", "Which?", ("1",), group="g", tags=("high", "é"))
    store.add_sample(cell, row("one", 0, "correct", 1.0, 1.0, 0.0, answer=right))
    store.add_sample(cell, row("", 1, "wrong", 0.0, 1.0, 0.0, answer=wrong, sample=tagged))
    store.add_sample(cell, row("three", 2, "failed", boundary="provider", error="gone"))
    assert list(store.answers(cell)) == [("one", right), ("two", wrong)]
    assert store.data(cell).tags == [(), ("high", "é"), ()]
    none = dict.fromkeys(OUTCOMES, 0)
    assert store.outcomes(cell, "a variant") == {**none, "wrong": 1, "truncated": 1, "failed": 1}
    assert store.outcomes(cell, "b") == {**none, "correct": 1, "wrong": 1, "failed": 1}
    assert count_details(store, cell, ["shots", "draws"]) == {"shots": 1, "draws": 0}


def test_what_was_found_out_is_kept_and_what_was_judged_under_another_forgotten(
    store: Store, file: Path
) -> None:
    cell = store.add_cell(cell_spec(metrics=MEASURED))
    other = store.add_cell(cell_spec(metrics=MEASURED), "validation")
    for each in (cell, other):
        store.add_sample(each, row("one", 0, "correct", 1.0, 1.0, 0.0))
    curve: JSON = [{"threshold": 0.5, "accuracy": 50.0}]
    found: dict[str, JSON] = {"threshold": 0.5, "validation_samples": 2, "validation_curve": curve}
    store.set_found(cell, found)
    assert store.outcomes(cell)["correct"] == 0
    assert store.outcomes(other)["correct"] == 1
    store.add_sample(cell, row("one", 0, "correct", 1.0, 1.0, 0.0))
    store.set_found(cell, dict(found))
    assert store.outcomes(cell)["correct"] == 1
    store.set_found(cell, {**found, "threshold": "never"})
    assert store.outcomes(cell)["correct"] == 0
    store.close()
    again = Store.open(file)
    assert [(c.role, c.found) for c in again.cells()] == [
        ("", {**found, "threshold": "never"}),
        ("validation", {}),
    ]
    again.close()


def test_the_tokens_of_a_prompt_come_back(store: Store, cell: Cell) -> None:
    key, body = asked("Which?")
    said = Response("x", prompt_logprobs=(TokenLogprob(" A", -0.25, {" A": -0.25}),))
    store.add_response(key, body, 0, cell, "one", said)
    assert store.response(key, 0) == said


def test_likelihoods_come_back(store: Store, cell: Cell) -> None:
    key, body = asked("Which?")
    likelihoods = (
        Likelihood(" one", -0.25, 1, True),
        Likelihood(" two", -1e-300),
        Likelihood(" three", -math.inf, 3, False),  # which JSON does not have
    )
    said = Response("", likelihoods=likelihoods)
    store.add_response(key, body, 0, cell, "one", said)
    assert store.response(key, 0) == said


def test_tool_calls_come_back(store: Store, cell: Cell) -> None:
    key, body = asked("Which?")
    said = Response("", tool_calls=(ToolCall("search", '{"q": "ä"}', "call-1"), ToolCall("stop", "no json")))
    store.add_response(key, body, 0, cell, "one", said)
    assert store.response(key, 0) == said


def test_a_sample_that_failed_is_replaced_when_it_is_answered(store: Store, cell: Cell) -> None:
    store.add_sample(cell, row("a", 0, "failed", boundary="provider", error="gone"))
    assert store.state(cell, 0) == ("a", "failed", b"q" * 16)
    store.add_sample(cell, row("a", 0, "wrong", 0.0, 1.0, 2.0))
    assert store.state(cell, 0) == ("a", "wrong", b"q" * 16)
    assert store.data(cell).matrix.tolist() == [[0, 1, 2]]
    assert not list(store.failures(cell))


@pytest.mark.parametrize("failed", [0, 2])
def test_a_cell_without_answers_has_a_table_of_no_rows(store: Store, cell: Cell, failed: int) -> None:
    for position in range(failed):
        store.add_sample(cell, row(f"s{position}", position, "failed", boundary="media", error="broken"))
    data = store.data(cell)
    assert data.matrix.shape == (0, 3)
    assert data.scored.tolist() == [False] * failed
    assert len(data.groups) == len(data.clusters) == len(data.outcomes) == failed
    assert len(data.questions) == len(data.asked) == failed
    assert store.outcomes(cell) == {**dict.fromkeys(OUTCOMES, 0), "failed": failed}
    assert store.state(cell, failed) is None


def test_a_cell_without_metrics_has_a_table_of_no_columns(store: Store) -> None:
    cell = store.add_cell(cell_spec(metrics=()))
    assert store.data(cell).matrix.shape == (0, 0)
    store.add_sample(cell, row("a", 0))
    store.add_sample(cell, row("b", 1, "failed"))
    data = store.data(cell)
    assert data.matrix.shape == (1, 0)
    assert data.scored.tolist() == [True, False]


# -- files that are none -------------------------------------------------------------------------------


def a_database(path: Path, *script: str) -> None:
    db = sqlite3.connect(path)
    db.executescript(";".join(script))
    db.close()


def test_a_file_of_another_format(file: Path, store: Store) -> None:
    store.close()
    with edited(file) as db:
        db.execute(f"UPDATE run SET value = '{FORMAT + 1}' WHERE key = 'format'")
    with pytest.raises(UsageError) as error:
        Store.open(file)
    assert str(error.value) == (
        f"{file} has run-file format {FORMAT + 1}, but this evalkit reads formats up to {FORMAT}"
    )


@pytest.mark.parametrize("kind", ["empty", "text", "a photograph's head", "database", "like", "torn"])
def test_a_file_that_is_no_run_file_is_named_and_left_alone(tmp_path: Path, kind: str, store: Store) -> None:
    path = tmp_path / kind
    if kind == "database":
        a_database(path, "CREATE TABLE letters (text)")
    elif kind == "like":
        a_database(path, "CREATE TABLE run (key, value)", "INSERT INTO run VALUES ('format', 'one')")
    elif kind == "torn":
        store.close()
        path.write_bytes(store.path.read_bytes()[:5000])
    else:
        contents = {
            "empty": b"",
            "text": b"Dear Sir,\n" * 900,
            "a photograph's head": b"\x89PNG\r\n\x1a\n\x00",
        }
        path.write_bytes(contents[kind])
    before = path.read_bytes()
    with pytest.raises(UsageError) as error:
        Store.open(path)
    said = "is damaged: " if kind == "torn" else "is not a run file of evalkit ("
    assert str(error.value).startswith(f"{path} {said}")
    assert path.read_bytes() == before


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.db", tmp_path):
        with pytest.raises(UsageError, match=r"^no run file "):
            Store.open(path)
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "run.db", tmp_path):
        with pytest.raises(UsageError, match=f"^cannot write the run file {path}: "):
            Store.create(path, {})


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, which tmp_path is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Without root's right to write anywhere, where the tests run as root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


@pytest.fixture
def read_only(open_folder: Path) -> Path:
    """A run file with one response, in a folder where nothing can be written."""
    path = open_folder / "run.db"
    store = Store.create(path, {"seed": 1})
    store.add_response(*asked("Which?"), 0, store.add_cell(cell_spec(metrics=MEASURED)), "one", Response("4"))
    store.close()
    path.chmod(0o444)
    open_folder.chmod(0o555)
    return path


@pytest.mark.usefixtures("as_nobody")
def test_a_read_only_folder_can_be_read(read_only: Path) -> None:
    store = Store.open(read_only)
    assert store.response(asked("Which?")[0], 0) == Response("4")
    assert [cell.task for cell in store.cells()] == ["sums"]
    store.close()
    for path in (read_only.with_name("new.db"), read_only.parent / "folder" / "new.db"):
        with pytest.raises(UsageError, match=f"^cannot write the run file {path}: "):
            Store.create(path, {})
    assert [path.name for path in read_only.parent.iterdir()] == ["run.db"]


# -- several processes ---------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from evalkit.models.base import Request, Response
from evalkit.runfile.store import Store

store = Store.open(Path(sys.argv[1]), to_write=True)
(cell,) = store.cells()
for number in range(10**9):
    store.add_response(*Request(str(number), 10).encoded(), 0, cell, "one", Response(str(number) * 100))
    store.commit()
    print(number, flush=True)
"""


def a_writer(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def committed(store: Store) -> int:
    """How many of the writer's numbers are there, from 0 without a gap."""
    (cell,) = store.cells()
    count = usage(store, cell)[0]
    for number in range(count):
        found = store.response(asked(str(number))[0], 0)
        assert found is not None
        assert found.text == str(number) * 100
    return count


def test_a_killed_writer_loses_nothing_that_it_had_committed(store: Store, cell: Cell, file: Path) -> None:
    store.close()
    seen = 0
    for _ in range(3):
        with a_writer(file) as writer:
            assert writer.stdout is not None
            said = [int(writer.stdout.readline()) for _ in range(50 + seen)]
            writer.send_signal(signal.SIGKILL)
            said += [int(line) for line in writer.stdout if line.endswith("\n")]
        assert writer.returncode == -signal.SIGKILL
        again = Store.open(file)
        assert said == list(range(len(said)))
        assert committed(again) >= len(said)
        seen = committed(again)
        again.close()


def test_a_reader_reads_while_a_writer_writes(store: Store, cell: Cell, file: Path) -> None:
    with a_writer(file) as writer:
        assert writer.stdout is not None
        counts = []
        for _ in range(5):
            for _ in range(20):
                last = int(writer.stdout.readline())
            reader = Store.open(file)
            counts.append(committed(reader))
            assert counts[-1] > last
            reader.close()
        assert writer.poll() is None
        writer.kill()
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_what_is_not_committed_is_not_seen(store: Store, cell: Cell, file: Path) -> None:
    key, body = asked("Which?")
    store.add_response(key, body, 0, cell, "one", Response("4"))
    reader = Store.open(file)
    assert reader.response(key, 0) is None
    store.commit()
    assert reader.response(key, 0) == Response("4")
    reader.close()


def test_a_key_is_looked_for_in_each_text_of_a_row_and_not_across_them(tmp_path: Path) -> None:
    hide("Zz9-key-of-a-row-0123456789", "ROW_KEY")
    with contextlib.closing(Writer.create(tmp_path / "r.db")) as db:
        db.execute("CREATE TABLE t (a, b, c)")
        db.execute(
            "INSERT INTO t VALUES (?, ?, ?)",
            ("Zz9-key-of-", "a-row-0123456789 Zz9-key-of-a-row-0123456789", 7),
        )
        db.executemany(
            "INSERT INTO t VALUES (?, ?, ?)", [("Zz9-key-of-", "a-row-", b"Zz9-key-of-a-row-0123456789")]
        )
        assert db.execute("SELECT * FROM t").fetchall() == [
            ("Zz9-key-of-", "[ROW_KEY] [ROW_KEY]", 7),
            ("Zz9-key-of-", "a-row-", b"Zz9-key-of-a-row-0123456789"),
        ]
