"""When the words of a clip were spoken: kept with the answer, and played from the page."""

from __future__ import annotations

from pathlib import Path

import pytest

import evalkit
from evalkit.data.base import data_options
from evalkit.engine.plan import make_plan
from evalkit.engine.rescore import rescore
from evalkit.models import open_model
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel
from evalkit.report.one_sample import sample_text
from evalkit.runfile.sample_records import SampleRecord, SampleRecords
from evalkit.runfile.store import Store
from tests import needs
from tests.report.pages import HOSTILE, chromium, page_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words with times, as another program wrote them, for every clip of evalkit's own list."""
    folder = tmp_path_factory.mktemp("spoken")
    settings = {"language": "en"}
    plan = make_plan(open_model("fake/gold"), ["asr"], data=data_options("builtin"), settings=settings)
    ids = [sample.id for _, sample in plan.cells[0].samples()]
    lines = [f"{name} 1 0.5 0.25 second\n{name} 1 0.1 0.3 first" for name in ids]
    (folder / "heard.ctm").write_text("\n".join(lines), "utf-8")
    evalkit.run(
        f"replay/{folder / 'heard.ctm'}", "asr", data="builtin", output=folder / "r.db", settings=settings
    )
    return folder / "r.db"


def _first(path: Path) -> SampleRecord:
    with Store.open(path) as store:
        return SampleRecords(store, store.cells()[0]).read(0)


def test_times_are_kept_with_the_answer_also_when_it_is_scored_again(run: Path, tmp_path: Path) -> None:
    times = [["first", 0.1, pytest.approx(0.4)], ["second", 0.5, 0.75]]
    assert _first(run).answer["detail"]["spoken"] == times
    list(rescore(run, tmp_path / "again.db"))
    assert _first(tmp_path / "again.db").answer["detail"]["spoken"] == times
    with Store.open(run) as store:
        assert "0.75" not in sample_text(store.cells()[0], _first(run), [])


@pytest.mark.parametrize(
    ("spoken", "kept"),
    [((("a", 0, 1),), [["a", 0.0, 1.0]]), ((("a\ud800", 0, 1),), [["a\ufffd", 0.0, 1.0]]),
     ((("a", 0, float("nan")),), None)],
)  # fmt: skip
def test_what_a_model_says_of_times_is_checked(tmp_path: Path, spoken: object, kept: object) -> None:
    def answer(request: Request, draw: int) -> Response:
        return Response("a", spoken=spoken)  # type: ignore[arg-type]

    evalkit.run(FakeModel(answer), "asr", data="builtin", output=tmp_path / "r.db", limit=1)
    assert _first(tmp_path / "r.db").answer["detail"].get("spoken") == kept


def test_times_of_another_form_fail_the_sample(tmp_path: Path) -> None:
    model = FakeModel(lambda request, draw: Response("a", spoken=(("a", 1),)))  # type: ignore[arg-type]
    evalkit.run(model, "asr", data="builtin", output=tmp_path / "r.db", limit=1)
    assert "must be tuples of a text and two times" in _first(tmp_path / "r.db").error


@needs.chromium
@pytest.mark.slow
def test_a_click_plays_from_a_word_and_marks_it(run: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(page_of(run, charts=False), "utf-8")
    with chromium() as watched:
        tab = watched.open(tmp_path / "page.html")
        words = tab.locator("#sample .spoken button")
        words.first.wait_for()
        assert words.all_inner_texts() == ["first", "second"]
        clip = tab.locator("#sample .media audio")
        words.nth(1).click()
        tab.locator("#sample .spoken button[aria-current]", has_text="second").wait_for()
        assert clip.evaluate("clip => clip.currentTime") >= 0.5
        clip.evaluate("clip => { clip.pause(); clip.currentTime = 0.2; }")
        tab.locator("#sample .spoken button[aria-current]", has_text="first").wait_for()
        assert tab.locator("#sample .spoken button[aria-current]").count() == 1
        clip.evaluate("clip => { clip.currentTime = 0.45; }")
        tab.locator("#sample .spoken button[aria-current]").wait_for(state="detached")
        found = tab.evaluate(
            """hostile => { const place = spokenWords([[hostile, 'x', null], 5, ['a']]);
                            followClip(null, place); document.body.append(place);
                            return place.querySelectorAll('button:disabled').length; }""",
            HOSTILE,
        )
        assert found == 2
        assert tab.evaluate("window.hurt") is None
    assert watched.complaints == []
