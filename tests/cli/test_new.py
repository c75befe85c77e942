"""`evalkit new`: each skeleton passes its own test and ruff, and the printed commands work."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.skeletons import KINDS
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2]


def python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_what_is_written_works(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "in" / "here"
    commands: list[list[str]] = []
    for kind in KINDS:
        code, out, err = cli("new", kind, f"good-{kind}", "--folder", folder)
        assert code == 0, err
        files = {
            folder / f"good_{kind}.{'toml' if kind == 'paper' else 'py'}",
            folder / f"test_good_{kind}.py",
        }
        assert files <= {*folder.iterdir()}
        assert f"{folder / f'test_good_{kind}.py'}; next, in {folder}:\n" in out
        first, *others = [shlex.split(line) for line in out.splitlines() if line.startswith("  ")]
        assert first == ["pytest", f"test_good_{kind}.py"]
        commands += others
    config = ("--config", str(ROOT / "pyproject.toml"), "--no-cache")
    python(folder, "ruff", "check", *config, ".")
    python(folder, "ruff", "format", *config, "--check", ".")
    assert "9 passed" in python(folder, "pytest", "-p", "no:cacheprovider")
    monkeypatch.chdir(folder)
    for program, *arguments in commands:
        assert program == "evalkit"
        code, said, err = cli(*arguments)
        assert code == 0, err
        if arguments[0] == "run":
            assert "100 %" in said or "python:" in arguments[2]
    assert len(commands) >= len(KINDS) + 2


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_is_overwritten(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    for taken in ("test_first.py", f"first.{'toml' if kind == 'paper' else 'py'}"):
        (tmp_path / taken).symlink_to("nowhere")
        code, out, err = cli("new", kind, "first")
        assert (code, out) == (2, "")
        assert err == f"evalkit: {taken} exists, and nothing is overwritten: choose another name or folder\n"
        (tmp_path / taken).unlink()
        assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tsk", "a"), "unknown kind 'tsk': did you mean task?"),
        (("task", "../../etc/x"), "the name '../../etc/x' must be of small letters and digits"),
        (("task", "My-Task"), "must be of small letters"),
        (("task", "a--b"), "must be of small letters"),
        (("task", "1st"), "must be of small letters"),
        (("task", "tâche"), "must be of small letters"),
        (("task", "a$name"), "must be of small letters"),
        (("task", "a\n"), "must be of small letters"),
        (("paper", "x" * 61), "at most 60 characters"),
        (("metric", "class"), "'class' is a word or module of Python"),
        (("model", "random"), "'random' is a word or module of Python"),
        (("model", "pytest"), "or an installed package: choose another name"),
        (("task", "evalkit"), "or an installed package: choose another name"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = cli("new", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not [*tmp_path.iterdir()]
