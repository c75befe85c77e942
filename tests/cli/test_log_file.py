"""`--log-file`: what happens in a run, one JSON document on each line."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalkit.engine import events
from evalkit.engine.log_file import LogFile, log_to
from tests.cli.conftest import Cli
from tests.made import sums
from tests.openai_server import OpenAIServer, Payload, arithmetic

KEY = "sk-made-0123456789abcdefghij"
RETRIES = ("--retries", "1")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def command(server: OpenAIServer, folder: Path, count: int = 4) -> tuple[object, ...]:
    task = sums(folder, count)
    return ("run", "-m", "openai/m", "--base-url", server.url, "-t", task, "-o", folder / "r.db")


@pytest.mark.slow
def test_a_log_says_what_happened_to_each_sample(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "l.jsonl"
    with OpenAIServer() as server:
        server.fail("500", 2)
        code, out, _ = cli(*command(server, tmp_path), *RETRIES, "--log-file", log, "--json")
        assert code == 0
    found = lines(log)
    assert Counter(line["event"] for line in found) >= Counter(
        {"run_started": 1, "task_started": 1, "request_failed": 2, "retry": 2, "request_answered": 4,
         "sample": 4, "task_ended": 1, "figure": 1, "run_ended": 1}
    )  # fmt: skip
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    assert {line["level"] for line in found} == {"debug", "info", "warning"}
    failed = next(line for line in found if line["event"] == "request_failed")
    assert (failed["status"], failed["attempt"], failed["replica"]) == (500, 1, server.url)
    assert "HTTP 500" in failed["cause"]
    again = next(
        line for line in found if line["event"] == "request_answered" and line["sample"] == failed["sample"]
    )
    assert (again["attempt"], again["status"], again["task"]) == (2, "ok", "sums")
    assert again["prompt_tokens"] > 0
    assert again["seconds"] >= 0
    ended = next(line for line in found if line["event"] == "task_ended")
    assert ended["outcomes"] == {"correct": 4}
    figure = next(line for line in found if line["event"] == "figure")
    assert figure["signature"].endswith(json.loads(out)["cells"][0]["signature"]["short"])
    assert found[-1]["status"] == "finished"


@pytest.mark.slow
def test_a_log_has_no_text_and_no_key(cli: Cli, tmp_path: Path) -> None:
    def telling(payload: Payload, route: str) -> str | web.Response:
        if len(server.requests) == 1:
            return web.json_response({"error": {"message": f"bad key {KEY} \x1b[2J"}}, status=500)
        return f"My key is {KEY}. {arithmetic(payload, route)}"

    log = tmp_path / "l.jsonl"
    with OpenAIServer(telling) as server:
        assert cli(*command(server, tmp_path), *RETRIES, "--log-file", log).code == 0
    text = log.read_text("utf-8")
    assert "[OPENAI_API_KEY]" in text
    assert KEY[:12] not in text
    assert "\x1b" not in text
    assert "What is" not in text
    assert "The answer is" not in text


def test_a_resumed_run_appends_to_its_log(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "l.jsonl"
    log.write_bytes(b'{"event": "made"}\n{"cut off')  # as a full disk leaves it
    with OpenAIServer() as server:
        cli(*command(server, tmp_path), "--only", "0 + 0", "--log-file", log)
        cli(*command(server, tmp_path), "--log-file", log)
    first, cut, *rest = log.read_text("utf-8").splitlines()
    assert (json.loads(first), cut) == ({"event": "made"}, '{"cut off')
    started = [line for text in rest if (line := json.loads(text))["event"] == "task_started"]
    assert [line["done_before"] for line in started] == [0, 1]


@pytest.mark.slow
def test_a_run_that_stops_says_why_in_its_log(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "l.jsonl"
    with OpenAIServer(api_key="another") as server:
        assert cli(*command(server, tmp_path), "--log-file", log).code == 2
    last = lines(log)[-1]
    assert (last["event"], last["level"], last["status"]) == ("run_ended", "error", "stopped")
    assert "401" in last["cause"]


@pytest.mark.slow
def test_limits_and_holds_are_logged(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "l.jsonl"
    with OpenAIServer() as server:
        server.fail("429")
        assert cli(*command(server, tmp_path, 8), "--log-file", log).code == 0
    found = {line["event"]: line for line in lines(log)}
    assert found["held"]["seconds"] > 0
    assert found["limit_changed"]["limit"] < found["limit_changed"]["before"]
    assert found["limit_changed"]["replica"] == found["held"]["replica"] == server.url


def test_a_full_disk_is_said_once_and_the_run_goes_on(cli: Cli, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        code, _, err = cli(*command(server, tmp_path), "--log-file", "/dev/full")
    assert code == 0
    assert err.count("cannot write the log file /dev/full: No space left on device; the run goes on") == 1


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "r.db", "is the run file: name another file"),
        (lambda folder: folder, "Is a directory"),
        (lambda folder: folder / "no" / "l.jsonl", "No such file or directory"),
        (lambda folder: other(folder), "exists and is no log of evalkit: name another file"),
    ],
)
def test_a_log_file_that_cannot_be_one_is_refused(make: Any, said: str, cli: Cli, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        code, _, err = cli(*command(server, tmp_path), "--log-file", make(tmp_path))
    assert (code, len(err.splitlines())) == (2, 1)
    assert said in err
    assert not server.requests


def other(folder: Path) -> Path:
    path = folder / "notes.txt"
    path.write_text("mine", encoding="utf-8")
    return path


def test_without_a_log_nothing_is_made_of_an_event(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = []
    monkeypatch.setattr(events.Event, "__init__", lambda self, name, fields: made.append(name))
    monkeypatch.setattr(events.Event, "name", "made", raising=False)
    monkeypatch.setattr(events.Event, "fields", {}, raising=False)
    events.emit("sample", sample="1")
    assert made == []
    with log_to(tmp_path / "l.jsonl", tmp_path / "r.db", made.append):
        events.emit("sample", sample="1")
    assert made == ["sample"]
    events.emit("sample", sample="1")
    assert made == ["sample"]
    assert lines(tmp_path / "l.jsonl")[0]["event"] == "made"


@contextlib.contextmanager
def heard(handler: logging.Handler) -> Iterator[logging.Logger]:
    logger = logging.getLogger("evalkit.run")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        handler.close()


def test_any_text_is_one_line_of_utf_8(tmp_path: Path) -> None:
    with heard(LogFile(tmp_path / "l.jsonl", print)) as logger:
        events.emit("sample", sample="half \ud800 and \u2028\n\r", cause=None, n=2**63)
        events.emit("sample", sample="\x1b[2J \x9b2J \x7f é ü", ids=["é\x85"])
        logger.warning("a plain %s", "message")
    text = (tmp_path / "l.jsonl").read_text("utf-8")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    first, obeyed, second = map(json.loads, text.split("\n")[:-1])
    assert (obeyed["sample"], obeyed["ids"]) == ("\x1b[2J \x9b2J \x7f é ü", ["é\x85"])
    assert first["sample"] == "half \ufffd and \u2028\n\r"
    assert "cause" not in first
    assert (second["event"], second["text"], second["pid"]) == ("message", "a plain message", os.getpid())


_FULL = """
import logging, resource, sys
from pathlib import Path
from evalkit.engine.events import emit
from evalkit.engine.log_file import log_to
said = []
with log_to(Path(sys.argv[1]), Path("r.db"), said.append):
    emit("sample", sample="1")
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
    for n in range(3):
        emit("sample", sample="2" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    emit("sample", sample="3")
print(len(said), said[0])
"""


def test_a_line_that_fits_in_part_does_not_spoil_the_next(tmp_path: Path) -> None:
    log = tmp_path / "l.jsonl"
    done = subprocess.run([sys.executable, "-c", _FULL, str(log)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"1 cannot write the log file {log}: ")
    first, cut, last = log.read_text("utf-8").splitlines()
    assert (json.loads(first)["sample"], json.loads(last)["sample"]) == ("1", "3")
    assert len(first) + 1 + len(cut) == 200


def test_the_page_lists_every_event() -> None:
    """Their names are in the calls of `emit`, and in the page's table."""
    named = {"message"}
    for path in Path("evalkit").rglob("*.py"):
        named |= set(re.findall(r'\bemit\(\s*"(\w+)"', path.read_text("utf-8")))
    page = Path("docs/faults.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == named
    assert len(named) > 12
