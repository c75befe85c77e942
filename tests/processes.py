"""The command line in processes of its own, and what a run file and a server have of a run."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from evalkit.engine.context import draw_seed
from tests.openai_server import OpenAIServer


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "evalkit", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out, err


def shown_on(terminal: int) -> str:
    """What was written to the terminal with this controlling end, until its other end is closed."""
    said = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(terminal)
    return said.decode()


def gone(pid: int, within: float = 60.0) -> bool:
    """Whether the process ends soon; one that nobody waits for is as good as gone, as an orphan's new parent,
    process 1, may be a program that waits for none.
    """
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        except OSError:
            return True
        if state in "ZX" and threads <= 1:  # with others it cannot be waited for yet
            return True
        time.sleep(0.02)
    return False


def wait_for_draws(path: Path, least: int) -> None:
    """Until the run file holds `least` answers."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.is_file():
            try:
                with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                    if db.execute("SELECT count(*) FROM draw").fetchone()[0] >= least:
                        return
            except sqlite3.OperationalError:
                pass  # its tables are not there yet
        time.sleep(0.01)
    raise AssertionError(f"{path} never held {least} answers")


def asked(server: OpenAIServer) -> Counter[str]:
    return Counter(
        json.dumps(request.payload["messages"], sort_keys=True) + str(request.payload.get("seed"))
        for request in server.requests
    )


def stored(path: Path) -> set[str]:
    """The draws that a run file holds, as `asked` spells them."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT body, draw FROM draw JOIN request ON request.id = draw.request").fetchall()
    asked_for = ((json.loads(body)["prompt"], draw_seed(0, draw)) for body, draw in rows)
    return {json.dumps(messages, sort_keys=True) + str(seed) for messages, seed in asked_for}
