"""`--unsafe-execution`, where there is no sandbox: the only way round it, and said aloud."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def evalkit(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evalkit", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment in which bubblewrap is there and always refuses, as where namespaces are forbidden."""
    refusing = tmp_path / "bin" / "bwrap"
    refusing.parent.mkdir()
    refusing.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    refusing.chmod(0o755)
    return {"PATH": f"{refusing.parent}:{os.environ['PATH']}"}


@pytest.mark.slow
def test_without_a_sandbox_humaneval_refuses_with_the_fix(tmp_path: Path, nowhere: dict[str, str]) -> None:
    run = ("run", "-m", "fake/gold", "-t", "humaneval", "--data", "builtin", "-o", tmp_path / "r.db")
    refused = evalkit(*run, **nowhere)
    assert refused.returncode == 2
    assert "setting up uid map: Permission denied" in refused.stderr
    assert "--unsafe-execution runs programs without a sandbox" in refused.stderr
    assert not (tmp_path / "r.db").exists()

    allowed = evalkit(*run, "--unsafe-execution", **nowhere)
    assert allowed.returncode == 0, allowed.stderr
    assert allowed.stderr.count("programs from a model run without a sandbox") == 1
    assert "100 %  78–100" in allowed.stdout
    assert "|sandbox:none|" in allowed.stdout


@pytest.mark.slow
def test_with_one_it_is_not_needed(tmp_path: Path) -> None:
    run = ("run", "-m", "fake/gold", "-t", "humaneval", "--data", "builtin", "-o", tmp_path / "r.db")
    found = evalkit(*run)
    assert found.returncode == 0
    assert "without a sandbox" not in found.stderr
    assert "sandbox:none" not in found.stdout
