"""Measures reopening a finished run and printing its table, as `evalkit report` does."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.made import made_plan
from bench.rows import ROOT, Row, say
from evalkit.benchmark.signature import combine, digest
from evalkit.engine.run import open_run
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel
from evalkit.report.table import build_table
from evalkit.report.tabulate import figure_list
from evalkit.report.terminal import to_terminal
from evalkit.runfile.figures import figures_of
from evalkit.runfile.records import Link
from evalkit.runfile.store import Row as Judged
from evalkit.runfile.store import Store
from evalkit.samples import JSON

SAMPLES = 100_000
BUDGET = 1.0
"""The budget of the design in seconds."""
_WIDTH = 120


def measure(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.db")
        say(f"reopen: writing {SAMPLES} samples")
        write_run(path, SAMPLES)
        inside: list[float] = []
        command: list[float] = []
        for _ in range(2 if quick else 5):
            inside.append(_seconds(path))
            command.append(_command_seconds(path))
    return [
        Row(
            f"open a run of {SAMPLES // 1000}k samples, build and render its table",
            median(inside),
            "s",
            BUDGET,
        ),
        Row("evalkit report on it, the whole command", median(command), "s", BUDGET),
    ]


def _seconds(path: Path) -> float:
    started = time.perf_counter()
    store = Store.open(path)
    shown = to_terminal([figure_list(build_table([store]))], width=_WIDTH)
    store.close()
    took = time.perf_counter() - started
    assert str(SAMPLES) in shown, shown
    return took


def _command_seconds(path: Path) -> float:
    script = "from evalkit.cli.main import main; main()"
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", script, "report", str(path)], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started


def write_run(path: Path, count: int) -> None:
    """Writes the run file of a run over `count` samples in which three of four answers are right."""
    plan = made_plan(FakeModel(lambda request, draw: ""), count)
    store = open_run(path, plan)
    (planned,) = plan.cells
    (cell,) = store.cells()
    for position, sample in planned.samples():
        request = Request(planned.task.prompt(sample, planned.protocol), planned.protocol.max_tokens)
        key, body = request.encoded()
        right = position % 4 > 0
        text = planned.task.gold(sample, planned.protocol) if right else "The answer is 0."
        store.add_response(key, body, 0, cell, sample.id, Response(text, "stop", 200, 9, 1.0))
        store.add_sample(
            cell,
            Judged(
                sample,
                position,
                question=digest([sample.id, list(sample.target), list(sample.choices)]),
                asked=bytes.fromhex(combine([key])),
                outcome="correct" if right else "wrong",
                statistics=(float(right), 1.0),
                answer={"finals": [_final(sample.target[0] if right else "0", right)], "detail": {}},
                links=(Link(0, 0, key),),
            ),
            fresh=True,
        )
        if position % 1000 == 0:
            store.commit()
    store.finish(cell, count, figures_of(planned.task.metrics, store.data(cell)))
    store.close()


def _final(value: str, right: bool) -> JSON:
    return {"value": value, "correct": right, "truncated": False, "reason": ""}
