"""A test that is skipped says what to install; in CI it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WITHOUT = """
import pytest
from tests.needs import needs

@needs("abacus-tools", "abacus")
def test_without(): pass

def test_while_it_runs(): pytest.skip("there is no slide rule")

def test_with(): pass
"""
WHOLE_FILE = 'import pytest\npytest.skip("there is no abacus", allow_module_level=True)\n'


def said(folder: Path, text: str, ci: str) -> tuple[int, str]:
    (folder / "test_it.py").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-rs", "--rootdir", folder, folder],
        cwd=ROOT, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.slow
def test_here_it_says_what_to_install(tmp_path: Path) -> None:
    code, out = said(tmp_path, WITHOUT, "")
    assert code == 0
    assert "there is no abacus: apt-get install abacus-tools" in out
    assert "there is no slide rule" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "causes", "end"),
    [
        (
            WITHOUT,
            ["there is no abacus: apt-get install abacus-tools", "there is no slide rule"],
            "1 failed, 1 passed, 1 error",
        ),
        (WHOLE_FILE, ["there is no abacus"], "1 error"),
    ],
    ids=["tests", "a whole file"],
)
def test_in_ci_it_fails(tmp_path: Path, text: str, causes: list[str], end: str) -> None:
    code, out = said(tmp_path, text, "true")
    assert code != 0
    for cause in causes:
        assert f"in CI nothing is skipped. Skipped: {cause}" in out
    assert end in out.splitlines()[-1]
    assert "skipped" not in out.splitlines()[-1]
