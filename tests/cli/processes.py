"""Commands in a new process: `huggingface_hub` reads its environment when it is imported."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(home: Path, url: str, *, offline: bool = False) -> dict[str, str]:
    """The environment of a machine whose caches are in `home` and whose Hub is at `url`."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_ENDPOINT": url,
        "HF_HOME": str(home / "hf"),
        "EVALKIT_CACHE": str(home / "evalkit"),
        "HF_HUB_OFFLINE": str(int(offline)),
    }


def commands(
    *lines: Sequence[object], home: Path, url: str, offline: bool = False, cwd: Path | None = None
) -> list[Ran]:
    """Runs command lines of evalkit, one after the other in one new process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.processes"],
        input=json.dumps([[str(word) for word in line] for line in lines]),
        env=environment(home, url, offline=offline),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Ran(*one) for one in json.loads(done.stdout)]


class _Captured(io.TextIOWrapper):
    """A stream in memory, which the command line leaves as it is."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "utf-8", write_through=True)

    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def _ended(line: list[str]) -> Ran:
    from evalkit.cli.main import main

    out, err, code = _Captured(), _Captured(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(line)
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return Ran(code, out.text(), err.text())


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(json.dumps([_ended(line) for line in given]))
