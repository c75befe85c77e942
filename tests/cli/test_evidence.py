"""What responses say against a figure is one note beside it, from an endpoint on loopback."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.runfile.evidence import same_model
from tests.cli.conftest import Cli
from tests.made import sums
from tests.openai_server import OpenAIServer, Payload, answer, arithmetic, asked_text

Change = Callable[[Payload, Payload, int], None]
"""Changes a right document, given the request and its number."""


def notes(cli: Cli, path: Path, change: Change, *more: str, task: str = "", count: int = 10) -> list[str]:
    """The notes of a run's table; they are the same when the run is resumed, and in its slim form."""
    numbers = itertools.count()

    def script(payload: Payload, route: str) -> Any:
        document = answer(payload, route, arithmetic(payload, route))
        change(document, payload, next(numbers))
        return document

    run = path / "r.db"
    asked = task or sums(path, count)
    with OpenAIServer(script) as server:
        said = ("run", "-m", "openai/tiny", "--base-url", server.url, "-t", asked, "-o", run, *more, "--json")
        first = cli(*said)
        found: list[str] = json.loads(first.out)["notes"]
        assert json.loads(cli(*said).out)["notes"] == found
    assert cli("export", run, "--slim", "-o", path / "slim.db").code == 0
    assert json.loads(cli("report", path / "slim.db", "--json").out)["notes"] == found
    return [note.partition(": ")[2] for note in found if note.startswith("openai/tiny on sums")]


def nothing(document: Payload, payload: Payload, n: int) -> None:
    pass


def another_model(document: Payload, payload: Payload, n: int) -> None:
    document["model"] = "small"


def several_models(document: Payload, payload: Payload, n: int) -> None:
    document["model"] = "tiny" if n % 2 else "small"


def dated(document: Payload, payload: Payload, n: int) -> None:
    document["model"] = "org/tiny-2026-01-31"


def fingerprints(document: Payload, payload: Payload, n: int) -> None:
    document["system_fingerprint"] = "fp_1" if n < 4 else "fp_2"


def only_reasoning(document: Payload, payload: Payload, n: int) -> None:
    message = document["choices"][0]["message"]
    message |= {"content": None, "reasoning_content": message["content"]}


def empty(document: Payload, payload: Payload, n: int) -> None:
    if n < 3:
        document["choices"][0]["message"]["content"] = ""


def calling(document: Payload, payload: Payload, n: int) -> None:
    if n < 3:
        call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
        document["choices"][0]["message"] |= {"content": None, "tool_calls": [call]}


def marked(document: Payload, payload: Payload, n: int) -> None:
    document["choices"][0]["message"]["content"] += "<|im_end|>"


def uncounted(document: Payload, payload: Payload, n: int) -> None:
    document["usage"]["completion_tokens"] = 0


def cut_yet_right(document: Payload, payload: Payload, n: int) -> None:
    if n < 2:
        document["choices"][0]["finish_reason"] = "length"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (nothing, []),
        (dated, []),
        (another_model, ["the endpoint answered as small, and tiny was asked for"]),
        (several_models, ["the endpoint answered as several models: small (5), tiny (5)"]),
        (fingerprints, ["the endpoint's system_fingerprint changed during the run: fp_2 (6), fp_1 (4)"]),
        (only_reasoning, ["10 responses are empty, their text is in the reasoning: "]),
        (empty, ["3 responses are empty"]),
        (calling, ["3 responses call tools that were not offered, in place of a text"]),
        (marked, ["10 responses had marks of the chat template in their text, which are left out"]),
        (uncounted, ["the endpoint counted 0 tokens for 10 responses with a text"]),
        (cut_yet_right, ["2 answers are counted as correct although their responses were cut off"]),
    ],
)
def test_each_is_one_note(change: Change, expected: list[str], cli: Cli, tmp_path: Path) -> None:
    found = notes(cli, tmp_path, change, "--concurrency", "1")
    assert len(found) == len(expected), found
    for note, start in zip(found, expected, strict=True):
        assert note.startswith(start)


