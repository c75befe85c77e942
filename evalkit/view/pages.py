"""The pages of runs: the report's own page, and a first one of long runs, which is there at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from evalkit.exports import shared
from evalkit.report.build import MOST, Page, render_report
from evalkit.report.html.about import cards, run_cards
from evalkit.report.html.browser import make_browser
from evalkit.report.html.page import render
from evalkit.report.layout import names_of
from evalkit.report.tabular import Column, Tabular, TabularCell, TabularRow, cleaned
from evalkit.runfile.store import Store
from evalkit.site.contents import figures_in
from evalkit.site.folder import value_text

HOME = "../index.html"
_BEING_MADE = "The tables and charts of all samples are being made."


def report_page(paths: Sequence[Path], source: str = "") -> bytes:
    """The page of `evalkit report`. `source`: where it finds samples; "": in itself, without local places."""
    with ExitStack() as opened:
        if source:
            stores = [opened.enter_context(Store.open(path)) for path in paths]
        else:
            stores = [opened.enter_context(shared.opened(path, report=True)) for path in paths]
        return render_report(
            stores, "html", page=Page(MOST, source=source, home=HOME if source else "")
        ).encode()


def shell_page(paths: Sequence[Path], source: str) -> bytes:
    """The page with the stored headlines and the list of samples, for which no sample is read."""
    with ExitStack() as opened:
        stores = [opened.enter_context(Store.open(path, whole=False)) for path in paths]
        names = names_of(stores)
        browser = make_browser(stores, names, 1, source)
        return render(
            title=", ".join(dict.fromkeys(names)),
            tables=[cleaned(_headlines(paths, names))],
            charts=[],
            parts=[],
            browser=browser and dataclasses.replace(browser, partial=True),
            cards=cards(stores),
            runs=run_cards(stores, names),
            home=HOME,
        ).encode()


def _headlines(paths: Sequence[Path], names: Sequence[str]) -> Tabular:
    """The stored headline of each benchmark, a column for each run."""
    rows: dict[str, list[TabularCell]] = {}
    for run, path in enumerate(paths):
        found = figures_in(path, path.name)
        for one in found.headlines if found else ():
            label = f"{one.task}:{one.label}, {one.metric}"
            cells = rows.setdefault(label, [TabularCell("—", "empty") for _ in paths])
            cells[run] = TabularCell(value_text(one), "run", samples=one.name)
    return Tabular(
        "Figures",
        (Column("benchmark"), *(Column(name, "run") for name in names)),
        tuple(TabularRow((TabularCell(label), *cells)) for label, cells in rows.items()),
        remarks=(_BEING_MADE,),
    )
