"""Samples that failed change nothing that was asked of the rest; and how a run is made again, in words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from evalkit.report.html.about import command
from evalkit.runfile.store import Store
from tests.cli.conftest import Cli, cli
from tests.edited import edited
from tests.made import sums

__all__ = ["cli"]


@pytest.fixture
def runs(cli: Cli, tmp_path: Path) -> tuple[Path, Path]:
    """A clean run of a routed protocol, and the same in which samples failed, on both splits."""
    clean, failed = tmp_path / "clean.db", tmp_path / "failed.db"
    for model, path in (("fake/gold", clean), ("fake/gold?wrong=0.2", failed)):
        cli("run", "-m", model, "-t", "mmlu:cot8-routed", "--data", "builtin", "-o", path)
    with edited(failed) as db:
        # As the engine leaves it: the requests that were made, no answer, no statistics.
        db.execute(
            "UPDATE sample SET outcome = 'failed', boundary = 'provider', error = 'gone', "
            "asked = zeroblob(16), "
            "statistics = x'', answer = 'null' WHERE position % 5 = 2"
        )
    return clean, failed


@pytest.mark.slow
def test_failed_samples_do_not_make_a_run_another_one(cli: Cli, runs: tuple[Path, Path]) -> None:
    document = json.loads(cli("report", *runs, "--json").out)
    cells = [cell for cell in document["cells"] if cell["metric"] == "accuracy"]
    assert [cell["outcomes"]["failed"] for cell in cells] == [0, 4]
    assert cells[0]["signature"]["parts"]["prompts"] != cells[1]["signature"]["parts"]["prompts"]
    assert not [note for note in document["notes"] if "not comparable" in note]
    assert any("4 samples failed" in note for note in document["notes"])
    rows = document["tables"][0]["rows"] if "tables" in document else document["grids"][0]["rows"]
    assert all(cell["comparable"] for row in rows for cell in row["cells"])
    said = cli("compare", *runs)
    assert said.code == 3, "it is incomplete, and nothing else was asked"
    assert "not asked" not in said.out


@pytest.mark.slow
def test_a_prompt_that_differs_beside_failed_samples_is_found(cli: Cli, runs: tuple[Path, Path]) -> None:
    with edited(runs[1]) as db:
        db.execute("UPDATE sample SET asked = randomblob(16) WHERE position = 0 AND cell = 2")
    document = json.loads(cli("report", *runs, "--json").out)
    assert any("not comparable" in note and "the prompts sent" in note for note in document["notes"])


def test_the_command_that_makes_a_run_again_keeps_every_value(cli: Cli, tmp_path: Path) -> None:
    """Values may hold what the protocol's name is written with."""
    task, path = sums(tmp_path, 4), tmp_path / "r.db"
    settings = ("stop=a, b]|[c=d", "max_tokens=7")
    arguments = [part for setting in settings for part in ("--set", setting)]
    assert cli("run", "-m", "fake/gold", "-t", task, *arguments, "-o", path).code == 0
    with Store.open(path) as store:
        words = shlex.split(command(store))
    assert {words[i + 1] for i, word in enumerate(words) if word == "--set"} == set(settings)
    (cell,) = json.loads(cli("report", path, "--json").out)["cells"]
    assert cell["overrides"] == {"stop": "a, b]|[c=d", "max_tokens": "7"}
    assert cell["protocol"] == "once[max_tokens=7,stop=a, b]|[c=d]"
