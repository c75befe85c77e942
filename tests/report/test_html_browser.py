"""The HTML page in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from evalkit.runfile.records import natural
from tests import needs
from tests.made import sums
from tests.report.pages import HOSTILE, Watched, chromium, made_run, page_of, run_of, settled

if TYPE_CHECKING:
    from playwright.sync_api import Page as Tab

pytestmark = needs.chromium
TASKS = "gsm8k:8-shot-cot,humaneval,mmlu:5-shot,chartqa,mmmu,asr"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on texts, pictures, clips and code, the second wrong in a third of its answers."""
    folder = tmp_path_factory.mktemp("page")
    runs = [run_of(folder, "a", TASKS), run_of(folder, "b", TASKS, model="fake/gold?wrong=0.3")]
    (folder / "page.html").write_text(page_of(*runs, paper="gemini-1.0"), "utf-8")
    return folder / "page.html"


@pytest.fixture
def watched() -> Iterator[Watched]:
    with chromium() as found:
        yield found
    assert found.complaints == []
    assert [url for url in found.requests if not url.startswith("file:")] == []
    assert len([url for url in found.requests if url.startswith("file:")]) <= 1


def found(watched: Watched) -> int:
    """How many samples the list has, once the search is over."""
    from playwright.sync_api import expect

    place = watched.tab.locator("#found")
    expect(place).not_to_contain_text("so far")
    return int(place.inner_text().split(" of ")[0].replace(",", ""))


def searched(tab: Tab, text: str, count: int) -> None:
    """Searches, and waits until so many samples are found; before, there must be another number."""
    from playwright.sync_api import expect

    place = tab.locator("#found")
    expect(place).not_to_have_text(re.compile(f"^{count} of "))
    tab.fill("#search", text)
    expect(place).to_have_text(re.compile(rf"^{count} of [\d,]+ samples$"))


def look(tab: Tab, row: int = 0) -> None:
    """Looks at a sample of the list, and waits until it is shown and has its address."""
    from playwright.sync_api import expect

    chosen = tab.locator("#rows [role=option]").nth(row)
    name = chosen.locator(".id").get_attribute("title")
    chosen.click()
    settled(tab)
    expect(tab.locator("#sample h3 bdi").last).to_have_text(str(name))
    expect(tab).to_have_url(re.compile(r"#sample="))


def listed(tab: Tab) -> list[str]:
    """The ids of the first samples of the list, in its order."""
    return [str(found.get_attribute("title")) for found in tab.locator("#rows .id").all()]


