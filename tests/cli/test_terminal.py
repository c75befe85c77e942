"""What models, data sets and servers say never commands the terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.openai_server import OpenAIServer
from tests.processes import shown_on
from tests.raw_server import RawServer, whole

HOSTILE = (
    "\x1b]52;c;cm0gLXJm\x07", "\x1b]0;another title\x1b\\", "\x1b[2J\x1b[H", "\x9b2J", "\x1bP1$r\x1b\\",
    "\x1b[6n", "\x1b[?1049h", "\x1b]8;;http://evil.invalid\x07here\x1b]8;;\x07", "\x07\x08\x7f\x00", "\x1bc",
    "\x1b[5;1H",
)  # fmt: skip
"""The clipboard, the title, the screen, questions that a terminal answers, links, a reset, the cursor."""
TASK = '''"""Hostile texts, made for a test."""

from evalkit.api import Accuracy, Message, Protocol, Records, Sample, Task, Verdict, ask_once, task

HOSTILE = {hostile!r}


class Rows:
    def open(self, options=None):
        rows = [{{"id": str(n), "text": text}} for n, text in enumerate(HOSTILE)]
        return Records({{"kind": "made", "name": "hostile", "where": "here"}}, len(rows), lambda: iter(rows))


@task("hostile")
def hostile():
    """Hostile texts"""
    return Task(
        data=Rows(),
        sample=lambda row: Sample(row["id"], "Q " + row["text"], ("A " + row["text"],), group=row["text"]),
        prompt=lambda sample, protocol: (Message("user", sample.input),),
        answer=lambda text, sample: text or None,
        scorer=lambda answer, sample: Verdict(answer in sample.target),

        metrics=(Accuracy(),),
        protocols=(Protocol(name="plain", solver=ask_once, max_tokens=64),),
    )
'''
ALLOWED = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|[0-9]*[AK])")
OBEYED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def on_terminal(folder: Path, *arguments: object) -> str:
    """What a command writes to a terminal, to both of its streams."""
    host, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=terminal, stderr=terminal, cwd=folder, env=environment)
    os.close(terminal)
    found = shown_on(host)
    process.wait()
    return found


@pytest.mark.slow
def test_a_terminal_obeys_nobody_but_evalkit(tmp_path: Path) -> None:
    task = tmp_path / "hostile.py"
    task.write_text(TASK.format(hostile=HOSTILE), "utf-8")
    turn = iter(range(10**6))

    def script(payload: object, route: str) -> str:
        return f"A {HOSTILE[next(turn) % len(HOSTILE)]}"

    # Its records do not fit: the message lists their columns.
    misfit = tmp_path / "misfit.py"
    unfit = f'{{"text {HOSTILE[3]} {HOSTILE[1]}": 1}}'
    misfit.write_text(task.read_text("utf-8").replace('{"id": str(n), "text": text}', unfit), "utf-8")
    assert "\x9b" in misfit.read_text("utf-8")
    names = json.dumps({"data": [{"id": f"m {text}"} for text in HOSTILE]}).encode()
    with OpenAIServer(script) as server, RawServer() as other:
        other.listing = whole(200, names)
        model = ("-m", "openai/any", "--base-url", server.url)
        commands: list[tuple[object, ...]] = [
            ("preview", task, "-n", len(HOSTILE)),
            ("run", *model, "-t", task, "-o", "r.db"),
            ("report", "r.db", "--by-group"),
            ("report", "r.db", "--disputes"),
            ("report", f"{HOSTILE[0]}.db"),
            ("run", "-m", f"hf/./{HOSTILE[2]}", "-t", task),
            ("tasks", HOSTILE[1]),
            ("run", *model, "-t", task, "-o", "o.db", "--only", "0", "--only", "3", "-v", "--log-file", "l"),
            ("run", *model, "-t", task, "-o", "o.db", "--only", HOSTILE[4]),
            ("check", task),
            ("run", *model, "-t", misfit, "-o", "m.db"),
            ("doctor", "--base-url", other.url),
        ]
        for command in commands:
            shown = on_terminal(tmp_path, *command)
            assert "Traceback" not in shown, command
            assert shown
            assert not OBEYED.search(ALLOWED.sub("", shown)), (command, OBEYED.search(ALLOWED.sub("", shown)))
