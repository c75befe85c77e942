"""`evalkit models --probe`, and what a run makes of it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.made import sums
from tests.probed_server import ProbedServer
from tests.quiz import quiz


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
def test_the_table_its_cache_and_refresh(cli: Cli) -> None:
    with ProbedServer("ignores pictures") as server:
        ask = ("models", "--probe", "openai/any", "--base-url", server.url)
        code, out, err = cli(*ask)
        asked = len(server.requests)
        again = cli(*ask)
        assert len(server.requests) == asked
        refreshed = cli(*ask, "--refresh", "--json")
        assert len(server.requests) > asked
    assert (code, again.code, refreshed.code) == (0, 0, 0)
    lines = {line.split("  ")[1]: line for line in out.splitlines() if line.startswith("  ")}
    assert "yes" in lines["chat logprobs"]
    assert "20 alternatives" in lines["chat logprobs"]
    assert "no       it takes a picture and ignores it" in lines["image"]
    assert "no       ai2d, chartqa, docvqa" in next(
        line for line in out.splitlines() if "chat + image" in line
    )
    assert "about 30 small requests" in err
    assert f"asked {asked} requests" in err
    assert "--refresh asks again" in again.out
    assert "probing" not in again.err
    document = json.loads(refreshed.out)
    verdicts = {one["name"]: one["verdict"] for one in document["probe"]["answers"]}
    assert (verdicts["image"], verdicts["audio"], verdicts["echo"]) == ("no", "yes", "yes")
    uses = {one["protocol"]: one["verdict"] for one in document["protocols"]}
    assert (uses["gsm8k:8-shot-cot"], uses["hellaswag:10-shot-continuation"]) == ("yes", "yes")
    assert {uses[name] for name in uses if name.startswith("mmmu:")} == {"no"}


@pytest.mark.slow
def test_a_run_that_needs_what_the_endpoint_lacks_sends_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "EMPTY")
    task = quiz(tmp_path)
    path = tmp_path / "r.db"
    run = ("run", "-m", "openai/any", "-t", f"{task}:quiz:likely", "-o", path, "--api-key-env", "MY_KEY")
    with ProbedServer("no log-probabilities") as server:
        cli("models", "--probe", "openai/any", "--base-url", server.url, "--api-key-env", "MY_KEY")
        asked = len(server.requests)
        code, out, err = cli(*run, "--base-url", server.url)
        assert len(server.requests) == asked
        assert not path.exists()
        where = server.url
        Path(err.strip().rpartition(", remove ")[2]).unlink()
        cli(*run, "--base-url", where)
        assert len(server.requests) > asked
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(
        f"evalkit: quiz:likely needs what openai/any at {where} lacked when it was probed ("
    )
    assert "completion logprobs: the endpoint does not take logprobs" in line
    assert f"evalkit models --probe openai/any --base-url {where} --refresh --api-key-env MY_KEY;" in line


@pytest.mark.slow
def test_what_is_unclear_or_not_needed_stops_no_run(cli: Cli, tmp_path: Path) -> None:
    run = ("run", "-m", "openai/any", "-t", f"{sums(tmp_path, 4)}:sums:once", "-o", tmp_path / "r.db")
    with ProbedServer("ignores pictures", fault="500") as server:
        cli("models", "--probe", "openai/any", "--base-url", server.url)
        server.fault = None
        assert cli(*run, "--base-url", server.url).code == 0


@pytest.mark.slow
def test_draws_share_a_request_after_a_probe_and_only_as_many_as_are_wanted(cli: Cli, tmp_path: Path) -> None:
    task = f"{sums(tmp_path, 4)}:sums:maj"
    run = ("run", "-m", "openai/any", "-t", task, "-o")
    with ProbedServer() as server:
        address = ("--base-url", server.url)
        assert cli(*run, tmp_path / "before.db", *address).code == 0
        assert len(server.requests) == 20
        cli("models", "--probe", "openai/any", *address)
        asked = len(server.requests)
        log = tmp_path / "log.jsonl"
        assert cli(*run, tmp_path / "after.db", *address, "--log-file", log).code == 0
        assert [one.payload["n"] for one in server.requests[asked:]] == [5] * 4
        asked = len(server.requests)
        assert cli(*run, tmp_path / "three.db", *address, "--draws-per-request", "3").code == 0
        assert sorted(one.payload["n"] for one in server.requests[asked:]) == [2] * 4 + [3] * 4
        refused = cli(*run, tmp_path / "x.db", *address, "--draws-per-request", "65")
    assert (refused.code, "--draws-per-request must be from 1 to 64" in refused.err) == (2, True)
    events = [one for one in map(json.loads, log.read_text().splitlines()) if "draws" in one]
    assert [(one["event"], one["draws"], one["completion_tokens"]) for one in events] == [
        ("request_answered", 5, 5 * 12)
    ] * 4
    for name in ("before", "after", "three"):
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as db:
            assert db.execute("SELECT count(*) FROM draw").fetchone() == (20,)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--probe", "fake/gold"), 2, "fake/gold cannot be probed: only a model at one endpoint can"),
        (("--probe", "nonsense"), 2, "nonsense"),
        (("--refresh",), 2, "--refresh needs --probe MODEL"),
        (("--base-url", "http://127.0.0.1:9/v1"), 2, "--base-url needs --probe MODEL"),
        (("--probe", "openai/x", "--base-url", "http://127.0.0.1:9/v1"), 2, "http://127.0.0.1:9/v1: "),
    ],
)
def test_what_cannot_be_probed_is_one_line(
    cli: Cli, arguments: tuple[str, ...], code: int, said: str
) -> None:
    found = cli("models", *arguments)
    assert (found.code, found.out) == (code, "")
    assert said in found.err.splitlines()[-1]


def test_an_endpoint_that_fails_is_exit_code_3_and_nothing_is_kept(cli: Cli, tmp_path: Path) -> None:
    server = ProbedServer()
    server.fail("503", 2)
    with server:
        found = cli("models", "--probe", "openai/any", "--base-url", server.url)
    assert found.code == 3
    assert "answered neither a chat nor a text to continue" in found.err
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_costs_no_answers(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "file"))
    with ProbedServer() as server:
        found = cli("models", "--probe", "openai/any", "--base-url", server.url)
    assert found.code == 0
    assert "names the colours" in found.out
    assert "runs cannot use this: cannot write" in found.err
