"""The HTML page as a file: what is in it, what may act in it, which samples it keeps."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import math
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.errors import UsageError
from evalkit.models.base import Request, Response
from evalkit.models.fake import FakeModel
from evalkit.report.html import browser
from evalkit.report.html.records import cut
from evalkit.runfile.sample_records import SampleRecords
from evalkit.runfile.slim import write_slim
from evalkit.runfile.store import Store
from evalkit.samples import ToolCall
from tests.made import sums
from tests.quiz import quiz
from tests.report.pages import HOSTILE, made_run, page_of, run_of


class Elements(HTMLParser):
    """Every element of a page with its attributes, and what is in scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))
        self._inside = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)


def block(page: str, name: str) -> Any:
    """What is packed in the script element `name`."""
    (content,) = [text for _, attributes, text in Elements(page).found if attributes.get("id") == name]
    return json.loads(gzip.decompress(base64.b64decode(content)))


def test_only_the_pages_own_script_and_style_may_act(tmp_path: Path) -> None:
    page = page_of(made_run(tmp_path, "r", HOSTILE, model=f"fake/{HOSTILE}"))
    elements = Elements(page).found
    (policy,) = [
        a["content"] or "" for _, a, _ in elements if a.get("http-equiv") == "Content-Security-Policy"
    ]
    acting = [text for tag, a, text in elements if tag == "style" or (tag == "script" and "type" not in a)]
    assert len(acting) == 2
    for text in acting:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, attributes, _ in elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "action", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")


def test_no_charts_and_no_samples_where_none_are_wanted(tmp_path: Path) -> None:
    run = made_run(tmp_path, "r", "?")
    assert "<svg" in page_of(run)
    assert "<svg" not in page_of(run, charts=False)
    assert 'id="index"' not in page_of(run, samples=0)


def test_what_is_packed(tmp_path: Path) -> None:
    page = page_of(made_run(tmp_path, "r", "who knows", count=6), charts=False)
    index = block(page, "index")
    assert index["id"] == [f"{i} + {i}" for i in range(6)]
    assert [index["outcomes"][one] for (one,) in index["outcome"]] == ["unparsable", "correct", "correct"] * 2
    assert [index["groups"][i] for (i,) in index["group"]] == ["even"] * 6
    first = block(page, "a0")[0]
    assert first["target"] == ["0"]
    (run,) = first["runs"]
    assert run["readings"][""][0]["reason"] == "no answer found in the response"
    assert [draw["text"] for draws in run["draws"] for draw in draws] == ["who knows"]
    ((request,),) = block(page, "p0")[0]
    assert request["messages"] == [["user", ["What is 0 + 0"]]]


def test_likelihoods_and_tool_calls_are_packed(tmp_path: Path) -> None:
    page = page_of(run_of(tmp_path, "r", "mmlu:5-shot", settings={"likelihood": "prompt"}), charts=False)
    (draw,) = block(page, "a0")[0]["runs"][0]["draws"][0]
    assert draw["text"] == ""
    assert draw["likelihoods"].keys() == {" A", " B", " C", " D"}
    assert max(draw["likelihoods"].values()) == math.log(0.9)

    def calls(request: Request, draw: int) -> Response:
        return Response("Let me see.", tool_calls=(ToolCall("add", '{"a": 1}', "c"),))

    path = tmp_path / "calls.db"
    evalkit.run(FakeModel(calls), sums(tmp_path, 2), output=path)
    (draw,) = block(page_of(path, charts=False), "a0")[0]["runs"][0]["draws"][0]
    assert draw["text"] == 'Let me see.\n→ add {"a": 1}'


@pytest.mark.slow
def test_a_large_run_keeps_a_stated_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [made_run(tmp_path, "a", "?", count=60), made_run(tmp_path, "b", "!", count=60)]
    kept = [block(page_of(run, samples=12, charts=False), "index")["id"] for run in runs]
    assert len(kept[0]) == 12
    assert kept[0] == kept[1]  # the same in every report, and in the data's order
    assert kept[0] == sorted(kept[0], key=lambda name: int(name.split()[0]))
    assert "12 of 60 samples, chosen at random by their ids" in page_of(runs[0], samples=12, charts=False)
    monkeypatch.setattr(browser, "MOST_BYTES", 4_000)
    some = block(page_of(runs[0], charts=False), "index")["id"]
    assert 0 < len(some) < 60


