"""Measures `evalkit view` of a long run: its first page, filters, index, search, and memory.

The page and the server are real: Chromium, and the command in a process of its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.reopen import write_run
from bench.rows import ROOT, Row, say

if TYPE_CHECKING:
    from playwright.sync_api import Page

SAMPLES = 1_000_000
BUDGETS = {"paint": 1.0, "lines": 1.5, "filter": 1.5, "search": 1.5, "server": 1500.0, "page": 600.0}
"""The budgets in seconds, and of memory in MB."""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
_SAID = "document.getElementById('found').textContent"
_LISTED = f"() => {_SAID} && !/so far/.test({_SAID})"
_SEARCHED = "123456"


def measure(quick: bool) -> list[Row]:
    count = SAMPLES // 10 if quick else SAMPLES
    if (chromium := shutil.which("chromium")) is None:
        say("view: skipped, because there is no chromium")
        return []
    with tempfile.TemporaryDirectory() as folder:
        say(f"view: writing {count} samples")
        run = Path(folder, "run.db")
        write_run(run, count)
        return measured(run, count, chromium)


def measured(run: Path, count: int, chromium: str) -> list[Row]:
    """The rows for a run file of so many samples."""
    from playwright.sync_api import sync_playwright

    with _server(run) as (process, address), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        started = time.perf_counter()
        tab.goto(address)
        tab.wait_for_selector("html[data-ready]", timeout=600_000)
        tab.wait_for_selector("#rows .id", timeout=600_000)
        lines, paint = time.perf_counter() - started, float(tab.evaluate(_PAINT))
        say(f"view: painted after {paint:.2f} s, the first lines after {lines:.2f} s")
        early = _filtered(tab, "wrong", wait=False)
        tab.wait_for_function(_LISTED, timeout=900_000)
        listed = time.perf_counter() - started
        say(f"view: filtered in {early:.2f} s; all are listed after {listed:.0f} s")
        late = _filtered(tab, "correct")
        _filtered(tab, "")
        started = time.perf_counter()
        tab.fill("#search", _SEARCHED)
        tab.wait_for_timeout(300)
        tab.wait_for_function(_LISTED, timeout=900_000)
        indexed = time.perf_counter() - started
        say(f"view: filtered in {late:.2f} s; the index of texts took {indexed:.0f} s")
        searches = [_searched(tab, text) for text in ("999999", "the answer is 0", "77777")]
        tab.wait_for_selector("form:not([data-partial])", timeout=900_000, state="attached")
        whole = f"{count // 1000}k samples"
        rows = [
            Row(f"evalkit view of {whole}: first contentful paint", paint, "s", BUDGETS["paint"]),
            Row("until its first lines are listed", lines, "s", BUDGETS["lines"]),
            Row("filtering by outcome while they are listed", early, "s", BUDGETS["filter"]),
            Row("until all are listed", listed, "s"),
            Row("filtering all of them by outcome", late, "s", BUDGETS["filter"]),
            Row("the index of texts", indexed, "s"),
            Row("searching the texts of all", max(searches), "s", BUDGETS["search"]),
            Row("the server's peak memory, with the report", _peak(process.pid), "MB", BUDGETS["server"]),
            Row("Chromium: memory of all its processes", _resident(process.pid), "MB", BUDGETS["page"]),
        ]
        browser.close()
    return rows


def _filtered(tab: Page, outcome: str, *, wait: bool = True) -> float:
    tab.evaluate(f"{_SAID} = ''")
    started = time.perf_counter()
    tab.select_option("#outcome", outcome)
    tab.wait_for_function(_LISTED if wait else f"() => {_SAID}", timeout=600_000)
    return time.perf_counter() - started


def _searched(tab: Page, text: str) -> float:
    tab.evaluate(f"{_SAID} = ''")
    started = time.perf_counter()
    tab.fill("#search", text)
    tab.wait_for_function(_LISTED, timeout=600_000)
    return time.perf_counter() - started


@contextmanager
def _server(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "evalkit", "view", str(run), "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


def _peak(process: int) -> float:
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1000


def _resident(server: int) -> float:
    """The memory of the browser's processes, each page of shared memory counted once (PSS)."""
    total = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if b"chromium" in (place / "cmdline").read_bytes() and int(place.name) != server:
                total += int((place / "smaps_rollup").read_text().split("Pss:")[1].split()[0])
        except (OSError, IndexError):
            continue
    return total / 1000
