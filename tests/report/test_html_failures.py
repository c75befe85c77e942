"""Where a program failed its test, on the page and as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import evalkit
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel, Hinted, Hints
from evalkit.report.disputes import Dispute
from evalkit.report.failures import failure_lines
from evalkit.report.one_sample import sample_text
from evalkit.runfile.sample_records import SampleRecords
from evalkit.runfile.store import Store
from tests import needs
from tests.report.pages import HOSTILE, Watched, chromium, page_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HumanEval, whose programs all raise a hostile text in their third line."""

    def answer(request: Request, draw: int, hints: Hints) -> Response:
        lines = hints.gold().split("\n")
        at = next(i for i, line in enumerate(lines) if line.startswith("def "))
        body = f'    text = """\n\u202e"""\n    raise ValueError({HOSTILE!r})'
        return Response("\n".join([lines[0], *lines[1:at], lines[at], body, "```"]))

    path = tmp_path_factory.mktemp("failures") / "run.db"
    model = FakeModel(Hinted(answer), "fake/hostile")
    evalkit.run(model, "humaneval:0-shot", output=path, data="builtin", limit=2)
    return path


@pytest.fixture
def watched() -> Iterator[Watched]:
    with chromium() as found:
        yield found
    assert found.complaints == []


@needs.chromium
@pytest.mark.slow
def test_the_page_marks_the_line_and_shows_the_test(run: Path, tmp_path: Path, watched: Watched) -> None:
    (tmp_path / "page.html").write_text(page_of(run), "utf-8")
    tab = watched.open(tmp_path / "page.html")
    shown = tab.locator("#sample .final").first
    shown.locator(".failure").wait_for()
    assert "assert" in shown.locator(".failure pre").inner_text()
    marked = "".join(shown.locator("mark.failed").all_inner_texts())
    assert marked.strip().startswith("raise ValueError(")
    assert "\n" not in marked
    facts = shown.locator(".failure .facts").inner_text()
    assert "last call" in facts
    assert "raised" in facts
    assert tab.evaluate("window.hurt") is None


def test_the_text_of_a_sample_has_the_place(run: Path) -> None:
    with Store.open(run) as store:
        (cell,) = store.cells()
        sample = SampleRecords(store, cell).read(0)
        text = sample_text(cell, sample, [])
    assert "  test: assert" in text
    assert "of the answer: raise ValueError(" in text
    final = sample.answer["finals"][0]
    lines = list(Dispute("t", "p", "m", "1", {"headline": [final]}).lines())
    assert [line.strip() for line in failure_lines(final)] == [line.strip() for line in lines[2:]]
    assert lines[2].startswith("      test: ")


def test_a_scorers_own_detail_is_shown() -> None:
    assert [*failure_lines({"detail": {"closest": "Lima\nPeru"}})] == ["  closest: Lima", "    Peru"]


@pytest.mark.parametrize("detail", [{"values": [1]}, {"test": 5, "line": "x"}, {"call": {"a": None}}, {}])
def test_an_edited_detail_is_only_text(detail: dict[str, object]) -> None:
    assert all(isinstance(line, str) for line in failure_lines({"detail": detail}))
