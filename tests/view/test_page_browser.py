"""The page of runs at a server, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.reopen import write_run
from tests import needs
from tests.report.pages import Watched, chromium, page_of, run_of, settled
from tests.view.served import Served, going, serving, until

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab
    from playwright.sync_api import Route

pytestmark = [needs.chromium, pytest.mark.slow]
TASKS = "gsm8k:8-shot-cot,mmlu:5-shot,chartqa,asr"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two runs on texts, pictures, clips and code, the second wrong in a third of its answers."""
    folder = tmp_path_factory.mktemp("view")
    runs = [run_of(folder, "a", TASKS), run_of(folder, "b", TASKS, model="fake/gold?wrong=0.3")]
    (folder / "page.html").write_text(page_of(*runs), "utf-8")
    with serving(folder) as found:
        yield found


@pytest.fixture
def watched(served: Served) -> Iterator[Watched]:
    with chromium() as found:
        yield found
    assert found.complaints == []
    assert [url for url in found.requests if not url.startswith((served.address, "file:"))] == []


def file_of(served: Served) -> Path:
    """The page with both runs in one file."""
    return next(iter(served.folder.files().values())).parent / "page.html"


QUERIES: tuple[dict[str, str], ...] = (
    {},
    {"part": "mmlu:5-shot"},
    {"group": "STEM"},
    {"outcome": "wrong"},
    {"outcome": "unparsable", "part": "gsm8k:8-shot-cot"},
    *({"disagreement": kind} for kind in ("runs", "left", "right", "readings")),
    *({"order": kind} for kind in ("id", "worst", "best", "left", "right", "long", "short", "slow")),
    {"search": "HOW MANY"},
    {"search": "swaps away 8", "order": "worst"},
    {"search": "no such words anywhere"},
    {"search": "42"},
    {"search": "a"},
    {"search": "e [*?", "outcome": "wrong"},
    {"search": "left:correct right:wrong"},
    {"search": "-outcome:correct benchmark:gsm8k"},
    {"search": "group:stem -group:physics tokens>=1"},
    {"search": 'question:"how many" score<1 seconds>=0'},
    {"search": "-tokens>0 answer:1"},
    {"search": "error:timeout"},
    {"search": "id:1 -id:2", "order": "best"},
)
"""The filters of the list, by their fields."""


def listed(watched: Watched) -> tuple[str, list[str]]:
    """(how many are found, the ids that are drawn), once the search is over and the lines are there."""
    from playwright.sync_api import expect

    expect(watched.tab.locator("#found")).not_to_contain_text("so far")
    expect(watched.tab.locator("#rows [aria-busy]")).to_have_count(0)
    ids = watched.tab.eval_on_selector_all("#rows .id", "all => all.map(one => one.title)")
    return watched.tab.locator("#found").inner_text(), ids


def ask(watched: Watched, query: dict[str, str]) -> tuple[str, list[str]]:
    """Sets the filters of the page, all others to nothing, and returns what is listed."""
    fields = dict.fromkeys(("part", "group", "outcome", "disagreement", "order", "search"), "") | query
    watched.tab.evaluate(
        "all => Object.entries(all).forEach(([id, value]) => { document.getElementById(id).value = value; })",
        fields,
    )
    watched.tab.evaluate("document.getElementById('found').textContent = 'so far'")
    watched.tab.dispatch_event("#order", "change")
    return listed(watched)


def test_every_query_finds_the_same_at_the_server_and_in_the_page(served: Served, watched: Watched) -> None:
    watched.tab.set_viewport_size({"width": 1280, "height": 4000})  # a list of many rows
    watched.open(file_of(served))
    here = [ask(watched, query) for query in QUERIES]
    served.open(watched, "a", "b")
    for query, expected in zip(QUERIES, here, strict=True):
        assert ask(watched, query) == expected, query
    found = {text for text, _ in here}
    assert len(found) > 7


def test_a_sample_at_the_server_is_shown_as_in_the_page(served: Served, watched: Watched) -> None:
    """Its answers, prompts, pictures and clips."""
    from playwright.sync_api import expect

    shown = []
    for place in (file_of(served).as_uri(), served.page("a", "b")):
        texts = []
        for part in ("chartqa:direct", "asr:asr", "mmlu:5-shot"):
            watched.tab.goto(place)
            watched.tab.wait_for_selector("html[data-ready]")
            part = next(one for one in _parts(watched) if one.startswith(part.partition(":")[0]))
            ask(watched, {"part": part})
            watched.tab.locator("#rows [role=option]").nth(1).click()
            expect(watched.tab.locator("#rows [aria-selected=true]")).to_have_attribute("data-place", "1")
            settled(watched.tab)
            expect(watched.tab.locator("#sample .run")).to_have_count(2)
            texts.append(watched.tab.locator("#sample").inner_text())
            if part.startswith("chartqa"):
                picture = watched.tab.locator("#sample img").first
                expect(picture).to_have_js_property("complete", value=True)
                texts.append(picture.evaluate("one => `${one.naturalWidth} x ${one.naturalHeight}`"))
            if part.startswith("asr"):
                # A function: the page's policy lets a text be evaluated only once.
                watched.tab.wait_for_function("() => document.querySelector('#sample audio').duration > 0")
        shown.append(texts)
    assert shown[0] == shown[1]


