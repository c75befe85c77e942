"""`evalkit report` as HTML: its options, and the command that the page names."""

from __future__ import annotations

import html
import shlex
from pathlib import Path

import pytest

from evalkit.report.html.about import command
from evalkit.report.table import build_table
from evalkit.runfile.store import Store
from tests.cli.conftest import Cli
from tests.made import sums
from tests.report.pages import page_of
from tests.report.runs import PAPER


def test_options_of_the_page(cli: Cli, tmp_path: Path) -> None:
    run, page = tmp_path / "r.db", tmp_path / "page.html"
    assert cli("run", "-m", "fake/gold", "-t", sums(tmp_path), "-o", run).code == 0
    assert cli("report", run, "-o", page, "--samples", "5", "--price", "fake/gold=0.5/1.5").code == 0
    text = page.read_text("utf-8")
    assert "5 of 20 samples" in text
    assert cli("report", run, "-o", page, "--no-charts", "--samples", "0").code == 0
    assert "<svg" not in page.read_text("utf-8")
    code, _, err = cli("report", run, "-o", page, "--price", "fake/gold=cheap")
    assert code == 2
    assert "--price fake/gold=cheap: must be MODEL=IN/OUT, such as openai/my-model=0.5/1.5" in err


def test_a_paper_in_a_folder_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    run, page, house = tmp_path / "r.db", tmp_path / "page.html", tmp_path / "papers" / "house"
    assert cli("run", "-m", "fake/gold", "-t", sums(tmp_path), "-o", run).code == 0
    house.mkdir(parents=True)
    (house / "sums.toml").write_text(PAPER, "utf-8")
    (house / "paper.toml").write_text('title = "Ours"\nurl = ""\nversion = "1"\ntables = ["sums"]\n', "utf-8")
    for paper in (house, house / "sums", house / "sums.toml"):
        assert cli("report", run, "-o", page, "--paper", paper).code == 0
        text = page.read_text("utf-8")
        assert "Table 1: sums" in text
        assert "<svg" in text


@pytest.mark.slow
def test_the_page_says_how_to_make_the_run_again(cli: Cli, tmp_path: Path) -> None:
    settings = ("--set", "shots=4", "--set", "max_tokens=77", "--limit", "3", "--seed", "5")
    tasks = "gsm8k:8-shot-cot,gsm8k:0-shot-chat"
    path = tmp_path / "r.db"
    assert (
        cli("run", "-m", "fake/gold", "-t", tasks, "--data", "builtin", *settings[2:], "-o", path).code == 0
    )
    one = tmp_path / "one.db"
    first = ("run", "-m", "fake/gold", "-t", "gsm8k:8-shot-cot", "--data", "builtin", *settings, "-o", one)
    assert cli(*first).code == 0
    for made in (path, one):
        store = Store.open(made)
        words = shlex.split(command(store))
        shown = html.unescape(page_of(made, charts=False))
        assert shlex.join(words) in shown
        assert words[0] == "evalkit"
        again = made.with_suffix(".again.db")
        assert cli(*words[1:], "-o", again).code == 0
        other = Store.open(again)
        signatures = [[c.signature.short for c in build_table([s]).cells] for s in (store, other)]
        assert signatures[0] == signatures[1]
        assert store.manifest["seed"] == other.manifest["seed"]
        store.close()
        other.close()