def long_sums(folder: Path) -> str:
    """Sums behind texts of 40 to 400 words."""
    path = Path(sums(folder, 12))
    text = path.read_text("utf-8").replace(
        '"What is " + sample.input',
        '"word " * (40 * (1 + int(sample.target[0]))) + "What is " + sample.input',
    )
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, ""),
        (100, "the endpoint counted 100 tokens for each of 12 prompts of different lengths"),
        (300, "the endpoint counted fewer tokens than 8 prompts have (at most 300)"),
    ],
)
def test_prompts_that_were_cut_without_a_word(most: int, expected: str, cli: Cli, tmp_path: Path) -> None:
    def change(document: Payload, payload: Payload, n: int) -> None:
        counted = len(asked_text(payload).split())
        document["usage"]["prompt_tokens"] = 100 if most == 100 else min(counted, most or counted)

    (*found,) = notes(cli, tmp_path, change, task=long_sums(tmp_path))
    assert len(found) == bool(expected)
    assert all(note.startswith(expected) for note in found)


def test_draws_that_are_all_the_same(cli: Cli, tmp_path: Path) -> None:
    task = sums(tmp_path, 6)
    cached, drawn = tmp_path / "cached", tmp_path / "drawn"
    for folder in (cached, drawn):
        folder.mkdir()

    def alike(document: Payload, payload: Payload, n: int) -> None:
        document["choices"][0]["message"]["content"] += " That is what I found."

    def apart(document: Payload, payload: Payload, n: int) -> None:
        document["choices"][0]["message"]["content"] += f" That is what I found. {n} is my number."

    (note,) = notes(cli, cached, alike, task=f"{task}:sums:maj")
    assert note.startswith("all draws of each of 6 sampled requests have the same text")
    assert not notes(cli, drawn, apart, task=f"{task}:sums:maj")


@pytest.mark.parametrize(
    ("asked", "served", "same"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("openai/gpt-4o", "gpt-4o", True),
        ("llama3", "llama3:latest", True),
        ("Qwen/Qwen3-8B", "/models/qwen3-8b.gguf", True),
        ("x/y:free", "x/y", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "gpt-4", False),
        ("llama3", "qwen", False),
    ],
)
def test_names_of_one_model(asked: str, served: str, same: bool) -> None:
    assert same_model(asked, served) is same


@pytest.mark.parametrize(
    ("tokens", "value", "said"),
    [
        ({" A": 0.4, " B": 0.3, " C": 0.1, " D": 0.1}, True, ""),
        (
            {" ": 0.9, "A": 0.02, "B": 0.01, "C": 0.01, "D": 0.01},
            True,
            "in 4 of 4 samples the letters have less",
        ),
        ({"<think>": 0.9, "The": 0.05}, False, "none of the letters is among .* the likeliest is '<think>'"),
        ({" ": 0.9, "The": 0.05}, False, "none of the letters is among .* the likeliest is ' '"),
    ],
)
def test_letters_that_are_not_what_comes_next(
    tokens: dict[str, float], value: bool, said: str, cli: Cli, tmp_path: Path
) -> None:
    with OpenAIServer(next_token=lambda text: tokens) as server:
        ran = cli(
            *("run", "-m", "openai/tiny", "--base-url", server.url, "-t", "mmlu:5-shot", "--data", "builtin"),
            *("--limit", "4", "-o", tmp_path / "r.db", "--json"),
        )
    document = json.loads(ran.out)
    (cell,) = document["cells"]
    assert (ran.code, cell["outcomes"]["failed"]) == ((0, 0) if value else (3, 4))
    assert [note for note in cell["evidence"] if "letters" in note][:1] == cell["evidence"][
        : bool(said and value)
    ]
    exported = [json.loads(line) for line in cli("export", tmp_path / "r.db").out.splitlines()]
    texts = [*cell["evidence"], *(one["error"] for one in exported)]
    assert any(re.search(said, text) for text in texts)
