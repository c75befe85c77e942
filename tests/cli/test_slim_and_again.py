"""Slim baselines, and greedy requests that are asked twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import web

from tests.cli.conftest import Cli
from tests.made import sums
from tests.openai_server import OpenAIServer
from tests.quiz import quiz


@pytest.fixture
def run(cli: Cli, tmp_path: Path) -> Path:
    """Views, branches, a threshold and a failed sample: everything a table counts."""
    path = tmp_path / "run.db"
    task = quiz(tmp_path, test=60, validation=16)
    assert cli("run", "-m", "fake/gold?wrong=0.3", "-t", f"{task}:quiz:routed", "-o", path).code == 0
    return path


def test_a_slim_run_gives_the_same_table(cli: Cli, run: Path, tmp_path: Path) -> None:
    slim, again = tmp_path / "base" / "slim.db", tmp_path / "again.db"
    assert cli("export", run, "--slim", "-o", slim).code == 0
    assert cli("report", slim, "--json").out == cli("report", run, "--json").out
    assert cli("report", slim, "--breakdown").out == cli("report", run, "--breakdown").out
    assert cli("export", run, "--slim", "-o", again).code == 0
    assert again.read_bytes() == slim.read_bytes()
    assert b'["w","x","y","z"]' in run.read_bytes()
    assert b'["w","x","y","z"]' not in slim.read_bytes()
    whole = cli("compare", run, run, "--json").out
    assert (
        json.loads(cli("compare", slim, run, "--json").out)["benchmarks"] == json.loads(whole)["benchmarks"]
    )


def test_a_slim_run_has_no_texts_and_says_so(cli: Cli, run: Path, tmp_path: Path) -> None:
    slim = tmp_path / "slim.db"
    cli("export", run, "--slim", "-o", slim)
    task = str(run.parent / "quiz.py")
    for arguments in (
        ("export", slim),
        ("export", slim, "--format", "submission"),
        ("report", slim, "--disputes"),
        ("run", "-m", "fake/gold?wrong=0.3", "-t", f"{task}:quiz:routed", "-o", slim),
        ("run", "-m", f"replay/{slim}", "-t", f"{task}:quiz:routed", "-o", tmp_path / "r.db"),
    ):
        code, _, err = cli(*arguments)
        assert code == 2
        assert "slim run file without texts" in err
    code, _, err = cli("export", run, "--slim", "-o", slim)
    assert (code, "already exists" in err) == (2, True)
    assert cli("export", run, "--slim").code == 2


@pytest.mark.slow
def test_a_slim_run_is_small(cli: Cli, tmp_path: Path) -> None:
    """GSM8K has 1,319 questions; long prompts and answers make no difference. A cell's row is there twice."""
    path, slim = tmp_path / "run.db", tmp_path / "slim.db"
    task = sums(tmp_path, 1319, ask="word " * 400)
    assert cli("run", "-m", "fake/gold", "-t", task, "-o", path).code == 0
    cli("export", path, "--slim", "-o", slim)
    assert path.stat().st_size > 3_000_000
    assert slim.stat().st_size < 220_000


def test_greedy_requests_are_asked_twice(cli: Cli, tmp_path: Path) -> None:
    """The server gives every third text an answer of its own each time."""
    asked: dict[str, int] = {}

    def unsteady(payload: dict[str, object], route: str) -> str:
        text = json.dumps(payload["messages"])
        asked[text] = asked.get(text, 0) + 1
        return f"answer {asked[text]}" if len(asked) and hash_of(text) % 3 == 0 else "answer 7"

    def hash_of(text: str) -> int:
        return sum(map(ord, text))

    path = tmp_path / "run.db"
    with OpenAIServer(unsteady) as server:
        base = ("run", "-m", "openai/m", "--base-url", server.url, "-t", sums(tmp_path, 60), "-o", path)
        code, out, _ = cli(*base, "--verify-fraction", 1, "--json")
        assert code == 0
        unsteady_texts = sum(hash_of(text) % 3 == 0 for text in asked)
        assert 0 < unsteady_texts < 60
        (cell,) = json.loads(out)["cells"]
        assert cell["verification"] == {"asked": 60, "changed": unsteady_texts}
        assert set(asked.values()) == {2}
        _, out, _ = cli(*base)
        assert f"{unsteady_texts} of 60 greedy answers changed when asked for again" in " ".join(out.split())
        assert set(asked.values()) == {2}, "nothing is asked a third time"


@pytest.mark.slow
def test_a_share_of_them_and_no_sampled_ones(cli: Cli, tmp_path: Path) -> None:
    task = sums(tmp_path, 400)
    command = ("run", "-m", "fake/gold", "-t", task, "--verify-fraction", 0.1, "--json", "-o")
    (cell,) = json.loads(cli(*command, tmp_path / "a.db").out)["cells"]
    assert 20 < cell["verification"]["asked"] < 65
    assert cell["verification"]["changed"] == 0
    (plain,) = json.loads(cli("run", "-m", "fake/gold", "-t", task, "--json", "-o", tmp_path / "p.db").out)[
        "cells"
    ]
    assert plain["tokens"] == cell["tokens"], "what was asked again is not in the count"
    assert plain["verification"] is None
    _, out, _ = cli(
        "run", "-m", "fake/gold", "-t", f"{task}:sums:maj", "--verify-fraction", 1, "-o", tmp_path / "m.db"
    )
    assert "no greedy request was answered a second time" in " ".join(out.split())


def test_a_second_answer_that_fails_is_no_answer(cli: Cli, tmp_path: Path) -> None:
    """The server breaks when one of three questions comes again: its first answer counts."""
    asked: list[str] = []

    def once(payload: dict[str, object], route: str) -> str | web.Response:
        text = json.dumps(payload["messages"])
        asked.append(text)
        return web.Response(status=500) if "1 + 1" in text and asked.count(text) > 1 else "answer 7"

    run = tmp_path / "r.db"
    with OpenAIServer(once) as server:
        code, out, _ = cli(
            "run", "-m", "openai/m", "--base-url", server.url, "-t", sums(tmp_path, 3),
            "--verify-fraction", 1, "--retries", 0, "--json", "-o", run,
        )  # fmt: skip
    assert (code, len(asked)) == (0, 6)
    (cell,) = json.loads(out)["cells"]
    assert cell["verification"] == {"asked": 2, "changed": 0}
    assert (cell["n"], cell["outcomes"]["failed"]) == (3, 0)
