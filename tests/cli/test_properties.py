"""Any text as TASKS, MODEL, setting or number, and any record: a result, or one line and exit code 2."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.cli.conftest import Cli

PIECES = (
    "gsm8k", "mmlu", "report:Table 2", "report:", "lm-eval:", "fake/gold", "fake/", "?", ":", "/", ",",
    "=", "&", "*", "%00", "%", "\n", "é", "..", "~", "{", "[", "'", '"', "\udcff", "0-shot-chat", "hf/",
    "llama-cpp/", "t.py", "own.py", "rows.csv", "wrong=", "seed=", "1", "-1", "1e999", "nan", "9" * 30,
    "shots=", "stop=", "draws=", "max_tokens=0", "temperature=", "echo/x", "@", "#", " ", "vqa", "asr",
    "-", "--", "\\", "\u202e", "😀", "languages=xx", "[1,2]", "null",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), min_size=1, max_size=5).map("".join)
ARGUMENTS = TEXTS.map(lambda text: text.replace("\0", "\\0"))
OPTIONS = (
    "--set",
    "--seed",
    "--limit",
    "--concurrency",
    "--timeout",
    "--retries",
    "--judge",
    "--shard",
    "-m",
    "-t",
)
COMMANDS = ("tasks", "report", "compare", "export", "import", "merge", "preview")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.lists(st.dictionaries(st.sampled_from(("q", "a", "m", "id")), VALUES), min_size=1, max_size=4)
TASK = """
from evalkit.api import *
from evalkit.scoring import final_number, same_number


def to_sample(record):
    return Sample(id=record["id"], input=record["q"], target=(record["a"],), meta={"m": record["m"]})


@task("own")
def own():
    return Task(
        data=Local(%r), sample=to_sample, prompt=lambda sample, protocol: (Message("user", sample.input),),
        answer=final_number, scorer=lambda answer, sample: Verdict(same_number(answer, sample.target[0])),
        metrics=(Accuracy(),), protocols=(Protocol(name="p"),),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("-1",),
    )
