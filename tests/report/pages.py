"""Run files and a browser for tests of the HTML page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import evalkit
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel, Hinted, Hints
from evalkit.report.build import Page, render_report
from evalkit.runfile.store import Store
from tests.made import sums

if TYPE_CHECKING:
    from playwright.sync_api import Dialog
    from playwright.sync_api import Page as Tab

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
HOSTILE = (
    "</script><script>window.hurt = 1</script></style><style>body { display: none }</style>"
    "<img src=x onerror='window.hurt = 1'><!-- <a href='javascript:window.hurt = 1'>\u202eknil\u2066 \x07 ]]>"
)


def page_of(*runs: Path, **options: object) -> str:
    """The report on run files, as HTML. `options`: of `report`; `page`'s too."""
    of_page = {key: options.pop(key) for key in ("samples", "charts") if key in options}
    stores = [Store.open(run) for run in runs]
    try:
        return render_report(stores, "html", page=Page(**of_page), **options)  # type: ignore[arg-type]
    finally:
        for store in stores:
            store.close()


def run_of(folder: Path, name: str, tasks: str, *, model: str = "", **settings: object) -> Path:
    """A run on evalkit's small sets."""
    path = folder / f"{name}.db"
    evalkit.run(model or "fake/gold", tasks, output=path, data="builtin", **settings)  # type: ignore[arg-type]
    return path


def made_run(folder: Path, name: str, says: str, *, count: int = 20, model: str = "") -> Path:
    """A run on sums, in which every third answer is what `says`, the others right. Each word is a token."""

    def answer(request: Request, draw: int, hints: Hints) -> Response:
        gold = hints.gold()
        text = says if int(gold) % 3 == 0 else gold
        return Response(text, completion_tokens=len(text.split()))

    path = folder / f"{name}.db"
    task = sums(folder, count)
    evalkit.run(FakeModel(Hinted(answer), model or f"fake/{name}"), task, output=path)
    return path


class Watched:
    """A tab, and all that it complained of or asked for."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.complaints: list[str] = []
        self.requests: list[str] = []
        tab.on("console", lambda message: self._note(message.type, message.text))
        tab.on("pageerror", lambda error: self._note("error", str(error)))
        tab.on("dialog", self._dialog)
        tab.on("request", lambda request: self._asked(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _dialog(self, dialog: Dialog) -> None:
        self._note("error", f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _asked(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.requests.append(url)

    def open(self, path: Path, place: str = "") -> Tab:
        """The page, once its samples are there."""
        self.tab.goto(f"{path.as_uri()}{place}")
        self.tab.wait_for_selector("html[data-ready]", timeout=60_000)
        return self.tab


def settled(tab: Tab) -> None:
    """Waits until the selected sample is the one that is shown."""
    from playwright.sync_api import expect

    expect(tab.locator("#sample")).not_to_have_attribute("aria-busy", "true")


@contextmanager
def chromium(width: int = 1280, height: int = 900, scheme: str = "light") -> Iterator[Watched]:
    """A tab of a real browser."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None
    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            size = {"width": width, "height": height}
            tab = browser.new_page(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
            yield Watched(tab)
        finally:
            browser.close()
