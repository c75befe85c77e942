"""Tables 2 to 5 of the report in one command, over HTTP, on what could be two machines."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from evalkit.reports import printed_rows

from tests.openai_server import CHAT, OpenAIServer, Payload, answer, asked_text
from tests.processes import finish, start

TABLES = ("report:Table 2", "report:Table 3", "report:Table 4", "report:Table 5")
TASKS = ",".join(TABLES)
OTHER_MACHINE = {
    "LC_ALL": "C", "LANG": "C", "LANGUAGE": "", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "77",
    "PYTHONUTF8": "0", "COLUMNS": "60", "OMP_NUM_THREADS": "1",
}  # fmt: skip
SAME = (
    "SELECT task, role, position, s.id, grp, cluster, tags, question, asked, outcome, statistics, answer "
    "FROM sample s JOIN cell ON cell.id = s.cell ORDER BY task, protocol, role, position",
    "SELECT key, body FROM request ORDER BY key",
    "SELECT task, protocol, role, spec, found, finished FROM cell ORDER BY task, protocol, role",
    "SELECT task, protocol, metric, grp, f.value, low, high, n FROM figure f JOIN cell ON cell.id = f.cell "
    "ORDER BY task, protocol, metric, grp",
)
"""What two runs must have in common: samples with their verdicts, requests, cells, figures."""


def golden_answers(path: Path) -> dict[str, str]:
    """What `fake/gold` says to each prompt."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT body, text FROM request JOIN draw ON draw.request = request.id").fetchall()
    prompts = [json.loads(body)["prompt"] for body, _ in rows]
    return {
        prompt if isinstance(prompt, str) else asked_text({"messages": prompt}): text
        for prompt, (_, text) in zip(prompts, rows, strict=True)
    }


def share(*parts: object) -> float:
    return int.from_bytes(sha256(repr(parts).encode()).digest()[:4], "big") / 2**32


class Scripted:
    """A model that knows most answers, and else gives a wrong one, half a one or none."""

    def __init__(self, known: dict[str, str]) -> None:
        self.known = known

    def __call__(self, payload: Payload, route: str) -> str | Payload:
        asked = asked_text(payload)
        gold, luck = self.known[asked], share(asked, payload.get("seed"))
        if route != CHAT:
            letter = gold if luck > 0.3 else " C"
            return answer(payload, route, letter, next_token=lambda text: likely(letter))
        if luck > 0.3:
            return gold
        return "So the answer is (B), 7." if luck > 0.15 else gold[: len(gold) // 2] if luck > 0.05 else ""


def likely(letter: str) -> dict[str, float]:
    return {letter: 0.6} | {f" {other}": 0.1 for other in "ABCD" if f" {other}" != letter}


def run_in(folder: Path, url: str, concurrency: int, **environment: str) -> Path:
    """The run in a folder, home and locale of its own."""
    (folder / "home").mkdir(parents=True)
    command = ["run", "-m", "openai/scripted", "--base-url", url, "-t", TASKS, "--data", "builtin"]
    subprocess.run(
        [sys.executable, "-m", "evalkit", *command, "--concurrency", str(concurrency), "-o", "run.db"],
        cwd=folder, check=True, capture_output=True, timeout=400, umask=0o077 if environment else 0o022,
        env={**os.environ, "HOME": str(folder / "home"), **environment},
    )  # fmt: skip
    return folder / "run.db"


def contents(path: Path) -> list[list[Any]]:
    with closing(sqlite3.connect(path)) as db:
        return [db.execute(query).fetchall() for query in SAME]


@pytest.mark.slow
def test_tables_2_to_5_in_one_run_on_two_machines(tmp_path: Path) -> None:
    gold = tmp_path / "gold.db"
    finish(start("run", "-m", "fake/gold", "-t", TASKS, "--data", "builtin", "-o", gold, "--json"))
    with OpenAIServer(Scripted(golden_answers(gold)), model="scripted", latency=0.002) as server:
        first = run_in(tmp_path / "a", server.url, 32)
        asked = Counter(json.dumps(request.payload, sort_keys=True) for request in server.requests)
        assert {*asked.values()} == {1}  # MMLU's letter is asked once, for the routed protocol and the 5-shot
        server.requests.clear()
        second = run_in(tmp_path / "b", server.url, 3, **OTHER_MACHINE)
        assert Counter(json.dumps(request.payload, sort_keys=True) for request in server.requests) == asked
    for mine, others in zip(contents(first), contents(second), strict=True):
        assert mine == others

    reports = [
        json.loads(finish(start("report", path, "--paper", "gemini-1.0", "--json"))[0])
        for path in (first, second)
    ]
    signatures = [
        [json.dumps(cell["signature"], sort_keys=True) for cell in report["cells"]] for report in reports
    ]
    assert signatures[0] == signatures[1]
    assert len({*signatures[0]}) == len(signatures[0]) > 50
    grids = {grid["id"].replace("-", " "): grid for grid in reports[0]["grids"]}
    for table in TABLES:
        grid = grids[table.removeprefix("report:").casefold()]
        (column,) = (i for i, column in enumerate(grid["columns"]) if column["kind"] == "run")
        for row in grid["rows"]:
            cell = row["cells"][column]
            assert cell["kind"] == "run" or cell["text"] == "see MATH", (table, row["label"], cell["text"])
            assert cell["kind"] != "run" or (cell["value"] is not None and cell["n"] > 0)
    # A row that prints a protocol is filled under it, not under another one with a footnote.
    for table in TABLES:
        grid = grids[table.removeprefix("report:").casefold()]
        matched = {
            row.task: row.protocols for row in printed_rows()[grid["id"].replace("-", " ")] if row.protocols
        }
        for row in grid["rows"]:
            if row["protocol"] and row["task"] in matched and row["label"] != "MMLU":
                assert row["protocol"] in matched[row["task"]], row["label"]
