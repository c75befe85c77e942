"""`--max-cost`, `--prices` and `--dry-run` from the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalkit import Store
from evalkit.runfile.spent import SPENT
from tests.cli.conftest import Cli
from tests.made import sums
from tests.models.asking import only_key
from tests.openai_server import OpenAIServer, arithmetic


def prices(folder: Path) -> Path:
    path = folder / "prices.toml"
    path.write_text('[[price]]\nmodels = ["openai/tiny"]\ninput = 1000\noutput = 10000\n', encoding="utf-8")
    return path


def test_a_run_that_stops_at_its_cost_has_an_exit_code_of_its_own(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    with OpenAIServer(arithmetic) as server:
        command = ["run", "-m", "openai/tiny", "--base-url", server.url, "-t", sums(tmp_path, 30), "-o", path]
        ended = cli(*command, "--set", "max_tokens=20", "--max-cost", "1", "--prices", prices(tmp_path))
    assert ended.code == 4
    assert "--max-cost 1: USD 0." in ended.err
    assert "All responses so far are in" in ended.err
    refused = cli(*command, "--max-cost", "1")
    assert refused.code == 2
    assert "the price of openai/tiny is not known: give it with --prices FILE.toml" in refused.err
    assert cli(*command, "--max-cost", "nan").code == 2


def test_a_dry_run_prints_a_table_or_a_document_and_sends_nothing(cli: Cli, tmp_path: Path) -> None:
    with OpenAIServer(arithmetic) as server:
        command = ["run", "-m", "openai/tiny", "--base-url", server.url, "-t", sums(tmp_path, 30)]
        command.append("--dry-run")
        table = cli(*command, "--prices", prices(tmp_path), "--set", "max_tokens=20")
        document = cli(*command, "--json", "-o", tmp_path / "r.db")
        assert not server.requests
    assert (table.code, document.code) == (0, 0)
    assert re.search(r"sums:once.* 30 +\d+ +\d+ +USD", table.out)
    assert "≤ 600" in table.out
    assert "input estimated from the text; output: the length of the references" in table.out
    found = json.loads(document.out)
    assert found["total"]["requests"] == 30
    assert found["total"]["cost"] is None  # no price
    assert found["tasks"][0]["most_output"] == 30 * 1024
    assert not (tmp_path / "r.db").exists()


def test_a_dry_run_needs_no_key_and_knows_the_prices(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_key(monkeypatch)
    ended = cli("run", "-m", "anthropic/claude-haiku-4-5", "-t", sums(tmp_path, 30), "--dry-run", "--json")
    total = json.loads(ended.out)["total"]
    assert total["cost"] == pytest.approx((total["input"] + 5 * total["output"]) / 1e6, rel=0.01)


def test_what_is_only_for_a_dry_run_or_of_another_run_is_refused(cli: Cli, tmp_path: Path) -> None:
    command = ["run", "-m", "fake/gold", "-t", sums(tmp_path, 3)]
    assert "--like needs --dry-run" in cli(*command, "--like", tmp_path / "r.db").err
    assert "--count-with needs --dry-run" in cli(*command, "--count-with", "endpoint").err
    assert cli(*command, "-o", tmp_path / "r.db").code == 0
    other = cli("run", "-m", "fake/echo", "-t", sums(tmp_path, 3), "-o", tmp_path / "r.db", "--dry-run")
    assert (other.code, "holds another run" in other.err) == (2, True)
    nobody = cli(*command, "--dry-run", "--count-with", "endpoint")
    assert (nobody.code, "has no endpoint that counts tokens" in nobody.err) == (2, True)


def test_like_takes_the_length_of_responses_from_an_earlier_run(cli: Cli, tmp_path: Path) -> None:
    with OpenAIServer(arithmetic) as server:
        command = ["run", "-m", "openai/tiny", "--base-url", server.url, "-t", sums(tmp_path, 30)]
        assert cli(*command, "--limit", 10, "-o", tmp_path / "r.db").code == 0
        ended = cli(*command, "--dry-run", "--json", "--like", tmp_path / "r.db")
    (task,) = json.loads(ended.out)["tasks"]
    assert task["output"] == 30 * 4  # "The answer is 5." has four tokens there
    assert task["output_by"] == "4 tokens for each response, as in the earlier run"


@pytest.mark.slow
def test_what_a_killed_run_has_spent_is_that_of_its_stored_responses(tmp_path: Path) -> None:
    run = tmp_path / "r.db"
    with OpenAIServer(arithmetic, latency=0.02) as server:
        asked = ["-m", "openai/tiny", "--base-url", server.url, "-t", sums(tmp_path, 2000), "-o", str(run)]
        paid = ["--prices", str(prices(tmp_path)), "--max-cost", "500"]
        command = [sys.executable, "-m", "evalkit", "run", *asked, *paid]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
            while len(server.requests) < 100:
                assert killed.poll() is None
                time.sleep(0.02)
            killed.kill()
    with Store.open(run) as store:
        stored, sent, output = store.connection.execute(
            "SELECT count(*), sum(prompt_tokens), sum(completion_tokens) FROM draw"
        ).fetchone()
        assert 0 < stored < 2000
        assert store.manifest[SPENT] == pytest.approx(0.001 * sent + 0.01 * output)
