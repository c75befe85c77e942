"""Runs whose own files lie inside what programs see: Python's and numpy's folders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.errors import UsageError
from evalkit.sandbox import Outcome, Program, Sandbox
from evalkit.sandbox.hidden import hidden, hide_beside, hide_folders
from evalkit.sandbox.shown import numpy_folders, standard_library

SPY = """
import json, os, numpy, numpy.linalg, zoneinfo
seen = {}
for where, _, names in os.walk("/"):
    for name in names:
        try:
            with open(os.path.join(where, name), "rb") as file:
                if b"needle" + b"4711" in file.read(1 << 22):
                    seen[name] = where
        except OSError:
            pass
        if name.startswith("needle"):
            seen[name] = where
assert not [n for n in seen if not n.endswith(".pyc")], seen
"""
TASK = '''
import json
from pathlib import Path
from evalkit.api import Accuracy, Message, Protocol, Records, Sample, Task, Verdict, ask_once, task
from evalkit.sandbox import Limits, Program, Sandbox, check_sandbox

SPY = {spy!r}


class Questions:
    def open(self, options=None):
        rows = json.loads((options.folder / "needle-data.json").read_text())
        return Records({{"kind": "folder", "name": "spies", "where": "here"}}, len(rows), lambda: iter(rows))


async def score(answer, sample):
    outcome = await Sandbox(Limits(cpu_seconds=60, wall_seconds=120)).run(Program(answer))
    return Verdict(outcome.status == "passed", outcome.detail)


@task("spies")
def spies():
    """needle4711"""
    return Task(
        data=Questions(),
        sample=lambda record: Sample(record["id"], record["id"], (SPY,)),
        prompt=lambda sample, protocol: (Message("user", sample.input),),
        answer=lambda text, sample: text,
        scorer=score,
        metrics=(Accuracy(),),
        protocols=(Protocol(name="plain", solver=ask_once),),
        needs=check_sandbox,
        gold=lambda sample, protocol: SPY,
        wrong_responses=lambda sample, protocol: ("raise ValueError",),
    )
'''


@pytest.fixture(params=["numpy", "standard library"])
def inside(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A new folder deep in one that programs see."""
    parent = numpy_folders()[0] if request.param == "numpy" else standard_library()[0] / "json"
    if not os.access(parent, os.W_OK):
        pytest.skip(f"needs a Python of this user's own: {parent} cannot be written")
    with tempfile.TemporaryDirectory(dir=parent, prefix="evalkit-test-") as folder:
        Path(folder).chmod(0o755)  # readable for the user that programs run as
        yield Path(folder)


@pytest.mark.slow
def test_a_run_whose_files_lie_in_python_s_folders(inside: Path) -> None:
    """Run file, data and task file each in a folder of its own there: programs find none of them."""
    run, data, code = (inside / name for name in ("a/needle.db", "b", "c/needle_task.py"))
    data.mkdir()
    code.parent.mkdir()
    code.write_text(TASK.format(spy=SPY))
    (data / "needle-data.json").write_text(json.dumps([{"id": "needle4711"}] * 1))
    command = [
        sys.executable, "-m", "evalkit", "run", "-m", "fake/gold", "-t", str(code), "--data", str(data),
        "-o", str(run), "--json",
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert ran.returncode == 0, ran.stderr
    (cell,) = json.loads(ran.stdout)["cells"]
    with contextlib.closing(sqlite3.connect(run)) as connection:
        (answer,) = connection.execute("select answer from sample").fetchone()
    assert cell["value"] == 100.0, answer

    rescored = inside / "d" / "needle2.db"
    command = [
        sys.executable,
        "-m",
        "evalkit",
        "rescore",
        str(run),
        "-o",
        str(rescored),
        "--task-file",
        str(code),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert ran.returncode == 0, ran.stderr
    assert "100" in ran.stdout + ran.stderr


@pytest.mark.slow
def test_without_that_they_are_seen(inside: Path) -> None:
    """So the test above can fail."""
    (inside / "needle.db").write_text("needle4711")
    sandbox = Sandbox()
    try:
        assert "needle.db" in asyncio.run(sandbox.run(Program(SPY))).detail
        hide_beside(inside / "needle.db")
        assert asyncio.run(sandbox.run(Program(SPY))) == Outcome("passed")  # in a server that starts now
    finally:
        sandbox.close()
    assert str(inside) in hidden()


@pytest.mark.slow
def test_files_that_come_later_are_not_seen_either(inside: Path) -> None:
    hide_beside(inside / "needle.db")
    sandbox = Sandbox()
    try:
        assert asyncio.run(sandbox.run(Program(SPY))) == Outcome("passed")
        for ending in ("", "-wal", "-shm", ".lock"):
            (inside / f"needle.db{ending}").write_text("needle4711")
        assert asyncio.run(sandbox.run(Program(SPY))) == Outcome("passed")
    finally:
        sandbox.close()


def test_a_link_to_a_run_file_hides_both_folders(inside: Path, tmp_path: Path) -> None:
    (inside / "needle.db").write_text("needle4711")
    (tmp_path / "link.db").symlink_to(inside / "needle.db")
    hide_beside(tmp_path / "link.db")
    assert str(inside) in hidden()
    assert str(tmp_path) not in hidden()  # programs see nothing of it anyway


@pytest.mark.parametrize(
    "folder",
    [numpy_folders()[0], numpy_folders()[0] / "linalg", standard_library()[0], standard_library()[0] / "json",
     standard_library()[0] / "lib-dynload", Path("/usr/share/zoneinfo"), Path("/usr/lib/locale/mine")],
    ids=str,
)  # fmt: skip
def test_folders_that_python_needs_are_no_place_for_a_run(folder: Path) -> None:
    if not folder.parent.exists():
        pytest.fail(f"{folder.parent} is not on this machine: install tzdata and a locale")
    before = hidden()
    with pytest.raises(UsageError, match="put runs, data and task files into another folder"):
        hide_beside(folder / "run.db")
    assert hidden() == before


def test_what_programs_do_not_see_needs_no_hiding(tmp_path: Path) -> None:
    before = hidden()
    packages = standard_library()[0] / "site-packages" / "somebody"
    hide_folders(tmp_path, None, Path("/"), Path("/usr"), packages, numpy_folders()[0].parent)
    assert hidden() == before


@pytest.mark.slow
def test_a_folder_in_a_covered_one(inside: Path) -> None:
    """The current folder too: of two, one in the other, the outer one is covered."""
    inner = inside / "x" / "y"
    inner.mkdir(parents=True)
    (inner / "needle.db").write_text("needle4711")
    script = textwrap.dedent(f"""
        from pathlib import Path
        from evalkit.sandbox import Program, run_programs
        from evalkit.sandbox.hidden import hide_folders
        hide_folders(Path({str(inside)!r}))
        print(run_programs([Program({SPY!r})])[0].status)
    """)
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=inner)
    assert ran.stdout == "passed\n", ran.stderr
