"""The page of eight runs whose texts are hostile to a layout: no side scroll, accessible, at every width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import evalkit
from evalkit.models.base import Request
from evalkit.models.fake import FakeModel, Hinted, Hints
from tests import needs
from tests.report.pages import HOSTILE, Watched, chromium, page_of, settled

pytestmark = [needs.chromium, pytest.mark.slow]
TEXTS = (
    "x" * 5_000, "w/" * 3_000, "שלום " * 300 + "\u202e\u2067 abc", "\x00\x07\x1b[31m\x7f\x85\u2028\n" * 40,
    HOSTILE, "\U0001f469\u200d\U0001f4bb" * 400, "漢字" * 800, "Z\u0335\u0321\u033a\u034d" * 300,
    "| a " * 400, "$$\\frac{" * 300, "\t\t\t" * 500 + "end", "&nbsp;&#8203;<wbr>" * 200,
)  # fmt: skip
TASK = '''"""Samples whose texts are hostile, made for a test."""

from evalkit.api import Accuracy, Message, Protocol, Records, Sample, Task, Verdict, ask_once, task

TEXTS = {texts!r}
ROWS = [{{"id": f"{{n}} {{text}}" if n else "i" * 100_000, "text": text}} for n, text in enumerate(TEXTS)]


class Rows:
    def open(self, options=None):
        return Records({{"kind": "made", "name": "hostile", "where": "here"}}, len(ROWS), lambda: iter(ROWS))


def score(answer, sample):
    if len(sample.group) > len(answer):
        raise ValueError(answer)  # all of a group fails in one run
    return Verdict(answer in sample.target, reason=answer)


@task("hostile")
def hostile():
    """Hostile texts"""
    return Task(
        data=Rows(),
        sample=lambda row: Sample(row["id"], row["text"], (row["text"] or "-",), group=row["text"][:3_000]),
        prompt=lambda sample, protocol: (Message("user", sample.input),),
        answer=lambda text, sample: text or None,
        scorer=score,
        metrics=(Accuracy(),),
        protocols=(Protocol(name="plain", solver=ask_once, max_tokens=64),),
        gold=lambda sample, protocol: sample.target[0],
    )
'''


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight runs, each of which repeats the question, or else says the text of another one."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "hostile.py").write_text(TASK.format(texts=TEXTS), "utf-8")
    runs = []
    for number in range(8):

        def say(request: Request, draw: int, hints: Hints, number: int = number) -> str:
            gold = hints.gold()
            return gold if (len(gold) + number) % 3 else TEXTS[number]

        name = f"fake/{number}{TEXTS[number][:200]}"
        runs.append(folder / f"{number}.db")
        evalkit.run(FakeModel(Hinted(say), name), f"{folder / 'hostile.py'}:hostile:plain", output=runs[-1])
    path = folder / "page.html"
    path.write_text(page_of(*runs), "utf-8")
    return path


@pytest.fixture(params=[(390, "dark"), (1280, "light")], ids=["phone", "desk"])
def watched(request: pytest.FixtureRequest) -> Iterator[Watched]:
    width, scheme = request.param
    with chromium(width, 844, scheme) as found:
        yield found
    assert found.complaints == []


def test_hostile_texts_break_no_layout(page: Path, watched: Watched) -> None:
    from axe_playwright_python.sync_playwright import Axe

    tab = watched.open(page)
    assert tab.viewport_size is not None
    width = tab.viewport_size["width"]
    wide = "document.documentElement.scrollWidth"
    assert tab.evaluate(wide) <= width
    tab.focus("#list")
    for _ in TEXTS:
        tab.keyboard.press("ArrowDown")
        settled(tab)
        tab.wait_for_selector("#sample .run")
        tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert tab.evaluate(wide) <= width, tab.locator("#sample h3").inner_text()[:80]
    assert tab.evaluate("window.hurt") is None
    violations = Axe().run(tab).response["violations"]
    assert [v["id"] for v in violations if v["impact"] in ("serious", "critical")] == []
