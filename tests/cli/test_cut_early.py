"""A run says early that its answers are cut."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.made import sums
from tests.openai_server import OpenAIServer, Payload, arithmetic, asked_text


def cut_where(remainder: int, of: int) -> OpenAIServer:
    """A server whose answer is longer than it may be to one question of so many."""

    def script(payload: Payload, route: str) -> str:
        number = int(asked_text(payload).split()[-3])
        return "so " * 50 + "it is" if number % of == remainder else arithmetic(payload, route)

    return OpenAIServer(script)


@pytest.mark.slow
def test_many_cut_answers_are_told_once_while_the_run_goes_on(cli: Cli, tmp_path: Path) -> None:
    with cut_where(0, 3) as server:
        said = cli("run", "-m", "openai/m", "--base-url", server.url, "-t", sums(tmp_path, 60), "-o",
                   tmp_path / "r.db", "--set", "max_tokens=20", "--log-file", tmp_path / "l",
                   "--concurrency", 1)  # fmt: skip
    words = "sums:once[max_tokens=20]: 36 % of the first 25 answers were cut at 20 tokens: stop, and raise"
    assert said.err.count("answers were cut") == 1
    assert f"{words} --set max_tokens" in said.err, said.err
    assert "truncated 33 %" in " ".join(said.out.split())
    lines = [json.loads(line) for line in (tmp_path / "l").read_text("utf-8").splitlines()]
    at = next(n for n, line in enumerate(lines) if line["event"] == "news")
    assert sum(line["event"] == "sample" for line in lines[:at]) == 25


def test_few_cut_answers_are_not(cli: Cli, tmp_path: Path) -> None:
    with cut_where(0, 20) as server:
        said = cli("run", "-m", "openai/m", "--base-url", server.url, "-t", sums(tmp_path, 60), "-o",
                   tmp_path / "r.db", "--set", "max_tokens=20", "--concurrency", 1)  # fmt: skip
    assert "truncated 5 %" in " ".join(said.out.split())
    assert "were cut" not in said.err
