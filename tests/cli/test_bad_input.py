"""Whatever is typed, or stands in a file that a command reads: a result, or one line and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.cli.options import Number, NumberRange
from tests.cli.conftest import Cli

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "NaN"])
@pytest.mark.parametrize("kind", [Number(), NumberRange(0, 1)])
def test_a_number_is_finite(cli: Cli, kind: Number, text: str) -> None:
    with pytest.raises(Exception, match=r"finite number|range 0<=x<=1"):
        kind.convert(text, None, None)
    assert kind.convert("0.5", None, None) == 0.5


@pytest.mark.parametrize(
    "arguments",
    [
        ("power", "-t", "gsm8k", "--effect", "nan"),
        ("power", "-t", "gsm8k", "--effect", "1", "--alpha", "inf"),
        ("run", "-m", "fake/gold", "-t", "gsm8k", "--data", "builtin", "--verify-fraction", "nan"),
        ("report", "x" * 300 + ".db"),
        ("run", "-m", "fake/gold", "-t", "gsm8k", "--data", "builtin", "-o", "y" * 300),
        ("report", "r.db", "-o", "z" * 300 + ".html"),
    ],
)
def test_a_command_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = cli(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") <= 4
    assert "Traceback" not in said.err


def test_a_policy_nested_too_deeply(cli: Cli, tmp_path: Path) -> None:
    run, policy = tmp_path / "r.db", tmp_path / "deep.toml"
    policy.write_text(f"margin = {DEEP}", "utf-8")
    assert cli("run", "-m", "fake/gold", "-t", "gsm8k:0-shot-chat", "--data", "builtin", "-o", run).code == 0
    said = cli("compare", run, run, "--policy", policy)
    assert said.code == 2
    assert "deep.toml is not valid TOML" in said.err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return Task(colour='red')", "line 6: the task broken cannot be built: TypeError: "),
        ("return [][1]", "line 6: the task broken cannot be built: IndexError: list index out of range"),
        ("raise UsageError('give me data')", "give me data"),
    ],
)
def test_a_task_that_cannot_be_built(cli: Cli, tmp_path: Path, body: str, words: str) -> None:
    file = tmp_path / "broken.py"
    head = (
        "from evalkit.api import Task, UsageError, task\n\n@task('broken')\ndef broken():\n    '''Broken'''\n"
    )
    file.write_text(f"{head}    {body}\n", "utf-8")
    said = cli("preview", file)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert words in said.err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "r.jsonl",
            '{"q": "a"}\n{"q": %s}\n{"q": "c"}\n',
            "r.jsonl, line 2: not a JSON object (it is nested too",
        ),
        ("r.json", '[{"q": "a"}, {"q": %s}]', "r.json is not valid JSON (it is nested too deeply)"),
        ("r.jsonl", '{"q": "a"}\n{"q":\n', "r.jsonl, line 2: not a JSON object (Expecting value"),
    ],
)
def test_a_broken_record_in_the_middle_is_found_before_the_first_request(
    cli: Cli, tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text.replace("%s", DEEP), "utf-8")
    said = cli("run", "-m", "fake/gold", "-t", _own(tmp_path, name), "-o", tmp_path / "r.db")
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "r.db").exists()


@pytest.mark.parametrize("record", ['{"z": "b"}', '{"q": null}', '{"q": ["b"]}'])
def test_a_record_of_another_form_fails_alone_with_its_columns(cli: Cli, tmp_path: Path, record: str) -> None:
    (tmp_path / "r.jsonl").write_text('{"q": "a"}\n' + record + '\n{"q": "c"}\n', "utf-8")
    said = cli("run", "-m", "fake/gold", "-t", _own(tmp_path, "r.jsonl"), "-o", tmp_path / "r.db")
    assert said.code == 3
    assert "1 × data: record 1 of r.jsonl does not fit own (" in said.err
    assert "correct 2, failed 1" in said.err


def _own(folder: Path, rows: str) -> Path:
    task = folder / "own.py"
    task.write_text(_TASK % str(folder / rows), "utf-8")
    return task


_TASK = """
from evalkit.api import *


@task("own")
def own():
    return Task(
        data=Local(%r),
        sample=lambda record: Sample(id=record["q"].strip(), input=record["q"], target=("1",)),
        prompt=lambda sample, protocol: (Message("user", sample.input),), answer=lambda text, sample: text,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]), metrics=(Accuracy(),),
        protocols=(Protocol(name="p"),), gold=lambda sample, protocol: "1",
        wrong_responses=lambda sample, protocol: ("2",),
    )
"""
