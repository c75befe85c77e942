"""Terminals and pipes of every kind: a table or a document, and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit import run
from evalkit.cli.streams import similar
from evalkit.models.fake import FakeModel
from tests.made import sums

ENCODINGS = ("cp1252", "ascii", "latin-1", "cp437", "shift_jis")
_NAME = "sums–δοκιμή"


def evalkit(*arguments: object, encoding: str = "", **more: str) -> subprocess.CompletedProcess[bytes]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    env |= {"PYTHONIOENCODING": encoding} if encoding else {}
    command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env=env | more)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose model has a name that few encodings have, and in which a sample failed."""
    folder = tmp_path_factory.mktemp("streams")
    path = folder / "r.db"
    run(FakeModel(lambda request, draw: "→ 5", f"fake/{_NAME}"), sums(folder, 4), output=path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_in_any_encoding(file: Path, encoding: str) -> None:
    said = evalkit("report", file, encoding=encoding)
    assert (said.returncode, said.stderr) == (0, b"")
    text = said.stdout.decode(encoding)
    assert "95 % interval" in text
    assert "sums" in text


@pytest.mark.slow
def test_the_c_locale_and_utf8_show_every_character(file: Path) -> None:
    for env in ({"LANG": "C"}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "utf-8"}):
        said = evalkit("report", file, **env)
        assert (said.returncode, said.stderr) == (0, b"")
        assert _NAME in said.stdout.decode()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_progress_errors_and_tables_of_a_run(tmp_path: Path, encoding: str) -> None:
    task = sums(tmp_path, 3)
    said = evalkit("run", "-m", "fake/gold", "-t", task, "-o", tmp_path / "r.db", encoding=encoding)
    assert said.returncode == 0
    assert b"Traceback" not in said.stderr
    assert b"3/3" in said.stderr
    wrong = evalkit("run", "-m", "fake/gold", "-t", "größe→", encoding=encoding)
    assert wrong.returncode == 2
    assert wrong.stderr.decode(encoding).startswith("evalkit: unknown task")
    for arguments in (("tasks",), ("models",), ("--help",), ("preview", task, "-n", "1")):
        other = evalkit(*arguments, encoding=encoding)
        assert b"Traceback" not in other.stderr, arguments
        other.stdout.decode(encoding)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json", "csv", "markdown", "latex", "html"])
def test_documents_are_utf8_whatever_the_terminal_is(file: Path, name: str) -> None:
    said = evalkit("report", file, "--format", name, encoding="ascii")
    assert (said.returncode, said.stderr) == (0, b"")
    text = said.stdout.decode("utf-8")
    if name == "json":
        assert json.loads(text)["cells"][0]["model"].endswith(_NAME)
    elif name != "latex":  # which has commands and code points for such letters
        assert "δοκιμή" in text


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("tasks",), ("tasks", "--json"), ("--help",)])
def test_a_closed_pipe_ends_quietly(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # before anything is written
    command = [sys.executable, "-m", "evalkit", *arguments]
    said = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (said.returncode, said.stderr) == (0, b"")


@pytest.mark.slow
def test_a_closed_pipe_does_not_change_the_exit_code(tmp_path: Path) -> None:
    task = sums(tmp_path, 3)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "evalkit", "run", "-m", "fake/gold?errors=1", "-t", task]
    command += ["--retries", "0", "-o", str(tmp_path / "r.db")]
    said = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert said.returncode == 3
    assert b"3 samples failed" in said.stderr
    assert b"Traceback" not in said.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_said_in_a_line() -> None:
    with Path("/dev/full").open("wb") as full:
        said = subprocess.run([sys.executable, "-m", "evalkit", "tasks"], stdout=full, stderr=subprocess.PIPE)
    assert said.returncode == 3
    assert said.stderr.decode() == "evalkit: cannot write the output: No space left on device\n"


def test_a_similar_character() -> None:
    assert similar("─ │ … × ≥ → ¹² é ﬁ 中 ß “a”") == '- | ... x >= -> ^1^2 e fi ? ss "a"'
    assert similar("中é", "cp1252") == "?e"
