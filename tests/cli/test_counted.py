"""Numbers and what they count: where there is one of something, no command says `1 samples`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalkit.errors import counted
from tests.cli.conftest import Cli, Said
from tests.made import sums
from tests.openai_server import OpenAIServer

ONE_OF_SEVERAL = re.compile(
    r"(?<![\d.,/:])(?<!of )(?<!than )1 (?:\w+ )?(?:samples|runs|figures|files|requests|answers|responses|"
    r"shots|draws|groups|tasks|tokens|frames|records|benchmarks|contents|clips|errors)\b"
)


def said(found: Said) -> str:
    return " ".join(f"{found.out}\n{found.err}".split())


def test_a_number_and_what_it_counts() -> None:
    assert [counted(n, "sample") for n in (0, 1, 2, 2000)] == [
        "0 samples",
        "1 sample",
        "2 samples",
        "2,000 samples",
    ]
    assert counted(1, "entry is", "entries are") == "1 entry is"
    assert counted(3, "entry is", "entries are") == "3 entries are"


@pytest.mark.slow
def test_one_sample_is_told_as_one_by_every_command(cli: Cli, tmp_path: Path) -> None:
    task = f"{sums(tmp_path, 1)}:sums:once"
    run, slim, other = (tmp_path / f"{name}.db" for name in ("run", "slim", "other"))
    with OpenAIServer(lambda payload, route: "-1") as server:
        asked = ("-m", "openai/model", "--base-url", server.url, "-t", task)
        heard = [
            cli("run", *asked, "--dry-run"),
            cli("run", *asked, "-o", run),
            cli("run", *asked, "-o", run),
        ]
    assert heard[1].code == 0
    assert cli("run", "-m", "fake/gold", "-t", task, "-o", other).code == 0
    heard += [
        cli("report", run), cli("report", run, other), cli("report", run, "--breakdown"), cli("tasks", task),
        cli("compare", other, run), cli("verify", run, "-o", tmp_path / "saved.db"), cli("preview", task),
        cli("export", run, "--slim", "-o", slim), cli("check", task),
        cli("report", run, "--format", "markdown"),
        cli("power", "-t", "gsm8k", "--effect", "5", "--from", run, "--from", other),
    ]  # fmt: skip
    assert sum("1 sample" in said(one) for one in heard) >= 5
    assert [found[0] for one in heard if (found := ONE_OF_SEVERAL.search(said(one)))] == []


def test_one_failed_sample_is_told_as_one(cli: Cli, tmp_path: Path) -> None:
    task = f"{sums(tmp_path, 1, scorer='raise ValueError')}:sums:once"
    failed = cli("run", "-m", "fake/gold", "-t", task, "-o", tmp_path / "run.db")
    assert failed.code == 3
    assert "1 sample failed" in said(failed)
    assert "1 sample failed and is not in the value" in said(cli("report", tmp_path / "run.db"))
    assert not ONE_OF_SEVERAL.search(said(failed))
