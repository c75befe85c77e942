"""The workflow, the hook and the test of docs/ci.md, run step by step on a model that is made worse."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FILES = dict(
    re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", (ROOT / "docs/ci.md").read_text("utf-8"), re.M | re.S)
)
SAME, WORSE = "fake/gold", "fake/gold?wrong=0.9"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the document's files and a baseline made as the document says."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "evalkit"
    # Data of its own instead of the Hub's: nothing else is changed in what the document says.
    samples = 'case "$1" in run) set -- "$@" --data builtin;; esac'
    script.write_text(f'#!/bin/sh\n{samples}\nexec {sys.executable} -m evalkit "$@"\n')
    script.chmod(0o755)
    run(tmp_path, "evalkit run -m fake/gold -t gsm8k:8-shot-cot -o base.db")
    assert run(tmp_path, "evalkit export base.db --slim -o baselines/gsm8k.db").returncode == 0
    return tmp_path


def run(folder: Path, script: str, model: str = SAME) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    summary = str(folder / "summary.md")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": summary, "MODEL": model, "PATH": path}
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, capture_output=True, text=True, env={**os.environ, **github}
    )


def steps() -> list[dict[str, Any]]:
    workflow = yaml.safe_load(FILES[".github/workflows/evaluate.yml"])
    found: list[dict[str, Any]] = workflow["jobs"]["gate"]["steps"]
    return [step for step in found if "run" in step and step["name"] != "Install"]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "code"), [(SAME, 0), (WORSE, 1)])
def test_the_workflow(project: Path, model: str, code: int) -> None:
    evaluate, gate = steps()
    done = run(project, evaluate["run"], model)
    assert done.returncode == 0, done.stderr
    assert "greedy answers changed when asked for again (0 %)" in " ".join(done.stdout.split())
    said = run(project, gate["run"], model)
    assert said.returncode == code, said.stdout + said.stderr
    assert (project / "junit.xml").read_text("utf-8").count("<failure") == code
    summary = (project / "summary.md").read_text("utf-8")
    assert ("❌ regression: gsm8k:8-shot-cot (worse, p" in summary) is bool(code)
    assert said.stderr.count("::error title=") == code


@pytest.mark.slow
def test_the_hook(project: Path) -> None:
    """pre-commit runs it, twice in one place: the second time the model is worse."""
    home = project.parent / "pre-commit"
    command = f"PRE_COMMIT_HOME={home} {sys.executable} -m pre_commit run --hook-stage pre-push --all-files"
    assert (
        run(project, "git init -q && git add baselines evalkit.toml .pre-commit-config.yaml").returncode == 0
    )
    for code, words, model in ((0, "Passed", SAME), (1, "regression: gsm8k:8-shot-cot (worse, p", WORSE)):
        said = run(project, command, model)
        assert (said.returncode, words in said.stdout) == (code, True), said.stdout + said.stderr


@pytest.mark.slow
def test_the_test(project: Path) -> None:
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider test_model.py"
    said = run(project, command)
    assert said.returncode == 0, said.stdout + said.stderr
    (project / "test_model.py").write_text(FILES["test_model.py"].replace("fake/gold", WORSE))
    said = run(project, command)
    assert said.returncode == 1
    assert "regression: gsm8k:8-shot-cot" in said.stdout
