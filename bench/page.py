"""Measures the HTML page of a long run, and of eight runs: building it, and showing and filtering it."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.reopen import write_run
from bench.rows import Row, say
from evalkit.report.build import render_report
from evalkit.runfile.store import Store

SIZES = ((1, 50_000), (8, 20_000))
"""(runs, samples of each). The runs are copies: the page does not know."""
BUDGETS = {"build": 20.0, "paint": 1.0, "filter": 1.0}
"""The budgets in seconds; that of building is for 50,000 samples."""
_FILTER = """async name => {
    const started = performance.now(), outcome = document.getElementById('outcome');
    outcome.value = [...outcome.options].find(option => option.text === name).value;
    outcome.dispatchEvent(new Event('change'));
    await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));
    return (performance.now() - started) / 1000;
}"""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"


def measure(quick: bool) -> list[Row]:
    return [row for runs, samples in SIZES for row in _measured(runs, samples, quick)]


def _measured(runs: int, samples: int, quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        run, page = Path(folder, "0.db"), Path(folder, "page.html")
        say(f"page: writing {samples} samples")
        write_run(run, samples)
        paths = [run, *(shutil.copy(run, Path(folder, f"{n}.db")) for n in range(1, runs))]
        started = time.perf_counter()
        stores = [Store.open(path) for path in paths]
        page.write_text(render_report(stores, "html"), "utf-8")
        for store in stores:
            store.close()
        of = "" if runs == 1 else f"{runs} runs of "
        rows = [
            Row(
                f"HTML page of {of}{samples // 1000}k samples, built",
                time.perf_counter() - started,
                "s",
                BUDGETS["build"] * runs * samples / 50_000,
            ),
            Row("its size", page.stat().st_size / 2**20, "MB"),
        ]
        if (chromium := shutil.which("chromium")) is None:
            say("page: not opened, because there is no chromium")
            return rows
        turns = [_opened(chromium, page) for _ in range(1 if quick else 3)]
    names = ("first contentful paint", "until its samples are listed", "filtering all of them")
    budgets = (BUDGETS["paint"], None, BUDGETS["filter"])
    return rows + [
        Row(f"Chromium: {name}", median(turn[i] for turn in turns), "s", budget)
        for i, (name, budget) in enumerate(zip(names, budgets, strict=True))
    ]


def _opened(chromium: str, page: Path) -> tuple[float, float, float]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page()
        started = time.perf_counter()
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready]", timeout=60_000)
        ready = time.perf_counter() - started
        found = (float(tab.evaluate(_PAINT)), ready, float(tab.evaluate(_FILTER, "wrong")))
        browser.close()
    return found
