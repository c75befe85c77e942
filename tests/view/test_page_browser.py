"""The page of runs at a server, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import needs
from tests.report.pages import Watched, chromium, page_of, run_of
from tests.view.served import Served, serving

pytestmark = [needs.chromium, pytest.mark.slow]
TASKS = "gsm8k:8-shot-cot,humaneval,mmlu:5-shot,chartqa,mmmu,asr"


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


QUERIES: tuple[dict[str, str], ...] = (
    {},
    {"part": "mmlu:5-shot"},
    {"group": "STEM"},
    {"outcome": "wrong"},
    {"outcome": "unparsable", "part": "gsm8k:8-shot-cot"},
    *({"disagreement": kind} for kind in ("runs", "left", "right", "readings")),
    *({"order": kind} for kind in ("id", "worst", "best", "left", "right", "long", "short", "slow")),
    {"search": "total_minutes"},
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
    for name, value in fields.items():
        if name == "search":
            watched.tab.fill("#search", value)
        else:
            watched.tab.select_option(f"#{name}", value)
    watched.tab.evaluate("document.getElementById('found').textContent = 'so far'")
    watched.tab.dispatch_event("#order", "change")
    return listed(watched)


def test_every_query_finds_the_same_at_the_server_and_in_the_page(served: Served, watched: Watched) -> None:
    watched.tab.set_viewport_size({"width": 1280, "height": 4000})  # a list of many rows
    watched.open(next(iter(served.folder.files().values())).parent / "page.html")
    here = [ask(watched, query) for query in QUERIES]
    served.open(watched, "a", "b")
    for query, expected in zip(QUERIES, here, strict=True):
        assert ask(watched, query) == expected, query
    found = {text for text, _ in here}
    assert len(found) > 8
