"""`evalkit view` as a person starts it, and run files that are damaged, slim, or have an id twice."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from subprocess import PIPE

import pytest

from evalkit.runfile.slim import write_slim
from tests.cli.conftest import Cli, cli  # noqa: F401 — a fixture
from tests.edited import edited
from tests.report.pages import made_run
from tests.view.served import get, serving


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_ends_without_a_word(tmp_path: Path, number: signal.Signals) -> None:
    made_run(tmp_path, "a", "-1")
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-m", "evalkit", "view", str(tmp_path), "--no-browser"]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as run:
        assert run.stdout is not None
        address = run.stdout.readline().strip()
        assert get(address)[0] == 200
        run.send_signal(number)
        out, err = run.communicate(timeout=30)
    assert (run.returncode, out) == (0, "")
    assert err.splitlines() == [
        "Ctrl-C ends it. Only this machine can read the pages, and only by this address."
    ]
    assert sorted(tmp_path.iterdir()) == before  # no files beside the run file


def test_bad_input_is_one_line(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "no.db").write_text("no run file")
    for arguments, words in (
        ((tmp_path / "none",), "no run file and no folder"),
        ((tmp_path / "no.db",), "is not a run file of evalkit"),
        (("--port", "65536"), "65536"),
    ):
        code, out, err = cli("view", *arguments, "--no-browser")
        assert (code, out) == (2, "")
        assert words in err
        assert "Traceback" not in err


def test_a_port_that_is_taken_is_said(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    made_run(tmp_path, "a", "-1")
    with serving(tmp_path) as served:
        port = served.address.split(":")[2].split("/")[0]
        code, _, err = cli("view", tmp_path, "--port", port, "--no-browser")
    assert code == 2
    assert f"cannot serve at port {port}" in err


def test_the_only_run_is_the_first_page(tmp_path: Path) -> None:
    run = made_run(tmp_path, "a", "-1")
    with serving(run) as served:
        assert b'data-address="' in get(served.address)[1]
    made_run(tmp_path, "b", "-1")
    with serving(tmp_path) as served:
        assert b"Runs in" in get(served.address)[1]


def test_a_damaged_row_is_said_and_never_shown(tmp_path: Path) -> None:
    path = made_run(tmp_path, "a", "-1")
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE sample SET outcome = 'correct' WHERE position = 3")
        db.commit()
    with serving(tmp_path) as served:
        state = served.ask(["a"], "state.json")
        assert "is damaged: table sample" in state["fault"]
        assert state["lines"] == 0
        status, page, _ = get(served.page("a"))
        assert status == 200
        assert b"is damaged: table sample" in page


def test_an_id_that_is_there_twice_is_two_lines(tmp_path: Path) -> None:
    path = made_run(tmp_path, "a", "-1")
    with closing(sqlite3.connect(path)) as db:
        (first,) = db.execute("SELECT id FROM sample WHERE position = 0").fetchone()
    shutil.copy(path, tmp_path / "b.db")
    with edited(tmp_path / "b.db") as db:
        db.execute("UPDATE sample SET id = ? WHERE position IN (2, 4)", (first,))
    with serving(tmp_path) as served:
        ids = served.find(["b"])
        assert [ids[0], ids[2], ids[4]] == [first, f"{first} (2)", f"{first} (3)"]
        both = served.find(["a", "b"])
        assert both[:20] == served.find(["a"])
        assert both[20:] == [f"{first} (2)", f"{first} (3)"]


def test_a_slim_run_has_its_tables(tmp_path: Path) -> None:
    write_slim(made_run(tmp_path, "a", "-1"), tmp_path / "slim.db")
    with serving(tmp_path) as served:
        page = get(served.page("slim"))[1].decode()
        assert 'id="results"' in page
        assert "data-address" not in page
        both = get(served.page("a", "slim"))[1].decode()
        assert "its run file is slim" in both
        assert len(served.find(["a", "slim"], runs=[0])) == 20