def test_a_sample_that_is_not_there_yet_is_not_taken_for_the_selected_one(
    served: Served, watched: Watched
) -> None:
    """While the server is slow, the sample before is shown as busy, and so are rows that have not come."""
    from playwright.sync_api import expect

    served.open(watched, "a", "b")
    tab = watched.tab
    settled(tab)
    before = tab.locator("#sample").inner_text()
    release = _held(tab, "**/sample?*")
    tab.locator("#rows [role=option]").nth(1).click()
    expect(tab.locator("[data-place='1']")).to_have_attribute("aria-selected", "true")
    expect(tab.locator("#sample")).to_have_attribute("aria-busy", "true")
    expect(tab.locator("#sample > *").first).to_have_css("opacity", "0.4")
    assert tab.locator("#sample").inner_text() == before
    release()
    settled(tab)
    name = tab.locator("[data-place='1'] .id").get_attribute("title")
    expect(tab.locator("#sample h3 bdi").last).to_have_text(str(name))
    release = _held(tab, "**/lines?*")
    tab.select_option("#order", "worst")
    expect(tab.locator("#rows [aria-busy=true]").first).to_have_css("opacity", "0.4")
    release()
    expect(tab.locator("#rows [aria-busy]")).to_have_count(0)


def _held(tab: Tab, address: str) -> Callable[[], None]:
    """Holds requests back; what is returned waits for the first, and then lets all through."""
    waiting: list[Route] = []
    tab.route(address, lambda route: waiting.append(route))

    def release() -> None:
        while not waiting:
            tab.wait_for_timeout(20)
        tab.unroute(address)  # which lets those through that are held

    return release


def _parts(watched: Watched) -> list[str]:
    options: list[str] = watched.tab.eval_on_selector_all("#part option", "all => all.map(one => one.value)")
    return options


def test_links_of_the_page_lead_to_samples_and_back(served: Served, watched: Watched) -> None:
    from playwright.sync_api import expect

    served.open(watched, "a", "b")
    tab = watched.tab
    tab.locator("#results a[href^='#samples=']").first.click()
    expect(tab.locator("#found")).to_have_text(re.compile("^16 of "))
    tab.locator("#rows [role=option]").nth(3).click()
    settled(tab)
    expect(tab).to_have_url(re.compile(r"#sample="))
    name = tab.locator("#sample h3 bdi").last.inner_text()
    address = tab.url
    tab.goto(served.page("a"))
    tab.goto(address)
    expect(tab.locator("#sample h3 bdi").last).to_have_text(name)
    tab.get_by_role("link", name="All runs").click()
    expect(tab.get_by_role("heading", level=1)).to_contain_text("Runs in")


@pytest.mark.slow
def test_the_page_of_a_long_run_gets_its_tables_and_its_end(tmp_path: Path) -> None:
    """The list of 6,000 samples is scrolled to its end, and the tables come into the page."""
    from playwright.sync_api import expect

    write_run(tmp_path / "long.db", 6_000)
    with serving(tmp_path) as served, chromium() as watched:
        served.open(watched, "long")
        tab = watched.tab
        expect(tab.locator("#found")).to_have_text("6,000 of 6,000 samples", timeout=60_000)
        tab.locator("#list").press("End")
        expect(tab.locator("[data-place='5999']")).to_have_attribute("aria-selected", "true")
        expect(tab.locator("[data-place='5999'] .id")).not_to_be_empty()
        last = tab.locator("[data-place='5999'] .id").get_attribute("title")
        expect(tab.locator("#sample h3 bdi").last).to_have_text(str(last))
        tab.locator("#list").press("ArrowUp")
        expect(tab.locator("[data-place='5998']")).to_have_attribute("aria-selected", "true")
        expect(tab.locator("#results")).to_contain_text("73.9–76.1", timeout=60_000)
        expect(tab.locator("#charts")).to_have_count(1)
        assert watched.complaints == []


def test_a_run_that_goes_on_is_followed_in_the_page(tmp_path: Path) -> None:
    from playwright.sync_api import expect

    with going(tmp_path, 5) as run, serving(tmp_path) as served, chromium() as watched:
        run.tell("right", "wrong")
        until(served, ["going"], lambda state: state.get("lines") == 2)
        served.open(watched, "going")
        tab = watched.tab
        live, found = tab.locator("#live"), tab.locator("#found")
        expect(live).to_contain_text("2 of 5 samples · 1 correct · 1 wrong", timeout=20_000)
        tab.locator("#rows [role=option]").nth(1).click()
        expect(tab.locator("#sample .badge")).to_have_text("wrong")
        run.tell("fail")
        expect(live).to_contain_text("the answer is lost <b>as told</b>", timeout=20_000)
        expect(found).to_have_text("3 of 3 samples", timeout=20_000)
        expect(tab.locator("[data-place='1']")).to_have_attribute("aria-selected", "true")
        run.tell("right", "right")
        run.end()
        expect(found).to_have_text("5 of 5 samples", timeout=20_000)
        expect(live).to_be_hidden(timeout=20_000)
        expect(tab.locator("#results")).to_contain_text("75", timeout=20_000)
        assert watched.complaints == []
