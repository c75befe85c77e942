"""`--max-cost`, `--prices` and `--dry-run` from the command line."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Cli
from tests.made import sums
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
