"""Measures how long evalkit takes to start: each command is a new process, in turns."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from bench.rows import ROOT, Row

_SCRIPT = "from evalkit.cli.main import main; main()"  # what the installed `evalkit` runs
_COMMANDS = {
    "bare": ("-c", "pass"),
    "import": ("-c", "import evalkit"),
    "help": ("-c", _SCRIPT, "--help"),
    "tasks": ("-c", _SCRIPT, "tasks"),
}


def measure(quick: bool) -> list[Row]:
    seconds: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for turn in range(4 if quick else 10):
        for name, arguments in _COMMANDS.items():
            took = _seconds(arguments)
            if turn:  # the first turn may compile, and read from the disk
                seconds[name].append(took)
    bare = median(seconds["bare"])
    return [
        Row("bare interpreter", bare, "s"),
        Row("import evalkit, beyond the bare interpreter", median(seconds["import"]) - bare, "s", 0.05),
        Row("evalkit --help", median(seconds["help"]), "s", 0.15),
        Row("evalkit tasks", median(seconds["tasks"]), "s", 0.2),
    ]


def _seconds(arguments: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started