def test_runs_of_different_samples_stand_side_by_side(tmp_path: Path) -> None:
    task = sums(tmp_path, 9)
    for name, limit in (("a", 9), ("b", 4)):
        evalkit.run(f"fake/gold?seed={limit}", task, output=tmp_path / f"{name}.db", limit=limit)
    index = block(page_of(tmp_path / "a.db", tmp_path / "b.db", charts=False), "index")
    outcomes = [[index["outcomes"][one] for one in pair] for pair in index["outcome"]]
    assert outcomes == [["correct", "correct"]] * 4 + [["correct", ""]] * 5
    assert index["runs"] == ["fake/gold?seed=9", "fake/gold?seed=4"]


def test_a_slim_run_says_that_it_has_no_samples(tmp_path: Path) -> None:
    run = made_run(tmp_path, "r", "?")
    write_slim(run, tmp_path / "slim.db")
    assert 'id="samples"' not in page_of(tmp_path / "slim.db", charts=False)
    both = page_of(run, tmp_path / "slim.db", charts=False)
    assert "fake/r (slim) has no samples here: its run file is slim" in html.unescape(both)
    assert block(both, "index")["runs"] == ["fake/r (r)"]


def test_long_texts_are_cut_and_say_so() -> None:
    assert cut("x" * 20_000) == "x" * 20_000
    assert cut("x" * 20_001).endswith("x … [1 more characters are in the run file]")


def test_alignments_without_their_package_are_missed_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tmp_path, "r", "asr")

    def missing(cell: object) -> None:
        raise UsageError("speech needs the package 'soxr'")

    monkeypatch.setattr(browser, "aligner", missing)
    assert "asr: no alignments: speech needs the package" in html.unescape(page_of(run, charts=False))


def test_the_provenance_is_shown(tmp_path: Path) -> None:
    text = re.sub(r"<[^>]+>", " ", page_of(run_of(tmp_path, "r", "gsm8k:8-shot-cot"), charts=False))
    words = " ".join(html.unescape(text).split())
    for said in (
        "data set openai/gsm8k", "configuration main", "split test", "source small sets", "samples 16",
        "solved examples 8", "source Wei et al. 2022", "answer read by final_number@",
        "printed in the report's Table 2", f"evalkit {evalkit.__version__}, Python 3.", "jiwer 4.", "cores",
    ):  # fmt: skip
        assert said in words, said
    assert re.search(r"started 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", words)


def test_requests_that_several_samples_or_cells_share_are_found(tmp_path: Path) -> None:
    task = quiz(tmp_path, test=6, validation=4)
    path = tmp_path / "r.db"
    evalkit.run("fake/gold", f"{task}:quiz:likely,{task}:quiz:routed", output=path)
    store = Store.open(path)
    first, last = (cell for cell in store.cells() if not cell.role)
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT count(*) FROM draw JOIN request ON id = request WHERE cell = ? AND body LIKE ?"
        assert db.execute(query, (last.id, '%"api":"completion"%')).fetchone() == (0,)
    likely, routed = SampleRecords(store, first), SampleRecords(store, last)
    for position in routed.positions.values():
        shared = {e.body["api"]: e for e in routed.read(position).requests}
        (own,) = likely.read(position).requests
        assert (shared["completion"].branch, own.branch) == ("likely", "")
        # It was asked by the first cell, and its draw stands there.
        assert replace(shared["completion"], branch="") == own
        assert len(shared["chat"].draws) == 8
    store.close()


def test_twins_show_what_was_asked_for_the_first_of_them(tmp_path: Path) -> None:
    task = sums(tmp_path, 4)
    text = Path(task).read_text("utf-8").replace('"What is " + sample.input', '"What is it?"')
    Path(task).write_text(text, "utf-8")
    path = tmp_path / "r.db"
    evalkit.run(FakeModel(lambda request, draw: "7", "fake/seven"), task, output=path)
    store = Store.open(path)
    (cell,) = store.cells()
    read = SampleRecords(store, cell)
    asked = [read.read(at).requests for at in read.positions.values()]
    texts = [[drawn.response.text for one in requests for drawn in one.draws] for requests in asked]
    assert texts == [["7"]] * 4
    store.close()


def test_two_samples_of_one_id_are_both_there(tmp_path: Path) -> None:
    task = sums(tmp_path, 3)
    text = Path(task).read_text("utf-8").replace('Sample(id=record["q"]', 'Sample(id="same"')
    Path(task).write_text(text, "utf-8")
    evalkit.run("fake/gold", task, output=tmp_path / "r.db")
    assert block(page_of(tmp_path / "r.db", charts=False), "index")["id"] == ["same", "same (2)", "same (3)"]