@pytest.mark.slow
def test_filters(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    everything = found(watched)
    tab.select_option("#part", label="gsm8k:8-shot-cot")
    assert found(watched) == 16
    tab.select_option("#part", "")
    tab.select_option("#group", label="STEM")
    of_group = found(watched)
    assert 0 < of_group < everything
    tab.select_option("#outcome", label="wrong")
    wrong = found(watched)
    assert 0 < wrong < of_group
    tab.select_option("#group", "")
    tab.select_option("#outcome", "")
    tab.select_option("#disagreement", "runs")
    disagreed = found(watched)
    assert 0 < disagreed < everything
    dots = tab.locator("#rows [role=option]").first.locator(".dot")
    assert dots.nth(0).get_attribute("class") != dots.nth(1).get_attribute("class")
    tab.select_option("#left", label="fake/gold?wrong=0.3")  # a run does not disagree with itself
    assert found(watched) == 0


@pytest.mark.slow
def test_search_looks_into_texts(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "search"
    searched(tab, "TOTAL_MINUTES", 1)
    searched(tab, "no such words anywhere", 0)
    searched(tab, "swaps away 8", 1)  # in the middle of a question, where no index reaches


@pytest.mark.slow
def test_a_sample_of_two_runs_stands_side_by_side(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    tab.select_option("#part", label="gsm8k:8-shot-cot")
    tab.select_option("#disagreement", "runs")
    found(watched)
    look(tab)
    left, right = tab.locator("#sample .run").all()
    assert left.locator(".badge").inner_text() == "correct"
    assert right.locator(".badge").inner_text() == "wrong"
    assert abs(left.bounding_box()["y"] - right.bounding_box()["y"]) < 2  # type: ignore[index]
    assert "≠" in right.locator(".reason").first.inner_text()
    prompt = right.locator(".prompt")
    prompt.locator("summary").click()
    assert "There are 15 trees in the grove" in prompt.locator(".message").inner_text()
    assert "The answer is" in right.locator("details[open] pre").last.inner_text()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs on sums, of which the second and third have only a part of the samples."""
    folder = tmp_path_factory.mktemp("three")
    runs = [
        made_run(folder, "long", "I am not sure. " * 40),
        made_run(folder, "short", "-1"),
        run_of(folder, "few", str(sums(folder, 20)), limit=6),
    ]
    (folder / "page.html").write_text(page_of(*runs), "utf-8")
    return folder / "page.html"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("outcome:correct", 13),
        ("-outcome:correct", 7),
        ("left:unparsable right:wrong", 7),
        ("outcome:unparsable -right:wrong", 0),
        ("error:timeout", 0),
        ("score<1", 7),
        ("score:1", 13),
        ("answer:-1", 7),
        ('group:"no such group"', 0),
        ("http://no.such.text", 0),
    ],
)
def test_the_search_box_takes_filters(three: Path, watched: Watched, search: str, count: int) -> None:
    from playwright.sync_api import expect

    tab = watched.open(three)
    tab.fill("#search", search)
    expect(tab.locator("#found")).to_have_text(re.compile(rf"^{count} of 20 samples$"))


@pytest.mark.slow
def test_a_filter_that_is_not_understood_is_named(three: Path, watched: Watched) -> None:
    from playwright.sync_api import expect

    tab = watched.open(three)
    tab.fill("#search", "tokens>many")
    expect(tab.locator("#found")).to_contain_text("not understood: tokens>many: many is not a number")


@pytest.mark.slow
def test_the_list_is_ordered(three: Path, watched: Watched) -> None:
    tab = watched.open(three)
    of_data = listed(tab)
    tab.select_option("#order", "worst")
    worst = listed(tab)
    assert worst != of_data
    assert (
        tab.locator("#rows [role=option]").first.locator(".dot").first.get_attribute("class")
        == "dot unparsable"
    )
    tab.select_option("#order", "long")
    assert listed(tab)[0] in worst[:7]
    tab.select_option("#order", "short")
    assert listed(tab)[0] not in worst[:7]
    tab.select_option("#order", "id")
    assert listed(tab) == sorted(of_data, key=natural)[: len(of_data)]


@pytest.mark.slow
def test_a_filter_moves_the_selection(three: Path, watched: Watched) -> None:
    from playwright.sync_api import expect

    tab = watched.open(three)
    look(tab, 0)
    tab.select_option("#order", "worst")
    tab.select_option("#outcome", label="unparsable")
    expect(tab.locator("#list")).to_have_attribute("aria-activedescendant", re.compile("row-"))
    chosen = tab.locator("#rows [aria-selected=true] .id").get_attribute("title")
    expect(tab.locator("#sample h3 bdi").last).to_have_text(str(chosen))
    assert quote(str(chosen)) in tab.url
    tab.fill("#search", "no such words anywhere")
    expect(tab.locator("#sample")).to_have_text("No sample passes the filters.")


@pytest.mark.slow
def test_a_figure_leads_to_its_samples(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    everything = found(watched)
    tab.fill("#search", "no such words anywhere")
    figure = tab.locator("td.run a[href^='#samples=humaneval']").nth(1)
    figure.click()
    # A function: the page's policy lets a text be evaluated only once.
    tab.wait_for_function(
        "() => document.getElementById('part').selectedOptions[0].text === 'humaneval:0-shot'"
    )
    assert 0 < found(watched) < everything
    assert tab.input_value("#search") == ""
    left, right = (tab.locator(f"#{side} option:checked").inner_text() for side in ("left", "right"))
    assert (left, right) == ("fake/gold?wrong=0.3", "fake/gold")
    watched.open(page, str(figure.get_attribute("href")))  # as a link in a mail
    assert tab.locator("#part option:checked").inner_text() == "humaneval:0-shot"


@pytest.mark.slow
def test_runs_that_have_the_sample_are_shown(three: Path, watched: Watched) -> None:
    tab = watched.open(three)
    tab.select_option("#right", label="fake/gold")
    look(tab, 12)  # not among the few of the third run
    names = [heading.inner_text() for heading in tab.locator("#sample .run h4 bdi").all()]
    assert names == ["fake/long", "fake/short"]
    tab.check("#every")
    tab.locator("#list").focus()
    tab.keyboard.press("Home")
    settled(tab)
    assert tab.locator("#sample .run").count() == 3


@pytest.mark.slow
def test_a_dialog_explains_the_keys(three: Path, watched: Watched) -> None:
    tab = watched.open(three)
    tab.keyboard.press("?")
    assert tab.locator("#keys").is_visible()
    tab.keyboard.press("Escape")
    assert tab.locator("#keys").is_hidden()
    tab.click("#help")
    tab.locator("#keys button").click()
    assert tab.locator("#keys").is_hidden()
    tab.focus("#search")
    tab.keyboard.type("?")  # in the box it is a letter
    assert tab.locator("#keys").is_hidden()


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_eight_runs_are_no_wider_than_the_screen(tmp_path: Path, width: int) -> None:
    runs = [made_run(tmp_path, f"a-model-with-a-long-name-{i}", "I am not sure.") for i in range(7)]
    path = tmp_path / "page.html"
    path.write_text(page_of(*runs, run_of(tmp_path, "best", str(sums(tmp_path, 20)))), "utf-8")
    assert "(best)" in path.read_text("utf-8")
    with chromium(width, 844) as watched:
        tab = watched.open(path)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture
def likely_page(tmp_path: Path) -> Path:
    path = run_of(tmp_path, "likely", "mmlu:5-shot", settings={"likelihood": "prompt"})
    (tmp_path / "page.html").write_text(page_of(path), "utf-8")
    return tmp_path / "page.html"


@pytest.mark.slow
def test_likelihoods_are_shown_as_shares(likely_page: Path, watched: Watched) -> None:
    tab = watched.open(likely_page)
    found(watched)
    look(tab)
    shown = tab.locator("#sample .run details", has_text="Likelihoods").last
    shown.locator("summary").click()
    assert sorted(shown.locator("td.number").all_inner_texts()) == ["2.50 %", "2.50 %", "2.50 %", "90.0 %"]
    assert "empty text" not in tab.locator("#sample .run").inner_text()


@pytest.mark.slow
def test_pictures_clips_alignments_and_code(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    tab.select_option("#part", label="chartqa:0-shot")
    found(watched)
    look(tab)
    picture = tab.locator("#sample .media img")
    picture.wait_for()
    assert picture.evaluate("image => image.naturalWidth") > 50
    tab.select_option("#part", label="asr:0-shot")
    tab.select_option("#outcome", label="wrong")
    assert found(watched) == 0, "a transcript has a word error rate, and is not right or wrong"
    tab.select_option("#outcome", label="answered")
    tab.select_option("#disagreement", "runs")
    assert found(watched) > 0
    look(tab)
    badges = [badge.inner_text() for badge in tab.locator("#sample .run .badge").all()]
    assert all(re.fullmatch(r"answered · WER [\d.]+ %", badge) for badge in badges), badges
    assert badges[0] != badges[1]
    assert {verdict.inner_text() for verdict in tab.locator("#sample .verdict").all()} == {"answered"}
    clip = tab.locator("#sample .media audio")
    clip.wait_for()
    assert clip.evaluate("async clip => { await clip.play(); return clip.duration }") > 0.5
    assert tab.locator("#sample .step:not(.equal)").count() > 0
    assert tab.locator("#sample .step.equal, #sample .step.delete, #sample .step.substitute").count() > 0
    tab.select_option("#outcome", "")
    tab.select_option("#disagreement", "")
    tab.select_option("#part", label="humaneval:0-shot")
    found(watched)
    look(tab)
    run = tab.locator("#sample .run").first
    assert "def total_minutes" in run.locator("pre.value").inner_text()
    assert run.locator(".reason").inner_text() == "passed"


MARKDOWN = """\
# Plan
1. Take `x = 1`, **then** $x^2$; it costs $5 and $6.
   - an inner *point*
2. Done

| a | b |
|---|:-:|
| 1 | <b>2</b> |

> quoted [link](javascript:alert(1))

```python
def f(x):  # twice
    return "two" * 2
```
The answer is 0."""


@pytest.mark.slow
def test_markdown_is_rendered_on_demand(tmp_path: Path, watched: Watched) -> None:
    path = tmp_path / "page.html"
    path.write_text(page_of(made_run(tmp_path, "md", MARKDOWN)), "utf-8")
    tab = watched.open(path)
    tab.fill("#search", "answer:0")
    found(watched)
    look(tab)
    run = tab.locator("#sample .run")
    assert MARKDOWN in run.locator("details pre").last.inner_text()
    tab.check("#rendered")
    place = run.locator(".rendered").last
    place.wait_for()
    assert place.locator(".heading").inner_text() == "Plan"
    assert place.locator("ol > li").count() == 2
    assert place.locator("ol ul em").inner_text() == "point"
    assert place.locator("[title='$x^2$'] math msup").count() == 1
    assert "it costs $5 and $6." in place.locator("ol > li").first.inner_text()
    assert place.locator("td").all_inner_texts() == ["1", "<b>2</b>"]
    assert place.locator("blockquote").inner_text() == "quoted [link](javascript:alert(1))"
    assert place.locator("pre .code-keyword").all_inner_texts() == ["def", "return"]
    assert place.locator("a, b, img").count() == 0


@pytest.mark.slow
def test_no_text_makes_rendering_slow(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    shapes = [
        "`",
        "$",
        "\\(",
        "*a",
        "**a",
        "> ",
        "- ",
        "|-\n",
        "-",
        '"',
        "'''",
        "#",
        "(",
        "    - a\n",
        "> - ",
        "$$\n",
        "\\[\n",
        "\\boxed{",
        "\\begin{align}\n",
        "$x$ ",
        "\\[x\\]\n",
    ]
    slowest = tab.evaluate(
        """shapes => Math.max(...shapes.flatMap(shape => ['', 'x', '\\n|-', '\\nx'].map(end => {
            const text = shape.repeat(20000 / shape.length) + end, start = performance.now();
            blocks(lines_of(text)); inline(text); program('def\\n' + text);
            return performance.now() - start;
        })))""",
        shapes,
    )
    assert slowest < 2000, "milliseconds, on a loaded machine"


@pytest.mark.slow
def test_votes_are_bars(tmp_path: Path, watched: Watched) -> None:
    from playwright.sync_api import expect

    path = tmp_path / "page.html"
    run = run_of(tmp_path, "v", "gsm8k:maj1@32", model="fake/gold?wrong=0.3", limit=2)
    path.write_text(page_of(run), "utf-8")
    tab = watched.open(path)
    expect(tab.locator("#sample .votes h5")).to_have_text("votes of 32 responses")
    counts = [int(text) for text in tab.locator("#sample .votes td.number").all_inner_texts()]
    assert sum(counts) == 32
    widths = [bar.bounding_box()["width"] for bar in tab.locator("#sample .votes .bar").all()]  # type: ignore[index]
    assert abs(widths[1] / widths[0] - counts[1] / counts[0]) < 0.05


@pytest.mark.slow
def test_a_click_enlarges_a_picture(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    tab.select_option("#part", label="chartqa:0-shot")
    found(watched)
    look(tab)
    button = tab.locator("#sample .zoom").first
    small = button.locator("img").bounding_box()
    button.click()
    large = button.locator("img").bounding_box()
    assert small is not None
    assert large is not None
    assert large["width"] > small["width"]
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280


@pytest.mark.slow
def test_the_keyboard_does_everything(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    tab.focus("#list")
    for _ in range(3):
        tab.keyboard.press("ArrowDown")
    active = tab.get_attribute("#list", "aria-activedescendant")
    assert active == "row-3"  # the first one was selected
    assert tab.get_attribute(f"#{active}", "aria-selected") == "true"
    tab.keyboard.press("End")
    last = tab.get_attribute("#list", "aria-activedescendant")
    assert last == f"row-{found(watched) - 1}"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "sample"


@pytest.mark.slow
def test_an_address_leads_to_its_sample(page: Path, watched: Watched) -> None:
    from playwright.sync_api import expect

    tab = watched.open(page)
    tab.select_option("#part", label="mmmu:pass@1")
    found(watched)
    look(tab, 4)
    address, shown = tab.evaluate("location.hash"), tab.locator("#sample h3").inner_text()
    assert address.startswith("#sample=mmmu")
    watched.requests.clear()
    tab.goto("about:blank")
    watched.open(page, address)
    expect(tab.locator("#sample h3")).to_have_text(shown)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
)
def test_accessible_and_no_wider_than_the_screen(page: Path, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with chromium(width, 844, scheme) as watched:
        tab = watched.open(page)
        for part in ("gsm8k:8-shot-cot", "asr:0-shot", "mmmu:pass@1", "humaneval:0-shot"):
            tab.select_option("#part", label=part)
            found(watched)
            look(tab)
            tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
        violations = Axe().run(tab).response["violations"]
        serious = [
            (v["id"], v["nodes"][0]["html"][:200])
            for v in violations
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == []
        assert watched.complaints == []


@pytest.mark.slow
def test_benchmarks_are_described_in_words(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    cards = tab.locator("#provenance .card", has=tab.locator(".about"))
    assert cards.count() == 6
    about = cards.filter(has_text="gsm8k:8-shot-cot").locator(".about")
    assert "eight chain-of-thought exemplars" in about.inner_text()
    assert about.locator("li").count() >= 5
    assert about.locator("code", has_text="accuracy (strict)").count() == 1


@pytest.mark.slow
def test_themes(page: Path, watched: Watched) -> None:
    tab = watched.open(page)
    paper = "getComputedStyle(document.body).backgroundColor"
    before = tab.evaluate(paper)
    tab.click("#theme")
    assert tab.evaluate(paper) != before
    tab.click("#theme")
    assert tab.evaluate(paper) == before
    tab.emulate_media(media="print")
    assert tab.locator("#samples").is_hidden()
    assert tab.locator("#results").is_visible()


@pytest.fixture
def hostile_page(tmp_path: Path) -> Path:
    """A run whose model's name and answers would act if they could; one that says 5 MB in one line."""
    runs = [
        made_run(tmp_path, "hostile", HOSTILE, model=f"fake/{HOSTILE}"),
        made_run(tmp_path, "long", "x" * 5_000_000),
    ]
    path = tmp_path / "page.html"
    path.write_text(page_of(*runs), "utf-8")
    return path


@pytest.mark.slow
def test_nothing_from_outside_runs_or_breaks_the_page(hostile_page: Path, watched: Watched) -> None:
    assert hostile_page.stat().st_size < 2_000_000
    tab = watched.open(hostile_page)
    tab.select_option("#outcome", label="unparsable")
    assert found(watched) > 3
    look(tab)
    hostile, cut = (run.inner_text() for run in tab.locator("#sample .run").all())
    assert "</script><script>window.hurt = 1</script>" in hostile
    assert "U+202E" in hostile
    assert "\u202e" not in tab.locator("#sample").inner_text()
    assert "4,980,000 more characters are in the run file" in cut
    assert tab.evaluate("window.hurt") is None
    assert tab.locator("a[href^='javascript']").count() == 0
    assert tab.locator("#sample img").count() == 0
    assert tab.locator("body").is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
