"""Every command, as a person or a script calls it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

import evalkit
from evalkit.benchmark.task import all_tasks
from evalkit.models.providers import PROVIDERS
from evalkit.runfile.records import OUTCOMES
from tests.cli.conftest import Cli
from tests.made import sums

FAKE = ("run", "-m", "fake/gold", "-t", "gsm8k")
GOLD = ("run", "-m", "fake/gold", "--data", "builtin")


def test_help_is_read_in_ten_seconds(cli: Cli) -> None:
    code, out, _ = cli("-h")
    assert code == 0
    assert len(out.splitlines()) <= 24
    for command in ("run", "tasks", "preview", "check", "models", "report", "doctor", "demo"):
        assert f"  {command} " in out
        assert cli(command, "--help").code == 0


def test_run_prints_the_table_and_names_the_run_file(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli(*GOLD, "-t", "gsm8k:8-shot-cot,humaneval", "-o", tmp_path / "r.db")
    assert code == 0
    assert "small sets" in out.splitlines()[0]
    assert "gsm8k:8-shot-cot" in out
    assert "100 %  81–100" in out
    assert "|sig:" in out
    assert str(tmp_path / "r.db") in err


def test_run_json_keeps_the_contract(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli(*GOLD, "-t", "gsm8k:8-shot-cot", "-o", tmp_path / "r.db", "--json")
    assert code == 0
    cell, strict = json.loads(out)["cells"]
    assert (strict["metric"], strict["value"]) == ("accuracy (strict)", 100.0)
    assert cell["task"] == "gsm8k"
    assert cell["protocol"] == "8-shot-cot"
    assert (cell["metric"], cell["unit"]) == ("accuracy", "%")
    assert (cell["value"], cell["high"], cell["n"]) == (100.0, 100.0, 16)
    assert 75 < cell["low"] < 85
    assert cell["outcomes"] == {**dict.fromkeys(OUTCOMES, 0), "correct": 16}
    assert set(cell["signature"]) == {"short", "line", "parts"}
    assert cell["group_values"] == {}


def test_without_o_a_run_file_is_made_and_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cli(*GOLD, "-t", "gsm8k:8-shot-cot", "--limit", "2")
    assert code == 0
    (path,) = (tmp_path / "runs").glob("*.db")
    assert path.name in err


def test_failed_samples_give_exit_code_3_and_say_how_to_go_on(cli: Cli, tmp_path: Path) -> None:
    task = sums(tmp_path)
    arguments = (
        "-m",
        "fake/gold?errors=1",
        "-t",
        task,
        "--limit",
        "3",
        "-o",
        tmp_path / "r.db",
        "--retries",
        "0",
    )
    code, out, err = cli("run", *arguments)
    assert code == 3
    assert "failed 100 %" in out
    assert "—" in out
    assert "3 samples failed; to retry them: evalkit" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "-m", "openia/x", "-t", "gsm8k"), "unknown backend 'openia': did you mean openai?"),
        (("run", "-m", "fake/gold", "-t", "gsm8"), "unknown task 'gsm8': did you mean gsm8k or mgsm?"),
        (("run", "-m", "fake/gold", "-t", "gsm8k:8-shot"), "did you mean 8-shot-cot"),
        (("run", "-m", "fake/gold", "-t", "report:table 99"), "unknown report table"),
        (("run", "-m", "fake/gold", "-t", "./no.py"), "no task file 'no.py'"),
        (("run", "-m", "fake/gold", "-t", "gsm8k", "--set", "shots"), "--set shots: must be key=value"),
        ((*FAKE, "--set", "shot=4"), "unknown setting 'shot': did you mean shots"),
        ((*FAKE, "--concurrency", "lots"), "--concurrency must be an integer of at least 1 or auto"),
        ((*FAKE, "--limit", "0", "--data", "builtin"), "--limit must be from 1 to 1,000,000,000,000"),
        (("run", "-m", "fake/gold", "-t", "gsm8k", "--data", "/nowhere/at/all"), "/nowhere/at/all"),
        (("run", "-m", "openai/x", "--base-url", "localhost:8000", "-t", "gsm8k"), "an http(s) address"),
        ((*FAKE, "--strict", "--limit", "3", "--data", "builtin"), "--strict"),
        (("run", "-t", "gsm8k"), "Missing option '-m'"),
        (("rum",), "unknown command 'rum': did you mean run?"),
        (("report", "no.db"), "no run file 'no.db'"),
        (("report", __file__), "is not a run file of evalkit"),
        (("preview", "humanevil"), "did you mean humaneval or humanevalplus?"),
        (("tasks", "zzz"), "unknown task 'zzz'"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_line_and_exit_code_2(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("*.db"))


def test_tasks(cli: Cli) -> None:
    assert "gsm8k:maj1@32  chat, 8 shots, 32 draws" in cli("tasks").out
    code, out, _ = cli("tasks", "human", "--json")
    assert code == 0
    task, other = json.loads(out)
    assert (task["name"], other["name"]) == ("humaneval", "humanevalplus")
    assert [protocol["name"] for protocol in task["protocols"]] == ["0-shot", "0-shot-completion"]
    assert task["data"]["revision"] == "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544"
    (several,) = json.loads(cli("tasks", "mmmu", "--json").out)
    assert several["data"]["config"].startswith("Accounting+Agriculture+")


def test_preview_shows_exactly_what_is_sent(cli: Cli) -> None:
    code, out, _ = cli("preview", "gsm8k:8-shot-cot", "--data", "builtin", "--set", "shots=2", "-n", "2")
    assert code == 0
    assert out.count("[user]") == 2
    assert out.count("Q: There are 15 trees") == 2
    assert out.count("The answer is") == 4  # two shots, twice
    assert "counts as right" in out
    completion = cli("preview", "humaneval:0-shot-completion", "--data", "builtin").out
    assert "[user]" not in completion
    assert "def total_minutes(" in completion


@pytest.mark.slow
def test_check_passes_on_every_benchmark_and_fails_a_broken_judge(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("check", "--data", "builtin")
    assert code == 0
    lines = [line for line in out.splitlines() if not line.startswith("      not checked: ")]
    assert len(lines) == sum(len(task.protocols) for task in all_tasks())
    for line in lines:
        assert line.startswith("pass  ")
        if line.startswith("pass  nll-by-position:"):  # the likelihood of a text has no right answer
            assert "wrong none" in line
            continue
        errors = "; over 100 % 0 %" in line  # a rate of errors: lower is better
        references, wrong = ("references 0 %", "wrong 100") if errors else ("references 100", "wrong 0")
        latin_only = line.startswith(("pass  wikilingua:", "pass  xlsum:"))  # plain ROUGE, in most scripts 0
        assert references in line or latin_only
        assert wrong in line
    assert any(line.endswith("; accuracy (hendrycks) 100 %; accuracy (math-verify) 100 %") for line in lines)

    broken = sums(tmp_path, scorer='return Verdict(answer != "7")')
    code, out, _ = cli("check", broken)
    assert code == 1
    assert "the reference is scored wrong" in out
    assert "scored right although wrong: '-1'" in out
    code, out, _ = cli("check", broken, "--json")
    assert code == 1
    assert json.loads(out)[0]["problems"]


def test_check_goes_on_when_one_tasks_data_cannot_be_had(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "openai").mkdir()
    small = Path(evalkit.__file__).parent / "data" / "small_sets" / "openai" / "openai_humaneval"
    (tmp_path / "openai" / "openai_humaneval").symlink_to(small)
    code, out, err = cli("check", "--data", tmp_path, "--limit", "2")
    assert code == 2
    assert out.count("pass  humaneval:") == 2
    assert "evalkit: gsm8k: " in err


def test_models(cli: Cli) -> None:
    code, out, _ = cli("models", "--json")
    assert code == 0
    rows = {row["backend"]: row for row in json.loads(out)}
    assert set(rows) == {
        "openai",
        "llama-cpp",
        "transcribe",
        "faster-whisper",
        "hf",
        "vllm",
        "sglang",
        "lm-eval",
        "python",
        "command",
        "ray",
        "replay",
        "fake",
    } | {*PROVIDERS}
    assert rows["openai"]["capabilities"] == [
        "chat",
        "completion",
        "image",
        "audio",
        "logprobs",
        "echo",
        "tools",
        "prefill",
        "extra",
    ]
    assert "openai/NAME" in cli("models").out


def test_doctor(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, out, _ = cli("doctor")
    assert code == 0
    assert "http://127.0.0.1:9 cannot be reached" in out
    assert "fix: --data builtin" in out
    findings = {row["what"]: row for row in json.loads(cli("doctor", "--json").out)}
    assert findings["sandbox (HumanEval)"]["works"]
    assert findings["formulas (MATH)"]["works"]
    assert findings["C++ programs"]["works"] is (shutil.which("g++") is not None)
    assert findings["formulas (MATH)"]["detail"].startswith("sympy ")
    assert not findings["Hub"]["works"]


@pytest.mark.slow
def test_report_formats(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    cli(*GOLD, "-t", "gsm8k:8-shot-cot", "-o", path)
    whole = json.loads(cli("report", path, "--json").out)
    assert whole == json.loads(cli("report", path, "--format", "json").out)
    row, strict = csv.DictReader(io.StringIO(cli("report", path, "--format", "csv").out))
    assert float(row["value"]) == whole["cells"][0]["value"]
    assert strict["metric"] == "accuracy (strict)"
    assert (
        "| gsm8k:8-shot-cot | fake/gold | accuracy | 100 % |"
        in cli("report", path, "--format", "markdown").out
    )
    for ending, start in {
        "md": "**fake/gold",
        "html": "<!doctype html>",
        "csv": "task,",
        "json": "{",
    }.items():
        code, out, _ = cli("report", path, "-o", tmp_path / f"t.{ending}")
        assert (code, out) == (0, "")
        assert (tmp_path / f"t.{ending}").read_text("utf-8").startswith(start)
    code, _, err = cli("report", path, "--format", "latx")
    assert code == 2
    assert "unknown format 'latx'" in err


def test_report_marks_what_differs_and_strict_refuses(cli: Cli, tmp_path: Path) -> None:
    eight, four = tmp_path / "8.db", tmp_path / "4.db"
    cli(*GOLD, "-t", "gsm8k:8-shot-cot", "-o", eight, "--concurrency", "1")
    cli(*GOLD, "-t", "gsm8k:8-shot-cot", "-o", four, "--set", "shots=4", "--concurrency", "9")
    code, out, _ = cli("report", eight, four, "--format", "markdown")
    assert code == 0
    assert "gsm8k:8-shot-cot\\[shots=4\\]" in out
    assert "not comparable" in out
    assert "shots: 8 and 4; the prompts sent:" in out
    code, _, err = cli("report", eight, four, "--strict")
    assert code == 2
    assert "shots: 8 and 4" in err
    again = tmp_path / "again.db"
    cli(*GOLD, "-t", "gsm8k:8-shot-cot", "-o", again, "--concurrency", "9")
    assert cli("report", eight, again, "--strict").code == 0


def test_replay_gives_the_same_cell(cli: Cli, tmp_path: Path) -> None:
    first, second = tmp_path / "1.db", tmp_path / "2.db"
    model = "fake/gold?wrong=0.4"
    one = cli("run", "-m", model, "-t", "gsm8k:8-shot-cot", "--data", "builtin", "-o", first, "--json").out
    two = cli(
        "run", "-m", f"replay/{first}", "-t", "gsm8k:8-shot-cot", "--data", "builtin", "-o", second, "--json"
    ).out
    cells, again = json.loads(one)["cells"], json.loads(two)["cells"]
    assert 0 < cells[0]["value"] < 100
    assert [{**cell, "model": ""} for cell in cells] == [{**cell, "model": ""} for cell in again]
