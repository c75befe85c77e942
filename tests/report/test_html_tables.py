"""Sorting the tables of a page by their columns, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import needs
from tests.report.pages import Watched, chromium, page_of, run_of

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

pytestmark = [needs.chromium, pytest.mark.slow]
COLUMNS = ("model", "accuracy", "tokens", "protocol")
ROWS = (
    ("Zebra", "71.5 ± 2.0", "1,204", "5-shot"),
    ("apple", "—", "98", "10-shot"),
    ("Öl", "9.25", "−3", "0-shot"),
    ("fig", "100", "~98", ""),
    ("kiwi", "not run", "$0.5", "5-shot"),
)


@pytest.fixture
def watched() -> Iterator[Watched]:
    with chromium() as found:
        yield found
    assert found.complaints == []


def _row(cells: tuple[str, ...]) -> str:
    first, *others = cells
    return f"<tr><th scope=row>{first}<sup>9</sup></th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"


def _table(tab: Tab, rows: str) -> None:
    """Shows a table, sortable by the script alone."""
    script = resources.files("evalkit.report.html").joinpath("tables.js").read_text("utf-8")
    head = "".join(f"<th scope=col>{name}</th>" for name in (*COLUMNS, ""))
    tab.set_content(
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<script>'use strict'; {script}; sortable(document);</script>"
    )


def _first(tab: Tab) -> list[str]:
    """The first cell of each row, without its note."""
    rows = tab.locator("tbody tr")
    return [*rows.evaluate_all("rows => rows.map(row => row.cells[0].firstChild.textContent)")]


def _states(tab: Tab) -> list[str | None]:
    return [heading.get_attribute("aria-sort") for heading in tab.locator("thead th").all()]


def test_three_clicks_sort_up_down_and_as_written(watched: Watched) -> None:
    tab = watched.tab
    _table(tab, "".join(map(_row, ROWS)))
    written = _first(tab)
    expected = {
        "model": (["apple", "fig", "kiwi", "Öl", "Zebra"], ["Zebra", "Öl", "kiwi", "fig", "apple"]),
        "accuracy": (["Öl", "Zebra", "fig", "kiwi", "apple"], ["fig", "Zebra", "Öl", "kiwi", "apple"]),
        "tokens": (["Öl", "kiwi", "apple", "fig", "Zebra"], ["Zebra", "apple", "fig", "kiwi", "Öl"]),
        "protocol": (["Öl", "Zebra", "kiwi", "apple", "fig"], ["apple", "Zebra", "kiwi", "Öl", "fig"]),
    }
    for at, (name, (up, down)) in enumerate(expected.items()):
        button = tab.get_by_role("button", name=name)
        button.click()
        assert _first(tab) == up
        assert _states(tab) == [("ascending" if i == at else None) for i in range(5)]
        button.press("Enter")  # with the keyboard
        assert _first(tab) == down
        assert _states(tab)[at] == "descending"
        if name != "protocol":  # the next column starts from a sorted table
            continue
        button.press("Space")
        assert _first(tab) == written
        assert _states(tab) == [None] * 5
    assert tab.locator("thead button").count() == len(COLUMNS)  # not for the heading without a text


def test_rows_stay_in_their_sections(watched: Watched) -> None:
    section = "<tr class=section><th scope=colgroup colspan=5>{}</th></tr>"
    rows = [*map(_row, ROWS)]
    _table(
        watched.tab, "".join([rows[0], section.format("one"), *rows[1:3], section.format("two"), *rows[3:]])
    )
    watched.tab.get_by_role("button", name="tokens").click()
    assert _first(watched.tab) == ["Zebra", "one", "Öl", "apple", "two", "kiwi", "fig"]


def test_tables_with_tall_cells_and_without_heads_stay(watched: Watched) -> None:
    _table(watched.tab, "<tr><th rowspan=2>a</th><td>1</td></tr><tr><td>0</td></tr>")
    assert watched.tab.locator("thead button").count() == 0


def test_the_tables_of_a_page_are_sorted(tmp_path: Path, watched: Watched) -> None:
    runs = [run_of(tmp_path, name, "gsm8k:8-shot-cot,mmlu:5-shot,humaneval", model=f"fake/gold?wrong={wrong}")
            for name, wrong in (("a", "0.1"), ("b", "0.5"))]  # fmt: skip
    (tmp_path / "page.html").write_text(page_of(*runs), "utf-8")
    tab = watched.open(tmp_path / "page.html")
    table = tab.locator("#results table").first
    cells = "rows => rows.map(row => parseFloat(row.cells[1].querySelector('strong, bdi').textContent))"
    table.get_by_role("button", name="wrong=0.1").click()
    figures = table.locator("tbody tr").evaluate_all(cells)
    assert len(set(figures)) > 1
    assert figures == sorted(figures)