"""
FEW = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_what_is_right_gives_a_result(cli: Cli, tmp_path: Path) -> None:
    """So that the properties below are about more than refusals."""
    (tmp_path / "rows.jsonl").write_text('{"id": "1", "q": "1?", "a": "1", "m": [{}]}\n')
    (tmp_path / "own.py").write_text(TASK % str(tmp_path / "rows.jsonl"))
    assert cli("run", "-m", "fake/gold", "-t", tmp_path / "own.py", "-o", tmp_path / "r.db").code == 0


def _is_told(cli: Cli, *arguments: object) -> None:
    said = cli(*arguments)  # an exception that leaves the command fails the test
    assert said.code in (0, 1, 2, 3)
    assert "Traceback" not in said.err
    if said.code == 2:
        assert said.err.strip()


@pytest.mark.slow
@FEW
@given(option=st.sampled_from(OPTIONS), text=ARGUMENTS)
@example(option="--set", text="stop=\udcff")
def test_any_argument_of_run(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.py").write_text("x = 1\n")
    (tmp_path / "rows.csv").write_text("a,b\n1\n")
    (tmp_path / "r.db").unlink(missing_ok=True)
    whole = {"-m": "fake/gold", "-t": "gsm8k:0-shot-chat", "-o": "r.db", "--data": "builtin", "--limit": "1"}
    _is_told(cli, "run", *(word for pair in (whole | {option: text}).items() for word in pair))


@pytest.mark.slow
@FEW
@given(
    command=st.sampled_from(("tasks", "report", "compare", "export", "import", "merge", "preview")),
    text=ARGUMENTS,
)
def test_any_argument_of_other_commands(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _is_told(cli, command, *(("-t", text) if command == "preview" else (text,)))


@pytest.mark.slow
@FEW
@given(records=RECORDS, ending=st.sampled_from((".jsonl", ".json", ".csv")))
def test_any_record(cli: Cli, tmp_path: Path, records: list[dict[str, object]], ending: str) -> None:
    rows, task, run = tmp_path / f"rows{ending}", tmp_path / "own.py", tmp_path / "r.db"
    if ending == ".csv":
        with rows.open("w", encoding="utf-8", errors="replace", newline="") as file:
            csv.writer(file).writerows([("id", "q", "a", "m"), *(record.values() for record in records)])
    else:
        lines = "\n".join(map(json.dumps, records))
        rows.write_text(lines if ending == ".jsonl" else json.dumps(records), "utf-8")
    task.write_text(TASK % str(rows), "utf-8")
    run.unlink(missing_ok=True)
    _is_told(cli, "run", "-m", "fake/gold", "-t", task, "-o", run)


FIELDS = (
    'Local(%r)', "to_sample", 'lambda sample, protocol: (Message("user", sample.input),)', "final_number",
    "lambda answer, sample: Verdict(same_number(answer, sample.target[0]))", "(Accuracy(),)",
    '(Protocol(name="p"),)', "lambda sample, protocol: sample.target[0]",
    'lambda sample, protocol: ("-1",)', '"own"', 'record["id"]', 'record["q"]', '(record["a"],)',
)  # fmt: skip
"""Parts of `TASK`."""
OTHERS = (
    "None", "1", "'x'", "''", "()", "[]", "{}", "b'x'", "float('nan')", "object()", "print", "type", "...",
    "lambda: None", "lambda *given: None", "lambda *given: 1 / 0", "lambda *given: ''", "iter(())",
    "lambda *given: ((),)", "lambda *given: '\\udcff'", "lambda *given: exit()", "lambda *given: [1] * 10",
    "Accuracy", "Verdict(True)", "Protocol(name='')", "(None,)", "('x',)", "(Protocol(name='p', draws=0),)",
    "exit()", "(Protocol(name='p', max_tokens=-1),)", "undefined", "(", "1 / 0", "'\\n'", "'a/b'", "'\\0'",
)  # fmt: skip


@pytest.mark.slow
@FEW
@given(part=st.sampled_from(FIELDS), other=st.sampled_from(OTHERS))
def test_any_task_file(cli: Cli, tmp_path: Path, part: str, other: str) -> None:
    rows, task, run = tmp_path / "rows.jsonl", tmp_path / "own.py", tmp_path / "r.db"
    rows.write_text('{"id": "1", "q": "1?", "a": "1", "m": 0}\n')
    text = TASK.replace(part, other, 1)
    task.write_text(text % str(rows) if "%r" in text else text, "utf-8")
    run.unlink(missing_ok=True)
    _is_told(cli, "run", "-m", "fake/gold", "-t", task, "-o", run)
    _is_told(cli, "check", task)


WORDS = (
    "format = 1", "[[task]]", "[task]", "[[task.source]]", "[[task.source.files]]", 'name = "gsm8k"',
    "name = 1", 'kind = "hub"', 'kind = "x"', 'digest = ""', f'revision = "{"0" * 40}"', 'path = "../x"',
    "size = -1", "size = 1e999", 'sha256 = "0"', "[default]", "[tasks.gsm8k]", "max_drop = 1", "alpha = 2",
    "alpha = nan", 'metric = "accuracy"', "= 1", "[", "a.b.c = []", "x = 2020-01-01", 'x = "\\udcff"',
    "\ufeff", "ok = true", '"" = 1', "9" * 30,
)  # fmt: skip


@pytest.mark.slow
@FEW
@given(text=st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=6).map("\n".join))
def test_any_toml(cli: Cli, tmp_path: Path, text: str) -> None:
    file, run = tmp_path / "some.toml", tmp_path / "r.db"
    if not run.exists():
        assert cli("run", "-m", "fake/gold", "-t", "gsm8k", "--data", "builtin", "-o", run).code == 0
    file.write_text(text, "utf-8", "replace")
    _is_told(cli, "compare", run, run, "--policy", file)
    _is_told(cli, "data", "verify", "--lock", file)
    _is_told(cli, "run", "-m", "fake/gold", "-t", "gsm8k", "--lock", file, "-o", tmp_path / "new.db")
