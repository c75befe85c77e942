"""The static site and the live index in a real browser: from files, and from a plain server in a sub-path."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from evalkit.site.export import export
from evalkit.site.folder import RunFolder
from evalkit.site.names import run_name
from evalkit.site.pages import index_page
from tests import needs
from tests.edited import edited
from tests.report.pages import HOSTILE, Watched, chromium, run_of
from tests.report.runs import ran
from tests.site.folders import begun, divisible, going, history

pytestmark = [needs.chromium, pytest.mark.slow]


def hostile(folder: Path) -> None:
    """Two runs whose models, tasks, groups, ids and questions are hostile."""
    for day, wrong in ((11, 2), (12, 3)):
        path = folder / f"hostile-{day}.db"
        ran(folder, HOSTILE, functools.partial(divisible, wrong), count=20, file=path.stem).close()
        spec = orjson.dumps({"task": HOSTILE})
        with edited(path) as db:
            db.execute("UPDATE sample SET id = id || ?, input = ?, grp = ?", (HOSTILE, HOSTILE, HOSTILE))
            db.execute("UPDATE figure SET grp = grp || ? WHERE grp != ''", (HOSTILE,))
            db.execute("UPDATE cell SET task = ?, spec = json_patch(spec, ?)", (HOSTILE, spec.decode()))
        begun(path, f"2026-01-{day}T12:00:00+00:00")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    history(place / "runs")
    hostile(place / "runs")
    for day, model in enumerate(("fake/gold?wrong=0.1", "fake/gold?wrong=0.4"), 20):
        begun(
            run_of(place / "runs", f"small-{day}", "mmlu:5-shot,asr", model=model),
            f"2026-01-{day}T00:00:00+00:00",
        )
    (place / "runs" / "damaged.db").write_bytes((place / "runs" / "run-1.db").read_bytes()[:9000])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(place / "cache"))
        export([place / "runs"], place / "www" / "team" / "site")
    return place / "www" / "team" / "site"


@contextmanager
def served(
    handler: Callable[..., BaseHTTPRequestHandler],
) -> Iterator[str]:
    """The address of a server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def walked(watched: Watched, start: str) -> None:
    """From the index to a comparison, to a sample of its head, back, and to a benchmark."""
    from playwright.sync_api import expect

    tab = watched.tab
    tab.goto(start)
    tab.locator("#runs tr", has_text="run-3.db").get_by_role("link", name="run-2.db").click()
    expect(tab.locator("h1")).to_have_text("b (run-3.db) against a (run-2.db)")
    sample = tab.locator("#flips tbody tr").first
    name = sample.locator("th bdi").first.inner_text()
    sample.get_by_role("link", name="in head").click()
    tab.wait_for_selector("html[data-ready]")
    expect(tab.locator("#sample h3 bdi").last).to_have_text(name)
    tab.get_by_role("link", name="All runs").click()
    expect(tab.locator("h1")).to_have_text("Runs in runs")
    tab.locator("#history").get_by_role("link", name="mmlu:5-shot").click()
    expect(tab.locator("h1")).to_have_text("mmlu")
    expect(tab.locator(".about.set")).to_contain_text("four-choice questions of 57 subjects")
    assert tab.locator("#group-1 figure svg").count() == 1
    tab.locator("#group-1 td.run a").first.click()
    tab.wait_for_selector("html[data-ready]")
    expect(tab.locator("#part option:checked")).to_have_text("mmlu:5-shot")
    tab.go_back()
    tab.get_by_text("Figures by group").click()
    assert tab.locator("#group-1 details tbody tr").count() == 5
    assert watched.complaints == []


def test_links_lead_on_from_files(site: Path) -> None:
    with chromium() as watched:
        walked(watched, (site / "index.html").as_uri())
        assert [url for url in watched.requests if not url.startswith("file:")] == []


def test_links_lead_on_below_any_path_of_a_server(site: Path) -> None:
    folder = str(site.parent.parent)
    with served(functools.partial(Quiet, directory=folder)) as address, chromium() as watched:
        walked(watched, f"{address}/team/site/index.html")
        asked = [url.removeprefix(f"{address}/team/site/") for url in watched.requests]
        assert [
            url for url in asked if not url.endswith(".html") and "#" not in url and "favicon" not in url
        ] == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_accessible_and_no_wider_than_the_screen(site: Path, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    hostile = f"{run_name('hostile-11.db')}...{run_name('hostile-12.db')}"
    names = ["index.html", f"compare/{hostile}.html"]
    names += [path.relative_to(site).as_posix() for path in site.glob("benchmarks/script-*.html")]
    assert len(names) == 3
    with chromium(width, 844, scheme) as watched:
        for name in names:
            tab = watched.tab
            tab.goto((site / name).as_uri())
            tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, name
            found = Axe().run(tab).response["violations"]
            serious = [
                (one["id"], one["nodes"][0]["html"][:200])
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == [], name
            assert tab.evaluate("window.hurt") is None
            assert tab.locator("footer").is_visible()
        assert watched.complaints == []


def test_the_index_follows_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from playwright.sync_api import expect

    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "runs").mkdir()
    folder = RunFolder([tmp_path / "runs"])

    class Live(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            live = self.path == "/token/state.json"
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if live else "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(orjson.dumps(folder.state()) if live else index_page(folder, live=True).encode())

        def log_message(self, *_: object) -> None:
            pass

    with going(tmp_path / "runs" / "live.db") as run, served(Live) as address, chromium() as watched:
        tab = watched.tab
        tab.goto(f"{address}/token/index.html")
        row = tab.locator("#runs tbody tr")
        expect(row).to_contain_text("going on, 8 of 12")
        expect(tab.locator("#live")).to_have_text("One run goes on.", timeout=30_000)
        tab.evaluate("window.stays = 1")
        run.finish()
        expect(row).not_to_contain_text("going on", timeout=30_000)
        expect(row.locator("td").nth(2)).to_have_text("finished")
        expect(row).to_contain_text("sums:once 100 %")
        expect(tab.locator("#live")).to_have_text("")
        shutil.copy(tmp_path / "runs" / "live.db", tmp_path / "runs" / "later.db")
        expect(tab.locator("#live")).to_have_text(
            "One new run: load the page again to see it.", timeout=30_000
        )
        assert tab.evaluate("window.stays") == 1  # the page was not loaded again
        assert watched.complaints == []
