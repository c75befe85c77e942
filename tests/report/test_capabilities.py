"""Capabilities: which members count and why, ratios by hand, every format, a user's own groups."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import UsageError
from evalkit.report.build import render_capabilities
from evalkit.report.paper import load_capabilities
from evalkit.runfile.store import Store
from tests import needs
from tests.quiz import quiz
from tests.report.pages import chromium
from tests.report.runs import ran

GROUPS = """
[capabilities]
"Numbers" = [
  "sums",
  { name = "even sums", task = "sums", group = "even" },
  { name = "both kinds", task = "sums", macro = ["even", "odd"], note = "equal weights" },
  { name = "sums, often", task = "sums", protocols = ["maj"] },
  { name = "three kinds", task = "sums", macro = ["even", "odd", "prime"] },
]
"Words" = ["quiz", "clrs", { name = "a secret", missing = "internal" }]
"Video" = ["vatex"]
"""


def third(gold: int) -> bool:
    return gold % 3 == 0


def written(folder: Path, text: str = GROUPS) -> str:
    (folder / "groups.toml").write_text(text, "utf-8")
    return str(folder / "groups.toml")


def view(groups: str, *stores: Store, relative_to: str = "") -> dict[str, Any]:
    document = json.loads(render_capabilities(stores, "json", groups, relative_to=relative_to))
    return {group["name"]: group for group in document["capabilities"]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    folder = tmp_path_factory.mktemp("runs")
    base = ran(folder, "fake/base", lambda gold: gold % 5 == 0, count=60)
    return base, ran(folder, "fake/head", third, count=60)


def test_ratios_by_hand(tmp_path: Path, runs: tuple[Store, Store]) -> None:
    golds = [number + number % 7 for number in range(60)]
    even = [gold for gold in golds if gold % 2 == 0]
    odd = [gold for gold in golds if gold % 2]

    def ratio(*parts: list[int]) -> float:
        base = sum(sum(gold % 5 != 0 for gold in part) / len(part) for part in parts)
        return sum(sum(gold % 3 != 0 for gold in part) / len(part) for part in parts) / base

    numbers = view(written(tmp_path), *runs)["Numbers"]
    (run,) = numbers["runs"]
    by_name = {member["name"]: member for member in run["members"]}
    expected = {"sums": ratio(golds), "even sums": ratio(even), "both kinds": ratio(even, odd)}
    for name, value in expected.items():
        assert by_name[name]["value"] == pytest.approx(value), name
        assert by_name[name]["low"] < value < by_name[name]["high"]
    assert by_name["even sums"]["n"] == len(even)
    assert run["counted"] == list(expected)
    assert run["missing"] == 2
    assert run["value"] == pytest.approx(sum(expected.values()) / 3)
    assert run["low"] < run["value"] < run["high"]
    assert by_name["sums, often"]["reason"] == "not run"
    assert by_name["three kinds"]["reason"] == "no ratio"
    assert by_name["three kinds"]["why"].endswith("no judged sample in common: prime")


def test_every_member_that_does_not_count_says_why(tmp_path: Path, runs: tuple[Store, Store]) -> None:
    base, head = runs
    more = ran(tmp_path, "fake/more", task=quiz(tmp_path))
    few = '[capabilities]\n"Numbers" = ["sums"]\n"Words" = ["quiz"]\n"Video" = ["vatex"]\n'
    found = view(written(tmp_path, few), base, head, more)
    assert list(found) == ["Numbers"]  # no run and base have a member of the others
    assert [run["counted"] for run in found["Numbers"]["runs"]] == [["sums"], []]
    other = ran(tmp_path, "fake/other", third, task=quiz(tmp_path), says="no letter")
    words = view(written(tmp_path), more, other)["Words"]
    (run,) = words["runs"]
    assert [(one["name"], one["reason"]) for one in run["members"]] == [
        ("quiz", ""), ("clrs", "no task yet"), ("a secret", "internal"),
    ]  # fmt: skip
    assert run["counted"] == ["quiz"]


def test_what_is_not_comparable_does_not_count(tmp_path: Path, runs: tuple[Store, Store]) -> None:
    base, _ = runs
    asked = ran(tmp_path, "fake/asked", third, count=60, ask="Say")
    often = ran(tmp_path, "fake/often", third, count=60, protocol="maj")
    text = '[capabilities]\n"All" = ["sums"]\n'
    for head, why in ((asked, "the prompts"), (often, "fake/often has maj, fake/base has once")):
        if head is often:
            with pytest.raises(UsageError, match="no run has a benchmark of the capabilities"):
                view(written(tmp_path, text), base, head)
            continue
        (run,) = view(written(tmp_path, text), base, head)["All"]["runs"]
        assert (run["value"], run["counted"]) == (None, [])
        (member,) = run["members"]
        assert member["reason"] == "not comparable"
        assert why in member["why"]


def test_a_base_of_zero_has_no_ratio(tmp_path: Path, runs: tuple[Store, Store]) -> None:
    base = ran(tmp_path, "fake/zero", lambda gold: True, count=60)
    (run,) = view(written(tmp_path, '[capabilities]\n"All" = ["sums"]\n'), base, runs[1])["All"]["runs"]
    assert [one["reason"] for one in run["members"]] == ["base is 0"]
    assert run["value"] is None


def test_an_error_rate_is_inverted(tmp_path: Path) -> None:
    """Half the errors are a ratio of 2."""

    def task(folder: Path) -> str:
        from tests.made import sums

        path = Path(sums(folder, 40, name="errors.py", called="errors"))
        text = path.read_text("utf-8").replace(
            "metrics=(Accuracy(),)", "metrics=(Missed('missed', higher_is_better=False),)"
        )
        text = text.replace("Accuracy,", "MeanValue as Missed,")
        text = text.replace(
            "return Verdict(same_number(answer, sample.target[0]))",
            "right = same_number(answer, sample.target[0])\n"
            "    return Verdict(right, values={'missed': 1.0 - right})",
        )
        path.write_text(text, "utf-8")
        return f"{path}:errors"

    base = ran(tmp_path, "fake/base", lambda gold: gold % 2 == 0, task=task(tmp_path))
    head = ran(tmp_path, "fake/head", lambda gold: gold % 4 == 0, task=task(tmp_path))
    groups = written(tmp_path, '[capabilities]\n"Errors" = ["errors"]\n')
    (run,) = view(groups, base, head)["Errors"]["runs"]
    golds = [number + number % 7 for number in range(40)]
    value = sum(gold % 2 == 0 for gold in golds) / sum(gold % 4 == 0 for gold in golds)
    assert value > 1.5
    assert run["value"] == pytest.approx(value)
    assert run["members"][0]["inverted"] is True
    assert "once, missed ↓" in render_capabilities([base, head], "terminal", groups, width=100)


@pytest.mark.slow
def test_every_format_names_members_and_reasons(tmp_path: Path, runs: tuple[Store, Store]) -> None:
    groups = written(tmp_path)
    for name in ("terminal", "markdown", "latex", "html"):
        text = render_capabilities(runs, name, groups, width=100)
        for words in ("even sums", "3 of 5 members", "not run", "no ratio", "equal weights", "inverted"):
            assert words in text, (name, words)
    assert "chart-capabilities" in text
    assert "Numbers (3 of 5 members)" in text
    assert ">sums, even sums, both kinds</text>" in text
    rows = list(csv.DictReader(io.StringIO(render_capabilities(runs, "csv", groups))))
    assert [row["member"] for row in rows] == [
        "mean of the ratios", "sums", "even sums", "both kinds", "sums, often", "three kinds",
    ]  # fmt: skip
    assert rows[0]["reason"] == "3 of 5: sums, even sums, both kinds"


@needs.chromium
@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path: Path, runs: tuple[Store, Store]) -> None:
    """The chart and the table stand in it, it complains of nothing, and it fits a phone."""
    (tmp_path / "page.html").write_text(render_capabilities(runs, "html", written(tmp_path)), "utf-8")
    for width in (1280, 390):
        with chromium(width) as watched:
            tab = watched.open(tmp_path / "page.html")
            assert "Numbers (3 of 5 members)" in (tab.locator("#charts svg").first.text_content() or "")
            assert "no judged sample in common: prime" in tab.locator("#results").inner_text()
            assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert watched.complaints == []
            assert all(url.startswith("file:") for url in watched.requests)


@pytest.mark.slow
def test_the_means_of_all_runs_are_over_the_same_members(tmp_path: Path, runs: tuple[Store, Store]) -> None:
    base, head = runs
    groups = written(tmp_path, '[capabilities]\n"All" = ["sums", "quiz"]\n')
    tasks = f"{base.path.parent / '0.py'}:sums,{quiz(tmp_path)}"
    both = ran(tmp_path, "fake/both", third, task=tasks)
    start = ran(tmp_path, "fake/start", task=tasks)
    quizzed = ran(tmp_path, "fake/quizzed", third, task=quiz(tmp_path))
    alone = view(groups, start, both)["All"]["runs"][0]
    assert alone["counted"] == ["sums", "quiz"]
    of_head, of_both = view(groups, start, head, both)["All"]["runs"]
    assert of_head["counted"] == of_both["counted"] == ["sums"]
    sums, asked = of_both["members"]
    assert asked["value"] is not None, "it is still listed"
    assert of_both["value"] == pytest.approx(sums["value"]) != alone["value"]
    shown = render_capabilities([start, head, both], "terminal", groups, width=120)
    assert "All: the means are without what only some of the runs have: quiz." in shown
    nothing = view(groups, start, head, quizzed)["All"]["runs"]
    assert [(run["value"], run["counted"]) for run in nothing] == [(None, []), (None, [])]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[capabilities]\n"A" = "sums"\n', "must have lists of benchmarks"),
        (
            '[capabilities]\n"A" = [{ name = "x" }]\n',
            "capability 'A', entry 1 needs either a task, or a name",
        ),
        ('[capabilities]\n"A" = [{ task = "x", missing = "y" }]\n', "entry 1 needs either a task"),
        ('[capabilities]\n"A" = [{ task = "x", group = "a", macro = ["b"] }]\n', "group is for one group"),
        ('[capabilities]\n"A" = [{ task = "x", metric = "a" }]\n', "metric"),
        ('title = "x"\n', "unknown key"),
        ("", r"has no \[capabilities\]"),
    ],
)
def test_groups_that_cannot_be_read(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load_capabilities(written(tmp_path, text))


def test_refused(tmp_path: Path, runs: tuple[Store, Store]) -> None:
    groups = written(tmp_path)
    with pytest.raises(UsageError, match="give at least two run files"):
        view(groups, runs[0])
    with pytest.raises(UsageError, match="unknown base run 'fake/bas': did you mean fake/base"):
        view(groups, *runs, relative_to="fake/bas")
    assert view(groups, *runs, relative_to="fake/head")["Numbers"]["runs"][0]["run"] == "fake/base"
    with pytest.raises(UsageError, match=r"no run has a benchmark of the capabilities of gemini-1.0"):
        view("gemini-1.0", *runs)


def test_the_report_s_groups_are_of_tasks_and_groups_that_exist() -> None:
    from evalkit.reports import reserved
    from evalkit.tasks import INDEX

    from evalkit.benchmark.task import load_task

    for members in load_capabilities("gemini-1.0").values():
        for member in members:
            if not member.task or member.task in reserved():
                continue
            task = load_task(member.task)
            assert member.task in INDEX
            assert {*member.protocols} <= {protocol.name for protocol in task.protocols}
            wanted = {*member.macro, member.group} - {""}
            assert not task.group_sizes or wanted <= {*task.group_sizes}, member.name
