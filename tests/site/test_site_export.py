"""The static site of a folder of runs: its pages, its links, and what another export writes and leaves."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import orjson
import pytest

from evalkit.compare.policy import policy_of
from evalkit.compare.runs import compare
from evalkit.errors import UsageError
from evalkit.report.comparison import conclusion, texts
from evalkit.runfile.store import Store
from evalkit.site import export as exporting
from evalkit.site.export import MARKER, export
from evalkit.site.folder import RunFolder
from evalkit.site.names import run_name
from tests.report.runs import ran
from tests.site.folders import begun, history

_LOADED = re.compile(r"<(?:link(?! rel=\"icon\" href=\"data:,\">)|iframe|script[^>]* src|img)\b")
_HREF = re.compile(r' href="([^"]*)"')


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`runs`: three runs, a damaged one, and one that was asked otherwise; `site`: their site."""
    place = tmp_path_factory.mktemp("made")
    runs = place / "runs"
    history(runs)
    ran(runs, "a", count=20, ask="Add", file="other").close()
    begun(runs / "other.db", "2026-01-08T12:00:00+00:00")
    data = (runs / "run-1.db").read_bytes()
    (runs / "damaged.db").write_bytes(data[: len(data) // 2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(place / "cache"))
        export([runs], place / "site")
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)  # with the times of the files
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def pages(site: Path) -> dict[str, str]:
    return {path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")}


def test_every_link_leads_to_a_page_and_every_page_is_led_to(made: Path) -> None:
    site, led = made / "site", {"index.html"}
    found = pages(site)
    for name, text in found.items():
        for href in map(unescape, _HREF.findall(text)):
            address, _, fragment = href.partition("#")
            if address == "data:,":  # the empty icon
                continue
            if address:
                target = (
                    (site / name).parent.joinpath(unquote(address)).resolve().relative_to(site).as_posix()
                )
                led.add(target)
                assert target in found, (name, href)
            elif "=" not in fragment:  # a place in the page; samples have addresses with =
                assert f'id="{fragment}"' in text, (name, href)
    assert led == set(found)
    kinds = sorted(name.partition("/")[0] for name in found)
    assert kinds == ["benchmarks", *["compare"] * 2, "index.html", *["runs"] * 4]


def test_pages_load_nothing_and_name_no_folder(made: Path) -> None:
    for name, text in pages(made / "site").items():
        assert str(made) not in text, name
        assert _LOADED.search(text) is None, name
        assert "default-src 'none'" in unescape(text)
        assert "connect-src" not in text.partition("</head>")[0]


def test_the_verdict_is_that_of_evalkit_compare(made: Path) -> None:
    runs = made / "runs"
    with Store.open(runs / "run-2.db") as base, Store.open(runs / "run-3.db") as head:
        comparison = compare(base, head, policy_of(None))
    (benchmark,) = comparison.benchmarks
    found = pages(made / "site")
    name = f"compare/{run_name('run-2.db')}...{run_name('run-3.db')}.html"
    page = unescape(found[name])
    assert conclusion(comparison) in page
    assert f"ends with exit code {comparison.exit_code} " in page
    for text in texts(benchmark)[1:]:
        assert f">{text}<" in page
    (_, verdict, _, difference, *_) = texts(benchmark)
    index = unescape(found["index.html"])
    assert f">{verdict}<" in index
    assert f">{difference}<" in index
    paired = benchmark.paired
    assert f"{paired.losses} samples worse" in page
    assert f"{paired.wins} samples better" in page
    assert page.count(">in head<") == paired.losses + paired.wins
    worst = paired.flips[0].sample[0]
    address = (
        f"runs/{run_name('run-3.db')}.html#sample=sums%3Aonce/{worst.replace(' ', '%20').replace('+', '%2B')}"
    )
    assert f'href="../{address}"' in page


def test_figures_with_different_signatures_are_in_different_tables(made: Path) -> None:
    page = pages(made / "site")["benchmarks/sums.html"]
    sections = page.split("<section")[1:]
    files = [
        re.findall(r"<bdi>((?:run|other)[\w-]*\.db)</bdi>", section.partition("<figure")[0])
        for section in sections
    ]
    assert [len(found) for found in files] == [1, 3]
    index = pages(made / "site")["index.html"]
    (signatures,) = {tuple(sorted(set(re.findall(r"sig ([0-9a-f]{8})", text)))) for text in (index, page)}
    assert len(signatures) == 2


def test_another_export_writes_only_what_changed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = place / "site"
    (site / "CNAME").write_text("runs.example")
    (site / "runs" / "mine.html").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*.html")}
    export([place / "runs"], site)
    assert {path: path.stat().st_mtime_ns for path in site.rglob("*.html")} == before
    assert "8 pages, 0 of them written, 0 removed" in capsys.readouterr().err
    (place / "runs" / "other.db").unlink()
    export([place / "runs"], site)
    gone = site / "runs" / f"{run_name('other.db')}.html"
    assert not gone.exists()
    assert "7 pages, 2 of them written, 1 removed" in capsys.readouterr().err
    kept = site / "runs" / f"{run_name('run-1.db')}.html"
    assert kept.stat().st_mtime_ns == before[kept]
    assert (site / "CNAME").read_text() == "runs.example"
    assert (site / "runs" / "mine.html").read_text() == "mine"


def test_a_folder_of_others_is_left_alone(place: Path) -> None:
    (place / "home").mkdir()
    (place / "home" / "index.html").write_text("mine")
    with pytest.raises(UsageError, match=r"home is not empty and no site of evalkit"):
        export([place / "runs"], place / "home")
    assert [path.name for path in (place / "home").iterdir()] == ["index.html"]
    (place / "home" / "index.html").rename(place / "home" / ".hidden")  # as in a checkout, which has .git
    export([place / "runs"], place / "home")
    assert (place / "home" / ".hidden").read_text() == "mine"
    with pytest.raises(UsageError, match="is no folder"):
        export([place / "runs"], place / "home" / "index.html")


@pytest.mark.parametrize(
    "address", ["../mine.html", "runs/../../mine.html", "/mine.html", "mine.txt", "runs"]
)
def test_an_edited_marker_removes_no_other_file(place: Path, address: str) -> None:
    marker, mine = place / "site" / MARKER, place / "mine.html"
    mine.write_text("mine")
    document = orjson.loads(marker.read_bytes())
    document["pages"][address] = "x"
    marker.write_bytes(orjson.dumps(document))
    export([place / "runs"], place / "site")
    assert mine.read_text() == "mine"
    assert len(pages(place / "site")) == 8


def test_a_broken_marker_is_refused(place: Path) -> None:
    (place / "site" / MARKER).write_text("[")
    with pytest.raises(UsageError, match="cannot be read: remove the folder"):
        export([place / "runs"], place / "site")


def test_an_export_that_was_stopped_is_continued(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "compare_page", stopped)
        with pytest.raises(KeyboardInterrupt):
            export([place / "runs"], place / "new")
    assert list((place / "new" / "runs").glob("*.html"))
    export([place / "runs"], place / "new")
    assert pages(place / "new") == pages(place / "site")


def test_a_run_without_a_report_has_a_page_that_says_why(place: Path) -> None:
    empty = place / "empty" / "begun.db"
    with Store.open(place / "runs" / "run-1.db") as store:
        manifest = {key: value for key, value in store.manifest.items() if key != "format"}
    Store.create(empty, manifest).close()
    export([empty.parent], place / "new")
    (run,) = RunFolder([empty.parent]).runs()
    assert run.state == "stopped"
    page = (place / "new" / "runs" / f"{run.name}.html").read_text("utf-8")
    assert "no results" in page
    assert str(place) not in page
