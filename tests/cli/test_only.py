"""`evalkit run --only ID -v`: one sample of a benchmark, with everything that is known of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.made import sums
from tests.openai_server import OpenAIServer, arithmetic

KEY = "sk-made-0123456789abcdefghij"


def command(server: OpenAIServer, task: object, output: Path) -> tuple[object, ...]:
    return ("run", "-m", "openai/m", "--base-url", server.url, "-t", task, "-o", output)


def sections(out: str) -> dict[str, str]:
    """The texts below each heading of what `-v` shows."""
    found, name = {}, ""
    for line in out.splitlines():
        if line.startswith("── "):
            name = line.strip("─ ")
            found[name] = ""
        else:
            found[name] = found.get(name, "") + line + "\n"
    return found


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return sums(tmp_path, 20)


def test_one_sample_is_asked_and_shown(cli: Cli, task: str, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        code, out, _ = cli(*command(server, task, tmp_path / "r.db"), "--only", "15 + 1", "-v")
        assert code == 0
        (asked,) = server.requests
    shown = sections(out)
    assert "sample 15 + 1 of sums:once" in shown
    request = json.loads(shown["request, as sent"])
    assert request["body"] == asked.payload
    assert request["url"] == f"{server.url}/chat/completions"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert request["headers"]["Authorization"] == "Bearer [OPENAI_API_KEY]"
    assert "The answer is 16." in shown["response"]
    assert "finish: stop" in shown["response"]
    assert "16   from character 15: The answer is »16«." in shown["read"]
    assert "final_number@" in shown["read"]
    assert shown["verdict"].startswith("correct\nright\ncounts as right: 16\nby ")
    assert "unfinished, 1 of 20 samples" in out


def test_what_is_stored_is_shown_without_a_request_and_the_run_goes_on(
    cli: Cli, task: str, tmp_path: Path
) -> None:
    with OpenAIServer() as server:
        run = command(server, task, tmp_path / "r.db")
        cli(*run, "--only", "15 + 1")
        out = cli(*run, "--only", "15 + 1", "-v").out
        assert len(server.requests) == 1
        assert json.loads(sections(out)["request, as stored: nothing was sent now"])["api"] == "chat"
        document = json.loads(cli(*run, "--json").out)["cells"][0]
        assert len(server.requests) == 20
        assert (document["n"], document["value"]) == (20, 100.0)
        out = cli(*run, "--only", "15 + 1", "-v").out
        assert "unfinished" not in out
        plain = json.loads(cli(*command(server, task, tmp_path / "p.db"), "--json").out)["cells"][0]
    assert document["signature"] == plain["signature"]


def test_a_failed_sample_of_a_finished_run_is_asked_again_alone(cli: Cli, task: str, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        run = command(server, task, tmp_path / "r.db")
        server.fail("500", 1)
        code, _, err = cli(*run, "--retries", "0", "--concurrency", "1")
        assert (code, "1 sample failed" in err) == (3, True)
        server.fail("500", 1)
        out = sections(cli(*run, "--retries", "0", "--only", "0 + 0", "-v").out)
        assert out["verdict"].startswith("failed: provider: HTTP 500")
        assert out["read"].endswith("nothing: the sample failed\n")
        code, out_, _ = cli(*run, "--only", "0 + 0", "--json")
        assert code == 0
        (cell,) = json.loads(out_)["cells"]
        assert cell["outcomes"]["correct"] == 20
        assert "unfinished" not in cli("report", tmp_path / "r.db").out


def test_several_samples_and_draws(cli: Cli, task: str, tmp_path: Path) -> None:
    with OpenAIServer() as server:
        run = command(server, f"{task}:sums:maj", tmp_path / "r.db")
        out = cli(*run, "--only", "15 + 1", "--only", "4 + ", "-v").out
        assert len(server.requests) == 10
    assert [line for line in out.splitlines() if line.startswith("── sample")] == [
        line for line in out.splitlines() if "of sums:maj ─" in line
    ]
    assert out.index("sample 4 + 4 of") < out.index("sample 15 + 1 of")
    assert out.count("request, as sent ") == 10  # each draw has a seed of its own
    assert "response, draw 5" in out


@pytest.mark.slow
def test_pictures_are_summed_up(cli: Cli, tmp_path: Path) -> None:
    with OpenAIServer(lambda payload, route: "A") as server:
        run = ("run", "-m", "openai/m", "--base-url", server.url, "-t", "mmmu", "--data", "builtin")
        first = cli("preview", "mmmu", "--data", "builtin").out.split("── sample ")[1].split(" ─")[0]
        out = cli(*run, "--only", first, "-v", "-o", tmp_path / "r.db").out
        (asked,) = server.requests
    request = json.loads(sections(out)["request, as sent"])

    def urls(body: Any) -> list[str]:
        parts = [part for turn in body["messages"] for part in turn["content"] if isinstance(part, dict)]
        return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]

    assert max(map(len, urls(asked.payload))) > 1000
    assert len(urls(request["body"])) == len(urls(asked.payload))
    assert all(url.startswith("data:image/png;base64,… (") for url in urls(request["body"]))


def test_a_model_in_this_process_and_a_normalised_answer(cli: Cli, task: str, tmp_path: Path) -> None:
    model = tmp_path / "mine.py"
    model.write_text("def talks(prompt):\n    return 'It is 1,016.'\n", encoding="utf-8")
    run = ("run", "-m", f"python:{model}:talks", "-t", task, "-o", tmp_path / "r.db")
    shown = sections(cli(*run, "--only", "15 + 1", "-v").out)
    assert json.loads(shown["request, as sent"])["prompt"][0]["content"] == "What is 15 + 1"
    assert "1016   from character 7: It is »1,016«." in shown["read"]
    assert shown["verdict"].startswith("wrong\nwrong\n")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--only", "15 + 2"), "unknown sample '15 + 2': did you mean 16 + 2 or 15 + 1"),
        (("--only", "zz"), "unknown sample 'zz': the first of 20 ids are 0 + 0, 1 + 1"),
        (
            ("--only", "1"),
            "--only 1 may be 1 + 1, 10 + 3, 11 + 4, 12 + 5, 13 + 6 and 6 more: give the whole id",
        ),
        (("--only", ""), "unknown sample ''"),
        (("-v",), "-v needs --only ID"),
        (("--only", "0 + 0", "--shard", "1/2"), "--only and --shard exclude each other"),
        (("--only", "15 + 1", "--limit", "3"), "unknown sample '15 + 1'"),
    ],
)
def test_what_cannot_be_chosen_is_refused_before_a_request(
    more: tuple[str, ...], said: str, cli: Cli, task: str, tmp_path: Path
) -> None:
    with OpenAIServer(arithmetic) as server:
        code, _, err = cli(*command(server, task, tmp_path / "r.db"), *more)
    assert (code, len(err.splitlines())) == (2, 1)
    assert said in err
    assert not server.requests
    assert not (tmp_path / "r.db").exists()
